"""The image that a person looks at: all that is known of it, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_wsss.images import ImageSource
from napari_wsss.project import ImageRecord, Project
from napari_wsss.session.draft import Draft
from napari_wsss.session.predicted import Predicted
from napari_wsss.session.predicted import read as read_predicted
from napari_wsss.session.steps import History
from napari_wsss.types import (
    Bool,
    Box4,
    Cam,
    Instances,
    Labels,
    Mark,
    Mask,
    PixelSize,
    PseudoLabels,
    Region,
    Stroke,
    Tags,
)
from napari_wsss.weak_labels import lay

Preview = Literal["seeds", "pseudo", "refined"]

_ROWS = 512  # of which outlines are drawn at once
_WHOLE = 2**24  # pixels of an image that is read whole for its thumbnail


@dataclass(frozen=True, eq=False, slots=True)
class Picture:
    """What the eye gets of an image: stored values of one channel, or eight-bit RGB.

    ``limits`` are the contrast limits of a single channel.
    """

    pixels: NDArray[Any]
    limits: tuple[float, float] | None


@dataclass(eq=False)
class Opened:
    """One image of a project and everything said or computed of it. Arrays change with the person's steps.

    Attributes
    ----------
    marks : dict of token to Mark
        In the order they were made. A token is stable over undo and redo; the journal's number is ``numbers[token]``.
    accepted, instances : (h, w)
        The accepted mask and its object ids.
    scribbles : uint16 (h, w)
        All strokes, the newest on top.
    map_seeds, contradictions : see :mod:`napari_wsss.session.mapping`
    outlines : uint8 (h, w)
        1 on the borders of accepted objects. napari's own outlines are made of the whole image again and again.
    highest : int
        No object of the image had a larger id since it was opened.
    """

    record: ImageRecord
    picture: Picture | None
    pixel_size: PixelSize | None
    marks: dict[int, Mark]
    numbers: dict[int, int]
    tags: Tags
    accepted: Labels
    instances: Instances
    scribbles: Labels
    cam: Cam | None = None
    pseudo: PseudoLabels | None = None
    refined: Mask | None = None
    map_seeds: Labels | None = None
    contradictions: Bool | None = None
    predicted: Predicted | None = None
    draft: Draft | None = None
    outlines: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))
    highest: int = 0
    history: History = field(default_factory=History)

    @property
    def name(self) -> str:
        return self.record.name

    @property
    def shape(self) -> tuple[int, int]:
        return self.record.shape

    def preview(self, what: Preview, box: Box4 | None = None) -> Labels | None:
        """What a stage made, with the person's strokes on top, within a box; None where it made nothing."""
        made = self.pseudo if what == "pseudo" else self.refined
        found = self.map_seeds if what == "seeds" else None if made is None else made.labels
        if found is None:
            return None
        y0, x0, y1, x1 = box or (0, 0, *self.shape)
        drawn = self.scribbles[y0:y1, x0:x1]
        return np.where(drawn > 0, drawn, found[y0:y1, x0:x1]).astype(np.uint16)

    def free_instance(self) -> int:
        """An object id that nothing in the image has."""
        marked = (getattr(mark, "instance", 0) for mark in self.marks.values())
        return max(self.highest, *marked, 0) + 1

    def put(self, box: Box4, labels: Labels, instances: Instances) -> None:
        """What is accepted in a box."""
        there = np.s_[box[0] : box[2], box[1] : box[3]]
        self.accepted[there], self.instances[there] = labels, instances
        self.highest = max(self.highest, int(instances.max(initial=0)))
        self.draw_outlines(box)

    def beyond(self, box: Box4) -> Box4:
        """The box and the pixels next to it."""
        return max(0, box[0] - 1), max(0, box[1] - 1), min(box[2] + 1, self.shape[0]), min(box[3] + 1, self.shape[1])

    def draw_outlines(self, box: Box4) -> None:
        """Draw the borders of objects again, within a box and beside it."""
        changed = self.beyond(box)
        y0, x0, y1, x1 = self.beyond(changed)
        drawn = borders(self.instances[y0:y1, x0:x1])
        inner = np.s_[changed[0] - y0 : changed[2] - y0, changed[1] - x0 : changed[3] - x0]
        self.outlines[changed[0] : changed[2], changed[1] : changed[3]] = drawn[inner]

    def draw_scribbles(self, box: Box4 | None = None) -> None:
        """Draw the strokes again, within a box or everywhere."""
        y0, x0, y1, x1 = box or (0, 0, *self.shape)
        part = self.scribbles[y0:y1, x0:x1]
        part[:] = 0
        for mark in self.marks.values():
            if isinstance(mark, Stroke):
                lay(mark, (y0, x0, y1, x1), part)


def borders(ids: Instances) -> NDArray[np.uint8]:
    """1 on pixels of an object that touch another object or none; the sides of the array are no borders."""
    out = np.zeros(ids.shape, bool)
    down, across = ids[1:] != ids[:-1], ids[:, 1:] != ids[:, :-1]
    out[1:] |= down
    out[:-1] |= down
    out[:, 1:] |= across
    out[:, :-1] |= across
    return (out & (ids > 0)).astype(np.uint8)


def load(project: Project, name: str, with_picture: bool) -> Opened:
    """Read an image and all that is said of it. Takes as long as the image is large; not for the window's thread."""
    record = project.record(name)
    recorded = project.marks(record.name)
    mask = project.accepted(record.name)
    ids = None if mask is None else mask.instances
    opened = Opened(
        record,
        picture(project, record) if with_picture else None,
        project.source(record.name).pixel_size,
        {m.id: m.mark for m in recorded},
        {m.id: m.id for m in recorded},
        project.labels(record.name).tags,
        np.zeros(record.shape, np.uint16) if mask is None else mask.labels,
        np.zeros(record.shape, np.uint32) if ids is None else ids,
        np.zeros(record.shape, np.uint16),
        outlines=np.zeros(record.shape, np.uint8),
        highest=0 if ids is None else int(ids.max(initial=0)),
    )
    for top in range(0, record.shape[0], _ROWS):
        if ids is not None and ids[top : top + _ROWS].any():
            opened.draw_outlines((top, 0, min(top + _ROWS, record.shape[0]), record.shape[1]))
    opened.draw_scribbles()
    opened.cam, opened.pseudo, opened.refined, opened.predicted = results(project, record.name)
    return opened


def picture(project: Project, record: ImageRecord) -> Picture:
    """Stored values of a single channel with the project's contrast, an eight-bit RGB image as it is, else RGB in that
    contrast."""
    from napari_wsss import datasets, images

    source = project.source(record.name)
    if _is_rgb(source) and not project.settings.display_channels:
        return Picture(np.ascontiguousarray(source.read(record.plane)[0].transpose(1, 2, 0)), None)
    if source.n_channels > 1:
        return Picture(datasets.picture(project, record.name), None)
    low, high = images.contrast(source, record.plane, project.settings.percentiles)
    limits = (float(low[0]), float(high[0])) if low[0] < high[0] else None
    return Picture(source.read(record.plane)[0][0], limits)


def results(project: Project, name: str) -> tuple[Cam | None, PseudoLabels | None, Mask | None, Predicted | None]:
    """What the stages and the segmenter made of an image."""
    cam, pseudo, refined = (project.result(name, stage) for stage in ("cam", "pseudo", "refined"))
    return (
        cam if isinstance(cam, Cam) else None,
        pseudo if isinstance(pseudo, PseudoLabels) else None,
        refined if isinstance(refined, Mask) else None,
        read_predicted(project, name),
    )


def thumbnail(project: Project, record: ImageRecord, most: tuple[int, int]) -> NDArray[np.uint8]:
    """A small picture, uint8 (h, w, 3), at most so large; of a very large image its middle."""
    from PIL import Image as Pillow

    from napari_wsss import images

    source = project.source(record.name)
    h, w = record.shape
    box = None
    if h * w > _WHOLE:
        y0, x0 = max(0, h // 2 - 1024), max(0, w // 2 - 1024)
        box = y0, x0, min(h, y0 + 2048), min(w, x0 + 2048)
    raw, _ = source.read(record.plane, box)
    channels = list(images.default_rgb(source)) if source.n_channels > 1 else [0, 0, 0]
    step = max(1, max(raw.shape[1:]) // 256)
    small = np.nan_to_num(raw[channels][:, ::step, ::step].astype(np.float32))
    low, high = (0, 255) if _is_rgb(source) else np.percentile(small, (1, 99), axis=(1, 2), keepdims=True)
    eight = (np.clip((small - low) / np.maximum(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
    picture = Pillow.fromarray(np.ascontiguousarray(eight.transpose(1, 2, 0)))
    picture.thumbnail((most[1], most[0]))
    return np.array(picture)


def _is_rgb(source: ImageSource) -> bool:
    """A photograph, whose colours people know: each channel stretched by itself would change them."""
    return source.n_channels == 3 and source.dtype == np.uint8


def around_region(project: Project, region: Region, side: int) -> NDArray[np.uint8]:
    """The region and what lies around it, uint8 (side, side, 3), with the region's border drawn in yellow."""
    from PIL import Image as Pillow

    y0, x0, y1, x1 = region.box
    h, w = project.record(region.image).shape
    reach = min(max(2 * max(y1 - y0, x1 - x0), 24), h, w)
    top = min(max(0, (y0 + y1 - 2 * reach) // 2), max(0, h - 2 * reach))
    left = min(max(0, (x0 + x1 - 2 * reach) // 2), max(0, w - 2 * reach))
    image = project.reader(region.image)((top, left, min(h, top + 2 * reach), min(w, left + 2 * reach)))
    eight = (image.rgb.transpose(1, 2, 0) * 255).astype(np.uint8)
    scale = side / max(eight.shape[:2])
    small = Pillow.fromarray(eight).resize((round(eight.shape[1] * scale), round(eight.shape[0] * scale)))
    out = np.zeros((side, side, 3), np.uint8)
    out[: small.height, : small.width] = np.array(small)
    ry0, ry1 = (round((v - top) * scale) for v in (y0, y1))
    rx0, rx1 = (round((v - left) * scale) for v in (x0, x1))
    frame = np.zeros((side, side), bool)
    frame[max(0, ry0 - 1) : ry1 + 1, max(0, rx0 - 1) : rx1 + 1] = True
    frame[ry0 + 1 : ry1 - 1, rx0 + 1 : rx1 - 1] = False
    out[frame] = (255, 213, 74)
    return out
