"""What to label next: score every predicted image, pick regions over the whole project, record them with reasons.

What a person said already counts: known pixels enter with certainty, a region is worth what it still leaves open,
and an answer labels only the region's pixels that nobody labelled before.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_wsss import __version__
from napari_wsss.acceptance import by_person, now
from napari_wsss.choices import DEFAULT_ENCODER, Choice
from napari_wsss.dense_features import DenseFeatures
from napari_wsss.diversity import CANDIDATES, Means, diverse, first_of
from napari_wsss.errors import CannotFeed, UsageError
from napari_wsss.models.doubt import box_sum, is_even, pick, region_scores, window_sizes
from napari_wsss.project import ImageRecord, Project
from napari_wsss.protocols import Acquisition, Context, Doubt
from napari_wsss.types import (
    Answer,
    Box4,
    Labels,
    Prediction,
    Progress,
    Provenance,
    Region,
    no_progress,
)
from napari_wsss.weak_labels import compile_target

DEFAULT, RANDOM = "ripu", "random"
EXPLORE = 0.3
"""Share of regions drawn at random, for labelling in earnest: a model that was only ever told about the places that it
doubts, the borders of things, forgets what their inside looks like and does not doubt it."""
_LEAST_OPEN = 0.1  # share of a region that must be open
_NOTHING = "the predictions tell no place from another (constant probabilities); train the segmenter first"
_FINISHED = "nothing is left to ask: every pixel of the predicted images is labelled or was asked about"


class NothingTold(UsageError):
    """The predictions are constant: no place is better than another."""


@dataclass(frozen=True)
class Asking:
    """How to ask.

    Attributes
    ----------
    strategy : method of ``acquisition``; params : its parameters
    reach : half side of a region in image pixels; 0 = a 32nd of the longer side, at least 1
    cost : count what is labelled already: known pixels are certain, and half-labelled regions come first
    diverse : choose regions whose features differ among those nearly as good; not of random ones
    most : regions of one image in a batch; 0 = any number
    explore : share of a batch that is drawn at random, rounded down; these come last
    """

    strategy: str = DEFAULT
    params: dict[str, Any] | None = None
    reach: int = 0
    cost: bool = True
    diverse: bool = True
    most: int = 0
    explore: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.explore < 1:
            raise UsageError("next: the share of regions drawn at random must lie in [0, 1); for all, strategy random")


@dataclass(frozen=True)
class Batch:
    """Regions, best first, and lines about images that could not be asked about."""

    regions: tuple[Region, ...]
    notes: tuple[str, ...]


def rank(
    project: Project,
    count: int,
    asking: Asking = Asking(),
    *,
    features: Means | None = None,
    progress: Progress = no_progress,
) -> Batch:
    """The regions most worth labelling, over all predicted images, then those drawn at random; records nothing.

    Parameters
    ----------
    features : callable or None
        For diversity; None = batches are not made diverse.

    Raises
    ------
    UsageError
        No such strategy, no image has a prediction, or the predictions tell no place from another.
    """
    strategy = _made(project, asking)
    there = project.result_keys("predicted")
    predicted = [r for r in project.records() if r.name in there and r.state != "skipped"]
    if not predicted:
        raise UsageError("no image is predicted yet; run `napari-wsss train` and `napari-wsss predict` first")
    by_chance = 0 if asking.strategy == RANDOM else int(asking.explore * count)
    drawn = _drawn(project, by_chance, len(predicted), asking.reach, progress)
    count -= len(drawn)
    most = max(1, asking.most - math.ceil(by_chance / len(predicted))) if asking.most else 0
    differ = features if asking.diverse and asking.strategy != RANDOM else None
    wanted = (min(count, most) if most else count) * (CANDIDATES if differ else 1)
    found: list[Region] = []
    notes: list[str] = []
    asked_all = True
    for done, record in enumerate(predicted):
        progress(done, len(predicted), f"score {record.name}")
        prediction = project.result(record.name, "predicted")
        if isinstance(prediction, Prediction):
            kept_off = [r.box for r in drawn if r.image == record.name]
            try:
                regions = _of_image(project, record, prediction, strategy, asking, wanted, kept_off)
                asked_all &= regions is None
                found += regions or []
            except CannotFeed as reason:
                notes.append(str(reason))
    progress(len(predicted), len(predicted), "score")
    best = heapq.nsmallest(len(found), found, key=lambda r: (-r.score, -r.uncertainty, r.image, r.box))
    if not best and asked_all and drawn:  # these were the last places
        return Batch(drawn, tuple(notes))
    if not best:
        raise UsageError(notes[0]) if notes else UsageError(_FINISHED) if asked_all else NothingTold(_NOTHING)
    chosen = diverse(project, best, count, differ, most) if differ else first_of(best, count, most)
    return Batch((*chosen, *drawn), tuple(notes))


def _drawn(project: Project, count: int, images: int, reach: int, progress: Progress) -> tuple[Region, ...]:
    """Regions drawn at random, spread evenly over the images; whether anything is known there does not matter."""
    if not count:
        return ()
    asking = Asking(RANDOM, reach=reach, cost=False, diverse=False, most=math.ceil(count / images))
    return rank(project, count, asking, progress=progress).regions


def next_regions(
    project: Project,
    count: int,
    asking: Asking = Asking(),
    *,
    renew: bool = False,
    features: Means | None = None,
    progress: Progress = no_progress,
) -> Batch:
    """The queue: regions that still wait for an answer in their old order, filled up to ``count`` and recorded.

    Parameters
    ----------
    renew : bool
        Forget those that wait and rank anew.
    """
    if renew:
        project.forget_open_regions()
    waiting = project.regions(("asked",))[:count]
    if len(waiting) >= count:
        return Batch(tuple(waiting), ())
    fresh = rank(project, count - len(waiting), asking, features=features, progress=progress)
    maker = Provenance(
        "method", f"acquisition/{asking.strategy}", now(), dict(asking.params or {}), version=__version__
    )
    numbers = project.add_regions(fresh.regions, maker)
    recorded = [replace(region, id=number) for region, number in zip(fresh.regions, numbers, strict=True)]
    return Batch((*waiting, *recorded), fresh.notes)


@dataclass(frozen=True, eq=False)
class Filling:
    """What an answer labels: the region, how it then stands, and a class id for each open pixel of its box (else 0)."""

    region: Region
    status: Answer
    labels: Labels


def filling(project: Project, number: int, said: Literal["accept", "skip"] | int) -> Filling:
    """What a person's answer about a region labels; writes nothing.

    ``accept``: the prediction is right there; ``skip``: do not ask again; a class id: all of it is that class. Only
    the region's pixels that nobody labelled, and that are no nodata, are labelled.

    Raises
    ------
    UsageError
        No such region or class, or the image's prediction is gone.
    """
    region = project.region(number)
    y0, x0, y1, x1 = region.box
    if said == "skip":
        return Filling(region, "skipped", np.zeros((y1 - y0, x1 - x0), np.uint16))
    if said == "accept":
        prediction = project.result(region.image, "predicted")
        if not isinstance(prediction, Prediction):
            raise UsageError(f"{region.image}: its prediction is gone; predict again, or name the class")
        labels = prediction.labels[y0:y1, x0:x1]
    else:
        if not 1 <= said <= len(project.classes):
            raise UsageError(f"no class {said}; the project's classes are 1 to {len(project.classes)}")
        labels = np.full((y1 - y0, x1 - x0), said, np.uint16)
    known = _known(project, project.record(region.image))[y0:y1, x0:x1] > 0
    open_pixels = ~known & project.reader(region.image)(region.box).valid
    status: Answer = "accepted" if said == "accept" else "class"
    return Filling(region, status, np.where(open_pixels, labels, 0).astype(np.uint16))


def answer(project: Project, number: int, said: Literal["accept", "skip"] | int) -> int:
    """Take a person's answer about a region, see :func:`filling`; how many pixels it labelled."""
    found = filling(project, number, said)
    what = {"skipped": "skip region", "accepted": "accept region"}.get(found.status, "all of one class")
    maker = by_person(what, (found.region.why,))
    if found.status != "skipped":
        y0, x0, y1, x1 = box = found.region.box
        mask = project.accepted(found.region.image)
        before = np.zeros((y1 - y0, x1 - x0), np.uint16) if mask is None else mask.labels[y0:y1, x0:x1]
        filled = np.where(found.labels > 0, found.labels, before).astype(np.uint16)
        project.edit_mask(found.region.image, box, filled, maker)
    project.answer_region(number, found.status, maker)
    return int((found.labels > 0).sum())


def features_of(project: Project, progress: Progress = no_progress) -> Means:
    """Mean features by the project's encoder, which :func:`rank` compares regions by."""
    name = project.settings.encoder or DEFAULT_ENCODER
    choice = Choice("encoders", name, dict(project.settings.params.get(name, {})), "encoder")
    return DenseFeatures(choice, Context(project.classes, progress=progress), project.cache).means


def _known(project: Project, record: ImageRecord) -> Labels:
    """Class ids that a person gave, by any kind of label."""
    labels = project.labels(record.name)
    return compile_target(labels, project.classes, record.shape, point_radius=project.settings.point_radius).seed


def _made(project: Project, asking: Asking) -> Acquisition:
    context = Context(project.classes, seed=project.settings.seed + len(project.regions()))
    made: Acquisition = Choice("acquisition", asking.strategy.replace("-", "_"), asking.params or {}, "next").make(
        context
    )
    return made


# --------------------------------------------------------------------------- one image


@dataclass(frozen=True, eq=False)
class _Cells:
    """An image's probabilities on their grid, what is known there, and what may not be asked again."""

    p: NDArray[np.float32]
    open_share: NDArray[np.float64]
    taken: NDArray[np.bool_]
    stride: int


def _of_image(
    project: Project,
    record: ImageRecord,
    prediction: Prediction,
    strategy: Any,
    asking: Asking,
    count: int,
    kept_off: Sequence[Box4],
) -> list[Region] | None:
    """The best regions of one image, at most ``count``; None where everything is labelled or was asked."""
    kept_off = [*kept_off, *(r.box for r in project.regions(None, record.name))]
    cells = _cells(project, record, prediction, asking, kept_off)
    reach = cell_reach(record.shape, asking.reach, prediction.stride)
    points = bool(getattr(strategy, "asks_pixels", False))
    half = 0 if points else reach
    rows, columns = cells.taken.shape
    open_here = box_sum(cells.open_share, half) / window_sizes((rows, columns), half)
    closed = cells.taken | (open_here < _LEAST_OPEN)
    if closed.all():
        return None
    planes = (prediction.disagreement, prediction.hardness)
    told = (None if plane is None else plane.astype(np.float32) for plane in planes)
    scores = strategy(Doubt(cells.p, record.name, reach, *told))
    maps = region_scores(cells.p, reach)
    even = is_even(scores, ~closed)  # e.g. no impure region is left
    by = maps.uncertainty if even else scores
    if is_even(by, ~closed) and np.count_nonzero(~closed) > 1:  # of the last place there is nothing to choose
        return []
    suppress = getattr(getattr(strategy, "params", None), "around", reach) if points else 2 * reach
    if asking.cost:
        by = by / np.maximum(open_here, 0.25)
    taken = _around(kept_off, closed, cells.stride, suppress - half)
    if not (by[~taken] > 0).any():
        even, by = True, maps.uncertainty
    regions: list[Region] = []
    for y, x in pick(by, taken, half, suppress):
        box = _box(y, x, half, prediction.stride, record.shape)
        score = max(0.0, scores[y, x]) if even else by[y, x]  # places that a strategy tells nothing of come last
        regions.append(_region(project, record.name, box, score, maps, (y, x), cells.p, half, asking.strategy))
        if len(regions) >= count:
            break
    return regions


def cell_reach(shape: tuple[int, int], reach: int, stride: int) -> int:
    """Half side of a region in cells."""
    pixels = reach or max(1, round(max(shape) / 32))
    return max(1, round(pixels / stride))


def _cells(
    project: Project, record: ImageRecord, prediction: Prediction, asking: Asking, kept_off: Sequence[Box4]
) -> _Cells:
    stride = prediction.stride
    p = prediction.probabilities.astype(np.float32)
    nodata = p.sum(0) == 0
    seed = _known(project, record) if record.labels_digest else np.zeros(record.shape, np.uint16)
    known = _means((seed > 0).astype(np.float32), stride)
    taken = nodata | (known >= 1)
    _cover(taken, kept_off, stride, 0)
    if asking.cost and (seed > 0).any():
        shares = np.stack([_means((seed == k).astype(np.float32), stride) for k in range(1, len(p) + 1)])
        p = (shares + (1 - known) * p).astype(np.float32)
    return _Cells(p, np.where(nodata, 0.0, 1.0 - known), taken, stride)


def _around(boxes: Sequence[Box4], closed: NDArray[np.bool_], stride: int, margin: int) -> NDArray[np.bool_]:
    """What is closed, and so many cells around regions that are or were asked, so that no window overlaps theirs.

    Where that leaves nothing, the regions alone are kept off.
    """
    wide = closed.copy()
    _cover(wide, boxes, stride, margin)
    return closed if wide.all() else wide


def _cover(cells: NDArray[np.bool_], boxes: Sequence[Box4], stride: int, margin: int) -> None:
    """Set the cells of boxes, and so many around them."""
    for y0, x0, y1, x1 in boxes:
        rows = slice(max(0, y0 // stride - margin), -(-y1 // stride) + margin)
        cells[rows, max(0, x0 // stride - margin) : -(-x1 // stride) + margin] = True


def _means(values: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
    if stride == 1:
        return values
    rows, columns = (np.arange(0, n, stride) for n in values.shape)
    sums = np.add.reduceat(np.add.reduceat(values, rows, 0), columns, 1)
    heights, widths = (np.diff(np.append(at, n)) for at, n in zip((rows, columns), values.shape, strict=True))
    means: NDArray[np.float32] = (sums / np.outer(heights, widths)).astype(np.float32)
    return means


def _box(y: int, x: int, half: int, stride: int, shape: tuple[int, int]) -> Box4:
    """Image pixels of the cells around a centre; the middle pixel of the cell where a single one is asked."""
    if half == 0:
        row, column = (min(c * stride + stride // 2, n - 1) for c, n in zip((y, x), shape, strict=True))
        return row, column, row + 1, column + 1
    y0, x0 = max(0, y - half) * stride, max(0, x - half) * stride
    return y0, x0, min(shape[0], (y + half + 1) * stride), min(shape[1], (x + half + 1) * stride)


def _region(
    project: Project,
    name: str,
    box: Box4,
    score: float,
    maps: Any,
    at: tuple[int, int],
    p: NDArray[np.float32],
    half: int,
    strategy: str,
) -> Region:
    y, x = at
    window = p[:, max(0, y - half) : y + half + 1, max(0, x - half) : x + half + 1]
    mean = window.reshape(len(p), -1).mean(1)
    order = np.argsort(-mean, kind="stable")[:2]
    likely = tuple(int(k) + 1 for k in order)
    mixed, unsure = float(maps.impurity[at]), float(maps.uncertainty[at])
    names = [f"{project.classes[k].name} ({mean[k - 1]:.0%})" for k in likely]
    chance = "drawn at random; " if strategy == RANDOM else ""
    why = f"{chance}hesitates between {' and '.join(names)}; impurity {mixed:.2f}, uncertainty {unsure:.2f}"
    return Region(name, box, float(score), mixed, unsure, likely, why, strategy)
