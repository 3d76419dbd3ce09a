"""One phrase to one mask: a text heat map prompts the segmenter, whose mask sharpens the next heat map.

The progressive prompting of GenSAM (Hu et al., "Relax Image-Specific Prompt Requirement in SAM", AAAI
2024; methods.md C.2), with the user's words in place of an image-to-text model.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.transform import resize

from napari_wsss.models.prompts import Embedding, Prompt, PromptPredictor, lowres_extent
from napari_wsss.protocols import TextEncoder
from napari_wsss.types import Bool, Box4, Features, Float, Image, Progress, digest, no_progress

Heat = Callable[[Image], Float]
"""Image to a signed map float32 (h, w): foreground words' heat minus background words'."""

HOT = 0.9
SETTLED = 0.003
"""Mean change of the soft mask below which further passes are not made."""

_KEEP = 0.7
_BOX_MARGIN = 0.1
_MOST_POINTS = 10
_EIGHT = np.ones((3, 3), bool)


@dataclass(frozen=True, eq=False, slots=True)
class Passes:
    """Every pass of the loop, and the one that agrees best with all of them.

    ``soft`` float32 (t, h, w) in [0, 1], ``masks`` bool (t, h, w), ``points`` one (n, 2) array of
    positive and one of negative pixels a pass, ``chosen`` the index of the final pass.
    """

    soft: Float
    masks: Bool
    points: tuple[tuple[NDArray[np.int64], NDArray[np.int64]], ...]
    chosen: int

    @property
    def mask(self) -> Bool:
        final: Bool = self.masks[self.chosen]
        return final


# --------------------------------------------------------------------------- heat


def phrase_heat(
    encoder: TextEncoder, features: Callable[[Image], Features], foreground: Sequence[str], background: Sequence[str]
) -> Heat:
    """Heat of some words against others, on the encoder's dense features.

    The similarity to the empty phrase is subtracted first: it is what all phrases share. Each word's map
    is scaled to [0, 1]; words are averaged; the background's average is subtracted.

    Parameters
    ----------
    encoder : TextEncoder
    features : callable
        Image to its dense features in the space of the text.
    foreground, background : sequence of str
        At least one foreground phrase; without background phrases nothing is subtracted.
    """
    texts = encoder.encode_text([*foreground, *background, ""])

    def heat(image: Image) -> Float:
        data = features(image).data
        tokens = data / np.maximum(np.linalg.norm(data, axis=0, keepdims=True), 1e-6)
        similar = np.einsum("nd,dhw->nhw", texts[:-1] - texts[-1], tokens)
        low, high = similar.min((1, 2), keepdims=True), similar.max((1, 2), keepdims=True)
        maps = (similar - low) / np.maximum(high - low, 1e-8)
        n = len(foreground)
        against = maps[n:].mean(0) if len(background) else np.zeros_like(maps[0])
        signed: Float = (maps[:n].mean(0) - against).astype(np.float32)
        return signed

    return heat


def heat_points(
    heat: Float, shape: tuple[int, int], most: int = _MOST_POINTS
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positive points where the heat is highest, equally many negative ones where it is lowest.

    No two points of a sign are within one token of each other. Both signs follow the same rule on the
    heat and its negative, so exchanging foreground and background exchanges the points exactly.

    Parameters
    ----------
    heat : float32 (h, w)
    shape : tuple of 2 int
        Rows and columns of the image that the points are in.
    most : int
        Most points of a sign.

    Returns
    -------
    positive, negative : int64 (n, 2)
        (y, x); both empty where the heat is flat.
    """
    spread = float(heat.max() - heat.min())
    if not spread > 0:
        empty = np.zeros((0, 2), np.int64)
        return empty, empty
    positive = _peaks(heat, spread, most)
    negative = _peaks(-heat, spread, most)
    n = min(len(positive), len(negative))
    scale = np.array(shape) / np.array(heat.shape)
    return ((positive[:n] + 0.5) * scale).astype(np.int64), ((negative[:n] + 0.5) * scale).astype(np.int64)


def _peaks(heat: Float, spread: float, most: int) -> NDArray[np.int64]:
    """Tokens within the hottest tenth, hottest first, no two of them neighbours."""
    hot = np.flatnonzero((heat.ravel() - heat.min()) / spread >= HOT)
    ranked = hot[np.argsort(-heat.ravel()[hot], kind="stable")]
    found: list[tuple[int, int]] = []
    for index in ranked.tolist():
        y, x = divmod(index, heat.shape[1])
        if all(max(abs(y - v), abs(x - u)) > 1 for v, u in found):
            found.append((y, x))
        if len(found) == most:
            break
    return np.array(found, np.int64).reshape(-1, 2)


# --------------------------------------------------------------------------- the loop


def progressive(
    image: Image,
    heat: Heat,
    predictor: PromptPredictor,
    passes: int = 6,
    reweight: bool = True,
    progress: Progress = no_progress,
) -> Passes | None:
    """Heat map, points, mask; then again on the image weighted by the soft mask, with the mask's box.

    Parameters
    ----------
    image : Image
    heat : callable
    predictor : PromptPredictor
    passes : int
        Most passes; fewer where the soft mask changes by less than 0.003.
    reweight : bool
        False: the image stays as it is, so it is embedded once and only box and mask guide later passes.
    progress : callable

    Returns
    -------
    Passes or None
        None where the heat is flat: the phrase says nothing about this image.
    """
    seen, soft, points, masks = image, list[Float](), [], list[Bool]()
    embedding, box, guess = predictor.embed(image), None, None
    for t in range(passes):
        progress(t, passes, "passes")
        if t and reweight:
            seen = weighted(seen, image, soft[-1])
            embedding = predictor.embed(seen)
        positive, negative = heat_points(heat(seen), image.shape)
        if not len(positive):
            break
        both = np.concatenate([positive, negative])
        prompt = Prompt(both, np.arange(len(both)) < len(positive), box, None if reweight else guess)
        mask, guess = _best(predictor, embedding, prompt)
        soft.append(_soft(guess, image.shape))
        masks.append(mask & image.valid)
        points.append((positive, negative))
        if t and float(np.abs(soft[-1] - soft[-2]).mean()) < SETTLED:
            break
        box = largest_box(masks[-1])
    if not soft:
        return None
    return Passes(np.stack(soft), np.stack(masks), tuple(points), consistent_pass(np.stack(soft)))


def consistent_pass(soft: Float) -> int:
    """Index of the pass whose mask is closest to the mask of the mean of all; the first one of equals."""
    mean = soft.mean(0) > 0.5
    return int(((soft > 0.5) != mean).sum((1, 2)).argmin())


def weighted(seen: Image, first: Image, soft: Float) -> Image:
    """The next pass's image: 0.7 of the last one and 0.3 of the first one times the soft mask."""
    channels = (_KEEP * seen.channels + (1 - _KEEP) * first.channels * soft).astype(np.float32)
    return replace(seen, channels=channels, key=digest(seen.key, channels.tobytes()) if seen.key else "")


def largest_box(mask: Bool) -> Box4 | None:
    """Box of the largest component (8 neighbours), 10 % larger; None for an empty mask."""
    numbered, n = ndimage.label(mask, _EIGHT)
    if not n:
        return None
    largest = int(np.bincount(numbered.ravel())[1:].argmax())
    rows, columns = ndimage.find_objects(numbered)[largest]
    dy, dx = (round(_BOX_MARGIN / 2 * (s.stop - s.start)) for s in (rows, columns))
    h, w = mask.shape
    return max(0, rows.start - dy), max(0, columns.start - dx), min(h, rows.stop + dy), min(w, columns.stop + dx)


def _best(predictor: PromptPredictor, embedding: Embedding, prompt: Prompt) -> tuple[Bool, Float]:
    prediction = predictor.predict(embedding, prompt)
    best = int(prediction.iou.argmax())
    return prediction.masks[best], prediction.lowres[best]


def _soft(lowres: Float, shape: tuple[int, int]) -> Float:
    rows, columns = lowres_extent(shape, lowres.shape[-1])
    share = 1 / (1 + np.exp(-np.clip(lowres[:rows, :columns], -50, 50)))
    out: Float = resize(share, shape, order=1, mode="edge", anti_aliasing=False).astype(np.float32)
    return out
