"""The image that a person looks at: all that is known of it, in memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_wsss.project import ImageRecord, Project
from napari_wsss.session.draft import Draft
from napari_wsss.session.steps import History
from napari_wsss.types import Bool, Box4, Cam, Instances, Labels, Mark, Mask, PixelSize, PseudoLabels, Stroke, Tags

Preview = Literal["seeds", "pseudo", "refined"]

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
    draft: Draft | None = None
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
        return max(int(self.instances.max()), *marked, 0) + 1

    def draw_scribbles(self, box: Box4 | None = None) -> None:
        """Draw the strokes again, within a box or everywhere."""
        y0, x0, y1, x1 = box or (0, 0, *self.shape)
        part = self.scribbles[y0:y1, x0:x1]
        part[:] = 0
        for mark in self.marks.values():
            if isinstance(mark, Stroke):
                lay(mark, (y0, x0, y1, x1), part)


def lay(stroke: Stroke, box: Box4, onto: Labels) -> None:
    """Draw a stroke onto the array of a box."""
    y0, x0 = max(stroke.y0, box[0]), max(stroke.x0, box[1])
    y1 = min(stroke.y0 + stroke.raster.shape[0], box[2])
    x1 = min(stroke.x0 + stroke.raster.shape[1], box[3])
    if y0 < y1 and x0 < x1:
        raster = stroke.raster[y0 - stroke.y0 : y1 - stroke.y0, x0 - stroke.x0 : x1 - stroke.x0]
        there = onto[y0 - box[0] : y1 - box[0], x0 - box[1] : x1 - box[1]]
        there[raster > 0] = raster[raster > 0]


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
    )
    opened.draw_scribbles()
    opened.cam, opened.pseudo, opened.refined = results(project, record.name)
    return opened


def picture(project: Project, record: ImageRecord) -> Picture:
    """Stored values of a single channel with the project's contrast, else RGB in that contrast."""
    from napari_wsss import datasets, images

    source = project.source(record.name)
    if source.n_channels > 1:
        return Picture(datasets.picture(project, record.name), None)
    low, high = images.contrast(source, record.plane, project.settings.percentiles)
    limits = (float(low[0]), float(high[0])) if low[0] < high[0] else None
    return Picture(source.read(record.plane)[0][0], limits)


def results(project: Project, name: str) -> tuple[Cam | None, PseudoLabels | None, Mask | None]:
    """What the stages made of an image."""
    cam, pseudo, refined = (project.result(name, stage) for stage in ("cam", "pseudo", "refined"))
    return (
        cam if isinstance(cam, Cam) else None,
        pseudo if isinstance(pseudo, PseudoLabels) else None,
        refined if isinstance(refined, Mask) else None,
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
    low, high = np.percentile(small, (1, 99), axis=(1, 2), keepdims=True)
    eight = (np.clip((small - low) / np.maximum(high - low, 1e-9), 0, 1) * 255).astype(np.uint8)
    picture = Pillow.fromarray(np.ascontiguousarray(eight.transpose(1, 2, 0)))
    picture.thumbnail((most[1], most[0]))
    return np.array(picture)
