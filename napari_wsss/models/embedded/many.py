"""Many objects of one image at once: prompts decoded in batches of small windows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from napari_wsss.models.embedded.frames import Frame, comfortable, levels
from napari_wsss.models.embedded.pixels import at_pixels
from napari_wsss.models.embedded.predictor import TOKENS_AROUND, EmbeddedPredictor, places
from napari_wsss.models.embedded.prompts import NOTHING
from napari_wsss.models.embedded.window import Window, window_around
from napari_wsss.models.prompts import Embedding, Prompt
from napari_wsss.types import Bool, Box4, Float, Progress, no_progress

_AT_ONCE = 32


@dataclass(frozen=True, eq=False, slots=True)
class Cutout:
    """One object: logits float32 (y1 - y0, x1 - x0) of the pixels of ``box``, and the estimated IoU of its mask."""

    box: Box4
    logits: Float
    iou: float

    @property
    def mask(self) -> Bool:
        """bool (y1 - y0, x1 - x0)."""
        return self.logits > 0

    def in_image(self, shape: tuple[int, int]) -> Bool:
        """The mask as bool (h, w)."""
        out: Bool = np.zeros(shape, bool)
        out[self.box[0] : self.box[2], self.box[1] : self.box[3]] = self.mask
        return out


@torch.inference_mode()
def predict_many(
    predictor: EmbeddedPredictor,
    embedding: Embedding,
    prompts: Sequence[Prompt],
    progress: Progress = no_progress,
) -> list[Cutout]:
    """The mask that the predictor finds best for each prompt, in the prompts' order.

    As single calls answer, in the windows and frames that they would use.

    Parameters
    ----------
    predictor : EmbeddedPredictor
    embedding : Embedding
        Of the image that all prompts are about; of its finest frame alone for half the work (`embed_finest`).
    prompts : sequence of Prompt
    progress : callable
        May raise Cancelled.
    """
    best: list[Cutout | None] = [None] * len(prompts)
    seen = levels(embedding)
    chosen = [comfortable(embedding.shape, p) for p in prompts]
    chosen = [None if c is None else min(c, len(seen) - 1) for c in chosen]
    total, done = sum(len(seen) if c is None else 1 for c in chosen), 0
    for number, (frame, data) in enumerate(seen):
        asked = [i for i, c in enumerate(chosen) if c is None or c == number]
        for i, cutout in _in_frame(predictor, frame, data, asked, prompts):
            progress(done, total, "objects")
            done += 1
            held = best[i]
            if held is None or cutout.iou > held.iou:
                best[i] = cutout
    return [cutout for cutout in best if cutout is not None]


def _in_frame(
    predictor: EmbeddedPredictor,
    frame: Frame,
    data: NDArray[np.float32],
    asked: Sequence[int],
    prompts: Sequence[Prompt],
) -> Iterator[tuple[int, Cutout]]:
    """The best mask of each prompt in one frame: in batches of small windows, and alone where that is not enough."""
    tokens = torch.from_numpy(data).to(predictor.device)[None]
    placed = {i: frame.sparse(prompts[i]).to(predictor.device) for i in asked}
    windows = {i: window_around(places(placed[i], None), frame.grid, TOKENS_AROUND) for i in asked}
    alone = []
    for chunk in _chunks([i for i in asked if prompts[i].mask_logits is None], windows):
        logits, iou = _decoded(predictor, tokens, [placed[i] for i in chunk], [windows[i] for i in chunk])
        for row, i in enumerate(chunk):
            which = int(iou[row].argmax())
            if windows[i].cut((logits[row, which] > 0).cpu().numpy(), frame.grid):
                alone.append(i)
            else:
                yield i, _cutout(logits[row, which], float(iou[row, which]), windows[i], frame)
    for i in (*alone, *(i for i in asked if prompts[i].mask_logits is not None)):
        whole, opinions, window = predictor.decoded(frame, data, prompts[i])
        which = int(opinions.argmax())
        yield i, _cutout(whole[which], float(opinions[which]), window, frame)


def _chunks(indices: Sequence[int], windows: Mapping[int, Window]) -> Iterator[list[int]]:
    """Indices in chunks of equal window shapes; a box may want a larger one."""
    groups: dict[tuple[int, int], list[int]] = {}
    for i in indices:
        groups.setdefault((windows[i].height, windows[i].width), []).append(i)
    for (height, width), same in groups.items():
        at_once = max(1, _AT_ONCE * TOKENS_AROUND**2 // (height * width))
        yield from (same[start : start + at_once] for start in range(0, len(same), at_once))


def _decoded(
    predictor: EmbeddedPredictor, tokens: Tensor, placed: Sequence[Tensor], windows: Sequence[Window]
) -> tuple[Tensor, Tensor]:
    most = max(p.shape[1] for p in placed)
    cuts, prompts = [], []
    for one, window in zip(placed, windows):
        cut, moved, _ = window.of(tokens, one, None)
        cuts.append(cut)
        prompts.append(F.pad(moved, (0, 0, 0, most - moved.shape[1]), value=float(NOTHING)))
    return predictor.decode(torch.cat(cuts), torch.cat(prompts), None)


def _cutout(logits: Tensor, iou: float, window: Window, frame: Frame) -> Cutout:
    """A window's logits at the image's own pixels."""
    box, pixels = at_pixels(logits[None], window, frame)
    return Cutout(box, pixels[0].cpu().numpy(), iou)
