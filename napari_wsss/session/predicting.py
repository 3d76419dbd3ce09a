"""A click to a mask, in the torch thread: the predictor, and what it has seen of the last images."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from napari_wsss.session.draft import Draft, Patch

if TYPE_CHECKING:
    from napari_wsss.models.prompts import Embedding, PromptPredictor
    from napari_wsss.segment import Memory
    from napari_wsss.types import Image

_KEPT_PIXELS = 2**26  # of images and their embeddings; the newest is always kept


@dataclass(frozen=True, eq=False, slots=True)
class Seen:
    """An image and what the predictor made of it."""

    image: Image
    embedding: Embedding
    memory: Memory = field(default_factory=dict)


class Predicting:
    """Answers clicks. To be used in the torch thread only; making one imports nothing heavy.

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
        self._seen: OrderedDict[str, Seen] = OrderedDict()

    def see(self, key: str, load: Callable[[], Image]) -> Seen:
        """The image and its embedding, made once and kept while there is room."""
        if key not in self._seen:
            image = load()
            self._seen[key] = Seen(image, self._loaded().embed(image))
        self._seen.move_to_end(key)
        while len(self._seen) > 1 and sum(s.image.valid.size for s in self._seen.values()) > _KEPT_PIXELS:
            self._seen.popitem(last=False)
        return self._seen[key]

    def mask(self, key: str, load: Callable[[], Image], draft: Draft) -> Patch:
        """The object that the draft's clicks and boxes mean."""
        from napari_wsss.segment import segment

        seen = self.see(key, load)
        clicks = [(c.y, c.x, c.positive) for c in draft.clicks]
        boxes = [box for _, box in draft.boxes]
        return Patch.of(segment(seen.image, clicks, boxes, self._loaded(), seen.embedding, seen.memory))

    def _loaded(self) -> PromptPredictor:
        if self._predictor is None:
            from napari_wsss import segment

            self._predictor = segment.predictor(self.model, self.device)
        return self._predictor
