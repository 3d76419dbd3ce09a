"""A click to a mask, in the torch thread: the predictor, and what it has seen of the last images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING

from napari_wsss import close_up, segment
from napari_wsss.close_up import CloseUp, Read
from napari_wsss.device import release
from napari_wsss.segment import Seen
from napari_wsss.session.draft import Draft, Patch

if TYPE_CHECKING:
    from napari_wsss.models.prompts import PromptPredictor
    from napari_wsss.types import Image

_KEPT_BYTES = 2**30  # of images, their embeddings and answers; the newest image is always kept


class Predicting:
    """Answers clicks. To be used in the torch thread only; making one imports nothing heavy.

    Of an image that is large (`napari_wsss.close_up`) only parts are read and seen, each remembered by itself.

    Parameters
    ----------
    model : str
        Name for :func:`napari_wsss.segment.predictor`.
    device : str
        ``auto``, ``cpu``, ``cuda`` or ``mps``.
    """

    def __init__(self, model: str, device: str = "auto") -> None:
        self.model, self.device = model, device
        self._predictor: PromptPredictor | None = None
        self._seen: OrderedDict[tuple[str, CloseUp | None], Seen] = OrderedDict()
        self._open: tuple[str, Read] | None = None
        self._changed = False

    def use(self, model: str, device: str) -> None:
        """Another model or device from the next click on; what was seen is forgotten. From any thread."""
        self.model, self.device, self._changed = model, device, True

    def see(self, key: str, shape: tuple[int, int], reader: Callable[[], Read], at: tuple[int, int]) -> None:
        """Look at an image, or at the part of a large one around a pixel, before it is clicked."""
        if close_up.is_large(shape):
            y, x = at
            self._look(key, close_up.closest(shape, [(y, x, y + 1, x + 1)]), reader)
        else:
            self._look(key, None, reader)

    def mask(self, key: str, shape: tuple[int, int], reader: Callable[[], Read], draft: Draft) -> Patch:
        """The object that the draft's clicks and boxes mean.

        Parameters
        ----------
        key : str
            Of the image; equal keys, equal pixels.
        reader : callable
            Opens the image's file for reading by box; called when it is needed only.
        """
        clicks = [(c.y, c.x, c.positive) for c in draft.clicks]
        boxes = [box for _, box in draft.boxes]
        if close_up.is_large(shape):
            corner, mask = segment.segment_large(
                shape, clicks, boxes, self.predictor, lambda part: self._look(key, part, reader)
            )
            return Patch.of(mask, *corner)
        seen = self._look(key, None, reader)
        return Patch.of(segment.segment(seen.image, clicks, boxes, self.predictor, seen.embedding, seen.memory))

    def glance(self, key: str, shape: tuple[int, int], reader: Callable[[], Read], y: int, x: int) -> Patch | None:
        """What a click at a pixel would bring, from what was seen already; None where nothing was.

        Of a large image only the closest part is asked, and nothing is remembered.
        """
        part = close_up.closest(shape, [(y, x, y + 1, x + 1)]) if close_up.is_large(shape) else None
        if (key, part) not in self._seen:
            return None
        seen = self._look(key, part, reader)
        at, corner = ((y, x), (0, 0)) if part is None else (part.inside(y, x), part.box[:2])
        return Patch.of(segment.segment(seen.image, [(*at, True)], [], self.predictor, seen.embedding), *corner)

    def _look(self, key: str, part: CloseUp | None, reader: Callable[[], Read]) -> Seen:
        """An image or a part of it with its embedding, made once and kept while there is room."""
        predictor = self.predictor
        if (key, part) not in self._seen:
            image = self._read(key, part, reader)
            self._seen[key, part] = Seen(image, predictor.embed(image))
        self._seen.move_to_end((key, part))
        while len(self._seen) > 1 and sum(map(_bytes, self._seen.values())) > _KEPT_BYTES:
            self._seen.popitem(last=False)
        return self._seen[key, part]

    def _read(self, key: str, part: CloseUp | None, reader: Callable[[], Read]) -> Image:
        if part is None:
            return reader()(None)
        if self._open is None or self._open[0] != key:
            self._open = key, reader()
        return close_up.look(self._open[1], part)

    @property
    def predictor(self) -> PromptPredictor:
        """Loaded when first asked for, and anew where another is wanted: then what was seen is forgotten."""
        if self._changed:
            self._changed, self._predictor = False, None
            self._seen.clear()
            release()
        if self._predictor is None:
            self._predictor = segment.predictor(self.model, self.device)
        return self._predictor


def _bytes(seen: Seen) -> int:
    answers = [array for answer in seen.memory.values() for array in (answer.mask, answer.logits)]
    return sum(array.nbytes for array in (seen.image.channels, seen.embedding.data, *seen.embedding.coarser, *answers))
