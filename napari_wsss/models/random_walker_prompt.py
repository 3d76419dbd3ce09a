"""One object by clicks without any weights: a random walker on colours, in a window around the clicks.

Grady, "Random Walks for Image Segmentation", IEEE TPAMI 2006, in the form with priors (Grady, CVPR
2005): a pixel's prior is how much more its colour resembles the clicked colours than the others near by.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg
from skimage.filters import threshold_otsu
from skimage.morphology import convex_hull_image, h_maxima
from skimage.segmentation import watershed

from napari_wsss.models.prompts import LOWEST_LOGIT, Embedding, Prediction, Prompt, to_lowres
from napari_wsss.types import Bool, Box4, Float, Image

HALF_SIDE = 24
"""Pixels that the first window reaches beyond the clicks; it doubles while the object touches it."""

LARGER = 1.5
"""The third mask is at least so many times as large as the second one."""

_CELLS = 96
_GRAIN = 0.01  # of the image's variance: a window with less shows no edge
_EDGE = 60.0
_PRIOR = 0.02
_CLAMP = 1e4
_STEEP = 0.2
_LEVELS = 24
_NEARLY, _SIZE, _DISOBEYED = 0.85, 0.15, 0.7
_PULL, _REACH = 14.0, 0.35
_DEPTH_BETWEEN, _CONVEX = 0.15, 4
_BAND = 3
_EIGHT = np.ones((3, 3), bool)


class _Window(NamedTuple):
    """Features (d, h, w) of one window, averaged over ``step`` x ``step`` pixels, and its corner."""

    data: Float
    origin: tuple[int, int]
    shape: tuple[int, int]
    step: int

    def cells(self, points: NDArray[np.int64]) -> NDArray[np.int64]:
        """Cells of the pixels that lie in the window."""
        inside = ((points >= self.origin) & (points < np.add(self.origin, self.shape))).all(1)
        return (points[inside] - self.origin) // self.step

    def inside(self, box: Box4 | None) -> Bool:
        """Cells that lie in a box, bool (h, w); all of them without one."""
        out: Bool = np.full(self.data.shape[1:], box is None)
        if box is not None:
            y0, x0 = (np.array(box[:2]) - self.origin) // self.step
            y1, x1 = -(-(np.array(box[2:]) - self.origin) // self.step)
            out[y0:y1, x0:x1] = True
        return out

    def touched(self, mask: Bool, image: tuple[int, int]) -> bool:
        """Whether a mask of the window reaches a side of it that is no side of the image."""
        (y0, x0), (h, w) = self.origin, self.shape
        inner = (y0 > 0, x0 > 0, y0 + h < image[0], x0 + w < image[1])
        return any(i and bool(m.any()) for i, m in zip(inner, (mask[0], mask[:, 0], mask[-1], mask[:, -1])))


@dataclass(frozen=True, slots=True)
class RandomWalkerPrompt:
    """Part, whole and larger whole of one object; the predictor that works without weights.

    The colours are the image's channels, slightly blurred. It knows nothing of objects: textures and
    touching objects of one colour need more clicks than a trained model does.
    """

    model: str = "random_walker"
    side: int = 256
    second_look: None = None

    def embed(self, image: Image) -> Embedding:
        """The image's channels, blurred by one pixel: float32 (c, h, w)."""
        return Embedding(ndimage.gaussian_filter(image.channels, (0, 1, 1)).astype(np.float32), image.shape)

    def predict(self, embedding: Embedding, prompt: Prompt) -> Prediction:
        """Part, whole and larger whole, for clicks, a box or a first guess of one object.

        A click is always obeyed, but where a positive and a negative one are closer than the window's
        coarseness (one pixel in 96 of its longer side).
        """
        prompt = _with_centre(prompt)
        whole = _grown(embedding, prompt, 0)
        larger = _grown(embedding, prompt, int(LARGER * whole.mask.sum()))
        found = (whole._replace(mask=_part(whole, prompt)), whole, larger)
        return Prediction(
            np.stack([f.in_image(embedding.shape) for f in found]),
            np.array([_score(embedding.data, f) for f in found], np.float32),
            np.stack([to_lowres(f.logits(embedding.shape), self.side) for f in found]),
        )


def _with_centre(prompt: Prompt) -> Prompt:
    """A box without a positive click is clicked in its middle."""
    if prompt.box is None or prompt.positive.any():
        return prompt
    y0, x0, y1, x1 = prompt.box
    points = np.concatenate([[((y0 + y1) // 2, (x0 + x1) // 2)], prompt.points])
    return replace(prompt, points=points, positive=np.concatenate([[True], prompt.positive]))


class _Found(NamedTuple):
    """An object in a window: mask bool and probability float32, both of the size of ``box``."""

    mask: Bool
    share: Float
    box: Box4

    def in_image(self, shape: tuple[int, int]) -> Bool:
        out: Bool = np.zeros(shape, bool)
        out[self.box[0] : self.box[2], self.box[1] : self.box[3]] = self.mask
        return out

    def logits(self, shape: tuple[int, int]) -> Float:
        out: Float = np.full(shape, LOWEST_LOGIT, np.float32)
        agreeing = np.where(self.mask, np.maximum(self.share, 0.51), np.minimum(self.share, 0.49))
        likely = np.clip(agreeing, 1e-4, 1 - 1e-4)
        out[self.box[0] : self.box[2], self.box[1] : self.box[3]] = np.log(likely / (1 - likely))
        return out


def _grown(embedding: Embedding, prompt: Prompt, least: int) -> _Found:
    """The object of at least ``least`` pixels in the first window, of those that double, that holds it."""
    core, shape, half = _core(prompt, embedding.shape), embedding.shape, HALF_SIDE
    grain = _GRAIN * float(embedding.data.var((1, 2)).sum())
    while True:
        box = _around(core, half, shape)
        inside = embedding.data[:, box[0] : box[2], box[1] : box[3]]
        if prompt.box is None and box != (0, 0, *shape) and float(inside.var((1, 2)).sum()) < grain:
            half *= 2  # wholly inside one thing: nothing there but its grain
            continue
        window = _window(embedding.data, box)
        share = _walk(window, prompt, shape, least)
        mask = _object(share, prompt, box)
        if box == (0, 0, *shape) or prompt.box is not None or not window.touched(mask, shape):
            return _Found(mask, share, box)
        half *= 2


def _core(prompt: Prompt, shape: tuple[int, int]) -> Box4:
    """The smallest box around all that the prompt says of the object."""
    corners = [prompt.points[prompt.positive], prompt.points[prompt.positive] + 1]
    if prompt.box is not None:
        corners.append(np.array(prompt.box).reshape(2, 2))
    said = np.concatenate(corners)
    if not len(said):
        return 0, 0, *shape
    return (*said.min(0).tolist(), *said.max(0).tolist())


def _around(core: Box4, half: int, shape: tuple[int, int]) -> Box4:
    y0, x0, y1, x1 = core
    return max(0, y0 - half), max(0, x0 - half), min(shape[0], y1 + half), min(shape[1], x1 + half)


def _window(data: Float, box: Box4) -> _Window:
    y0, x0, y1, x1 = box
    step = max(1, -(-max(y1 - y0, x1 - x0) // _CELLS))
    cut = data[:, y0:y1, x0:x1]
    padded = np.pad(cut, ((0, 0), (0, -(y1 - y0) % step), (0, -(x1 - x0) % step)), mode="edge")
    d, h, w = padded.shape
    means = padded.reshape(d, h // step, step, w // step, step).mean((2, 4))
    return _Window(means, (y0, x0), (y1 - y0, x1 - x0), step)


# --------------------------------------------------------------------------- the walk


def _walk(window: _Window, prompt: Prompt, shape: tuple[int, int], least: int) -> Float:
    """Probability of the object, float32, at the window's own size."""
    prior = _prior(window, prompt, shape, least / window.step**2)
    clamped = _clamped(window, prompt)
    free = np.isnan(clamped)
    weight = np.where(free, _PRIOR, _CLAMP)
    value = np.where(free, prior, clamped)
    matrix = _laplacian(window.data) + sparse.diags(weight.ravel())
    start = value.ravel()
    # the start and the tolerance are fixed, so equal input gives equal output
    scaled = sparse.diags(1 / matrix.diagonal())
    found, _ = cg(matrix, (weight * value).ravel(), start, rtol=1e-5, maxiter=400, M=scaled)
    coarse = found.reshape(prior.shape).astype(np.float32)
    fine = np.kron(coarse, np.ones((window.step, window.step), np.float32)) if window.step > 1 else coarse
    if window.step > 1:
        fine = ndimage.gaussian_filter(fine, window.step / 2)
    for sign in (False, True):  # the blur must not blur a click away
        for y, x in window.cells(prompt.points[prompt.positive == sign]) * window.step:
            fine[y : y + window.step, x : x + window.step] = float(sign)
    share: Float = fine[: window.shape[0], : window.shape[1]]
    return share


def _laplacian(data: Float) -> sparse.csr_array:
    """Graph Laplacian of the 4-neighbour grid; edges weaken with the squared colour difference."""
    h, w = data.shape[1:]
    index = np.arange(h * w).reshape(h, w)
    spread = max(float(data.var((1, 2)).sum()), 1e-6)
    pairs, weights = [], []
    for a, b in (((slice(None), slice(0, -1)), (slice(None), slice(1, None))), ((slice(0, -1),), (slice(1, None),))):
        apart = ((data[(slice(None), *a)] - data[(slice(None), *b)]) ** 2).sum(0) / spread
        pairs.append((index[a].ravel(), index[b].ravel()))
        weights.append(np.exp(-_EDGE * apart).ravel() + 1e-4)
    i, j = (np.concatenate([p[n] for p in pairs]) for n in (0, 1))
    v = np.concatenate(weights).astype(np.float64)
    n = h * w
    one_way = sparse.csr_array((v, (i, j)), shape=(n, n))
    both = one_way + one_way.T
    return sparse.csr_array(sparse.diags(both.sum(1)) - both)


def _clamped(window: _Window, prompt: Prompt) -> NDArray[np.float64]:
    """1 at positive clicks, 0 at negative ones and outside the box, NaN elsewhere."""
    out = np.full(window.data.shape[1:], np.nan)
    out[~window.inside(prompt.box)] = 0
    for sign in (False, True):
        for y, x in window.cells(prompt.points[prompt.positive == sign]):
            out[y, x] = float(sign)
    return out


def _prior(window: _Window, prompt: Prompt, shape: tuple[int, int], least: float) -> NDArray[np.float64]:
    """Probability of the object by colour, float64 on the window's cells.

    The first click's colour speaks for the whole window; every other click only for what is near it and
    of its colour, so that a click on a blurred rim does not move the whole outline.
    """
    data = window.data
    cells = window.cells(prompt.points[prompt.positive])
    odds = np.zeros(data.shape[1:])
    if len(cells):
        y, x = cells[0]
        about = data[:, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2].mean((1, 2))
        away = _nearest(data, about[None])
        limit = _limit(window, shape, prompt, away, least)
        odds += (limit - away) / (_STEEP * limit)
        odds += _local(window, prompt, limit)
    if prompt.mask_logits is not None:
        odds += _guess(window, prompt.mask_logits, shape)
    return 1 / (1 + np.exp(-np.clip(odds, -30, 30)))


def _limit(window: _Window, shape: tuple[int, int], prompt: Prompt, away: NDArray[np.float64], least: float) -> float:
    """The colour tolerance whose flood from the first click ends at the strongest edges, most clicks obeyed.

    Taken is the loosest flood whose rim is nearly as steep as the steepest; each click that a flood
    disobeys counts against it, because a click on a blurred rim must not rule alone. A box counts as
    far as the flood is as wide and high as it. Floods that reach the window's frame or have fewer than
    ``least`` cells do not count; Otsu's threshold where none is left.
    """
    data = window.data
    slope = np.sqrt((ndimage.sobel(data, 1) ** 2 + ndimage.sobel(data, 2) ** 2).sum(0))
    yes = window.cells(prompt.points[prompt.positive])
    no = window.cells(prompt.points[~prompt.positive])
    inside, boxed = window.inside(prompt.box), prompt.box is not None
    floods: list[tuple[float, float]] = []
    for limit in np.linspace(away.min(), away.max(), _LEVELS + 2)[1:-1]:
        numbered, _ = ndimage.label((away < limit) & inside)
        number = numbered[yes[0, 0], yes[0, 1]]
        mask = ndimage.binary_fill_holes(numbered == number)
        rim = mask ^ ndimage.binary_dilation(mask)
        loose = not boxed and window.touched(mask, shape)
        if not number or mask.sum() < max(least, 4) or loose or not rim.any():
            continue
        missed = int((~mask[tuple(yes.T)]).sum() + (numbered[tuple(no.T)] == number).sum())
        steep = float(slope[rim].mean()) * float(mask.sum()) ** _SIZE
        if boxed:
            steep *= mask.any(1).sum() * mask.any(0).sum() / inside.sum()
        floods.append((steep * _DISOBEYED**missed, float(limit)))
    if not floods:
        return _otsu(away)
    best = max(steep for steep, _ in floods)
    return max(limit for steep, limit in floods if steep >= _NEARLY * best)


def _local(window: _Window, prompt: Prompt, limit: float) -> NDArray[np.float64]:
    """Log odds that single clicks add near them, as far as to half-way to the next click of the other sign."""
    data = window.data
    rows, columns = np.ogrid[: data.shape[1], : data.shape[2]]
    groups = {sign: window.cells(prompt.points[prompt.positive == sign]) for sign in (True, False)}
    odds = np.zeros(data.shape[1:])
    for sign, cells in groups.items():
        others = groups[not sign]
        if not len(others):
            continue
        for (y, x), colour in zip(cells, _colours(data, cells)):
            reach = _REACH * max(1.0, float(np.sqrt(((others - (y, x)) ** 2).sum(1)).min()))
            near = np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * reach**2))
            alike = np.exp(-((_nearest(data, colour[None]) / limit) ** 2) / 2)
            odds += (1 if sign else -1) * _PULL * near * alike
    return odds


def _colours(data: Float, cells: NDArray[np.int64]) -> Float:
    """Colour of each cell, float32 (n, d)."""
    colours: Float = data[:, cells[:, 0], cells[:, 1]].T
    return colours


def _nearest(data: Float, colours: Float) -> NDArray[np.float64]:
    """Distance of each cell's colour to the nearest of these."""
    apart = np.stack([((data - c[:, None, None]) ** 2).sum(0) for c in colours]).min(0)
    return np.asarray(np.sqrt(apart), np.float64)


def _otsu(values: NDArray[np.float64]) -> float:
    """Otsu's threshold; where all is equal, something above it all."""
    if float(np.ptp(values)) < 1e-6:
        return float(values.max()) + 1e-3
    return max(float(threshold_otsu(values)), 1e-3)


def _guess(window: _Window, logits: Float, shape: tuple[int, int]) -> NDArray[np.float64]:
    """A low-resolution guess at the centres of the window's cells."""
    scale = logits.shape[-1] / max(shape)
    axes = [
        ((np.arange(n) + 0.5) * window.step + o) * scale - 0.5 for n, o in zip(window.data.shape[1:], window.origin)
    ]
    there = ndimage.map_coordinates(
        logits.astype(np.float64), np.meshgrid(*axes, indexing="ij"), order=1, mode="nearest"
    )
    return np.asarray(there, np.float64)


# --------------------------------------------------------------------------- from shares to an object


def _object(share: Float, prompt: Prompt, box: Box4) -> Bool:
    """The part of the likely pixels that the prompt points at, at the window's size, without holes."""
    likely = share > 0.5
    origin = np.array(box[:2])
    positive = prompt.points[prompt.positive] - origin
    numbered, n = ndimage.label(likely)
    if not n:
        return likely
    wanted = set(numbered[tuple(positive.T)].tolist()) - {0}
    if not len(positive):
        wanted = {int(np.bincount(numbered.ravel())[1:].argmax()) + 1}
    mask = np.isin(numbered, sorted(wanted))
    filled: Bool = ndimage.binary_fill_holes(mask)
    against = prompt.points[~prompt.positive] - origin
    inside = ((against >= 0) & (against < share.shape)).all(1)
    return mask if filled[tuple(against[inside].T)].any() else filled


def _part(found: _Found, prompt: Prompt) -> Bool:
    """What the positive clicks are in of an object that narrows between deep parts; else all of it."""
    positive = prompt.points[prompt.positive] - np.array(found.box[:2])
    if not len(positive) or not found.mask.any():
        return found.mask
    k = _coarseness(found.mask)
    mask, cells = found.mask[::k, ::k], positive // k
    depth = ndimage.distance_transform_edt(np.pad(mask, 1))[1:-1, 1:-1]
    least = max(0.75, _DEPTH_BETWEEN * float(depth[tuple(cells.T)].max()))
    markers, n = ndimage.label(h_maxima(depth, least), _EIGHT)
    if n < 2:
        return found.mask
    basins = watershed(-depth, markers, mask=mask)
    wanted = sorted(set(basins[tuple(cells.T)].tolist()) - {0})
    chosen = np.kron(np.isin(basins, wanted), np.ones((k, k), bool))[: found.mask.shape[0], : found.mask.shape[1]]
    part: Bool = found.mask & chosen
    return part if part.any() else found.mask


def _coarseness(mask: Bool) -> int:
    """Every how many pixels are enough to tell a shape."""
    return max(1, int(max(mask.shape)) // (2 * _CELLS))


def _score(data: Float, found: _Found) -> float:
    """How well the rim parts two colours, times how convex the object is; 0 to 1, 0 for an empty mask."""
    mask = found.mask
    inner = mask & ~ndimage.binary_erosion(mask, _EIGHT, iterations=_BAND)
    outer = ndimage.binary_dilation(mask, _EIGHT, iterations=_BAND) & ~mask
    if mask.sum() < 4 or not outer.any():
        return 0.0
    cut = data[:, found.box[0] : found.box[2], found.box[1] : found.box[3]]
    a, b = cut[:, inner], cut[:, outer]
    apart = float(np.linalg.norm(a.mean(1) - b.mean(1)))
    spread = float(np.sqrt(a.var(1).sum()) + np.sqrt(b.var(1).sum()))
    return apart / (apart + spread + 1e-6) * _solidity(mask) ** _CONVEX


def _solidity(mask: Bool) -> float:
    """Share of its convex hull that a mask fills."""
    k = _coarseness(mask)
    coarse = mask[::k, ::k]
    return float(coarse.sum() / max(1, convex_hull_image(coarse).sum())) if coarse.any() else 1.0
