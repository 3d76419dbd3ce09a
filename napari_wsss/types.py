"""The data that rooms hand to each other: frozen dataclasses of NumPy arrays, row before column.

Class ids are 1..K in the order of the project's class list; 0 means "not labelled" and is
never background. ``background`` is an ordinary class.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Bool = NDArray[np.bool_]
Float = NDArray[np.float32]
Labels = NDArray[np.uint16]  # class ids, 0 = not labelled
Instances = NDArray[np.uint32]  # object ids, 0 = none
State = Mapping[str, NDArray[Any]]  # what a method learnt from the project; stored as safetensors
Box4 = tuple[int, int, int, int]  # y0, x0, y1, x1; half open

BACKGROUND = "background"
_FLAT = 1e-3  # of full contrast


# --------------------------------------------------------------------------- classes


@dataclass(frozen=True, slots=True)
class Class:
    """One class: ``id`` from 1, a name, a colour ``#rrggbb`` and phrases for text-driven methods.

    ``thresholds`` are the lower and the upper one by which a person wants seeds taken from its activation map;
    None = as the method does.
    """

    id: int
    name: str
    colour: str
    phrases: tuple[str, ...] = ()
    thresholds: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Classes:
    """The project's class list, in id order."""

    items: tuple[Class, ...]

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Class]:
        return iter(self.items)

    def __getitem__(self, class_id: int) -> Class:
        """The class with this id (1..K)."""
        return self.items[class_id - 1]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.items)

    @property
    def background(self) -> int | None:
        """Id of the class named ``background``, or None where the project has none."""
        return next((c.id for c in self.items if c.name == BACKGROUND), None)

    @property
    def foreground(self) -> tuple[int, ...]:
        """Ids of every class but ``background``."""
        return tuple(c.id for c in self.items if c.name != BACKGROUND)

    def id_of(self, name: str) -> int | None:
        return next((c.id for c in self.items if c.name == name), None)


# --------------------------------------------------------------------------- images


@dataclass(frozen=True, slots=True)
class Georeference:
    """Where an image lies: CRS as WKT and the affine ``(a, b, c, d, e, f)`` of rasterio,
    x = a*column + b*row + c, y = d*column + e*row + f (pixel corners)."""

    crs: str
    transform: tuple[float, float, float, float, float, float]


@dataclass(frozen=True, slots=True)
class PixelSize:
    """Size of a pixel along rows and columns, in ``unit`` (``um`` or ``m``)."""

    y: float
    x: float
    unit: Literal["um", "m"]


@dataclass(frozen=True, eq=False, slots=True)
class Image:
    """One plane as every method and every eye sees it.

    Attributes
    ----------
    name : str
        The project's name of the image.
    key : str
        Hash of the file's content, the plane and the contrast settings: equal keys, equal arrays.
    channels : float32 (c, h, w) in [0, 1]
        Contrast normalised per channel by robust percentiles; 0 where ``valid`` is False.
    valid : bool (h, w)
        False = nodata: never labelled, in no statistic.
    rgb_channels : tuple of 3 int
        Which channels an RGB encoder sees (grey: the same three times).
    """

    name: str
    key: str
    channels: Float
    valid: Bool
    rgb_channels: tuple[int, int, int]
    georeference: Georeference | None = None
    pixel_size: PixelSize | None = None

    @property
    def shape(self) -> tuple[int, int]:
        return self.valid.shape[0], self.valid.shape[1]

    @property
    def rgb(self) -> Float:
        """float32 (3, h, w) in [0, 1]: what an RGB encoder sees."""
        return self.channels[list(self.rgb_channels)]

    @property
    def is_flat(self) -> bool:
        """No channel varies over the valid pixels: there is nothing to see."""
        shown = self.channels[:, self.valid]
        return shown.size == 0 or bool((shown.max(1) - shown.min(1) < _FLAT).all())


@dataclass(frozen=True, eq=False, slots=True)
class Features:
    """Dense features float32 (d, h, w) on a grid ``stride`` times coarser than the image.

    Token (i, j) is centred on image pixel ((i + 0.5) * stride - 0.5, (j + 0.5) * stride - 0.5),
    that is, the grid is resized to the image with align_corners=False.
    """

    data: Float
    stride: float


# --------------------------------------------------------------------------- weak labels


@dataclass(frozen=True, slots=True)
class Tags:
    """Image-level labels: class ids present, ids absent, and whether the list is complete."""

    present: frozenset[int] = frozenset()
    absent: frozenset[int] = frozenset()
    complete: bool = False

    def __bool__(self) -> bool:
        return bool(self.present or self.absent or self.complete)


@dataclass(frozen=True, slots=True)
class Point:
    """One click: pixel (y, x) is of the class; ``instance`` > 0 makes it an object of its own."""

    y: int
    x: int
    class_id: int
    instance: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class Stroke:
    """Scribbled pixels: a uint16 raster (h, w) laid at (y0, x0); 0 = not touched, k = class k."""

    y0: int
    x0: int
    raster: Labels

    @property
    def box(self) -> Box4:
        """Half-open box (y0, x0, y1, x1) of the raster; may reach out of the image."""
        return self.y0, self.x0, self.y0 + self.raster.shape[0], self.x0 + self.raster.shape[1]


@dataclass(frozen=True, slots=True)
class Box:
    """Half-open pixel box of one object of the class; ``fill`` makes it a block: every pixel is."""

    y0: int
    x0: int
    y1: int
    x1: int
    class_id: int
    fill: bool = False


Mark = Point | Stroke | Box


@dataclass(frozen=True, eq=False, slots=True)
class WeakLabels:
    """All that a person said of one image. ``marks`` are in the order they were made, oldest first.

    ``mask`` (h, w) holds accepted pixels (0 = not accepted), ``instances`` their object ids.
    """

    tags: Tags = Tags()
    marks: tuple[Mark, ...] = ()
    mask: Labels | None = None
    instances: Instances | None = None

    def __bool__(self) -> bool:
        return bool(self.tags or self.marks or (self.mask is not None and self.mask.any()))

    @property
    def points(self) -> tuple[Point, ...]:
        return tuple(m for m in self.marks if isinstance(m, Point))

    @property
    def strokes(self) -> tuple[Stroke, ...]:
        return tuple(m for m in self.marks if isinstance(m, Stroke))

    @property
    def boxes(self) -> tuple[Box, ...]:
        return tuple(m for m in self.marks if isinstance(m, Box))


@dataclass(frozen=True, eq=False, slots=True)
class ImportedLabels:
    """What one imported file says of one image; ``mask`` and ``instances`` count as accepted."""

    tags: Tags | None = None
    marks: tuple[Mark, ...] = ()
    mask: Labels | None = None
    instances: Instances | None = None


@dataclass(frozen=True, eq=False, slots=True)
class WeakTarget:
    """Every weak label of an image compiled into one target (methods.md 0.2).

    Attributes
    ----------
    seed : uint16 (h, w)
        Class id a person gave this pixel; 0 = not labelled.
    component : int32 (h, w)
        Number (from 1) of the mark that gave the seed: each point, connected stroke and block is
        one; 0 where ``seed`` is 0.
    allow : bool (K, h, w)
        ``allow[k - 1]``: class k is still possible here. May be a read-only broadcast view.
    complete : bool
        The tag list is complete, so absent classes may serve as negatives.
    """

    seed: Labels
    component: NDArray[np.int32]
    allow: Bool
    complete: bool

    @property
    def shape(self) -> tuple[int, int]:
        return self.seed.shape[0], self.seed.shape[1]


# --------------------------------------------------------------------------- what methods make


@dataclass(frozen=True, eq=False, slots=True)
class Cam:
    """Class activation maps of one image.

    Attributes
    ----------
    scores : float32 (k, h, w) in [0, 1]
        One map a foreground class, at image size.
    classes : tuple of int (k,)
        Class ids of the maps; never the id of ``background``.
    raw_max : float32 (k,)
        Maximum before normalisation: a map that was only noise has a small one.
    seeds : uint16 (h, w)
        Dual-threshold seeds: class id, the background's id, or 0 = ignored.
    """

    scores: Float
    classes: tuple[int, ...]
    raw_max: Float
    seeds: Labels


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Two marks of different classes that look the same: mid points (y, x) and class ids."""

    first: tuple[int, int]
    second: tuple[int, int]
    classes: tuple[int, int]


@dataclass(frozen=True, eq=False, slots=True)
class PseudoLabels:
    """What a label model believes of every pixel.

    Attributes
    ----------
    probabilities : float16 (K, h, w)
        ``probabilities[k - 1]`` is class k; sums to 1 where valid, 0 elsewhere.
    labels : uint16 (h, w)
        Class id, or 0 where the model does not answer (ambiguous, atypical or nodata).
    typicality : float16 (h, w) in [0, 1]
        How like its class the pixel is; 1 for a label model that has no such notion.
    contradictions : tuple of Contradiction
    trust : tuple of K floats, or empty
        How far each class's probabilities are to be believed, over the average class; empty = all alike.
    """

    probabilities: NDArray[np.float16]
    labels: Labels
    typicality: NDArray[np.float16]
    contradictions: tuple[Contradiction, ...] = ()
    trust: tuple[float, ...] = ()

    @property
    def confidence(self) -> NDArray[np.float16]:
        """Probability of the most probable class, float16 (h, w)."""
        best: NDArray[np.float16] = self.probabilities.max(0)
        return best


@dataclass(frozen=True, eq=False, slots=True)
class Mask:
    """A finished mask: class ids uint16 (h, w), 0 = no answer, and object ids where there are any.

    ``notes`` tells in words what was rejected or could not be done, and why.
    """

    labels: Labels
    instances: Instances | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, slots=True)
class Prediction:
    """What a segmenter says of every pixel.

    Attributes
    ----------
    labels : uint16 (h, w)
        Class id; 0 on nodata.
    probabilities : float16 (K, ceil(h / stride), ceil(w / stride))
        Of class k at ``[k - 1]``, means over cells of ``stride`` pixels; 0 where a cell holds only nodata.
    stride : int
        Image pixels a cell: a power of two, such that there are at most 2^17 cells.
    disagreement : float16 (ceil(h / stride), ceil(w / stride)) in [0, 1] or None
        Half the sum over classes of the deviation between views (test-time augmentation) or networks (teacher and
        student); None for one view of one network.
    hardness : float16 (ceil(h / stride), ceil(w / stride)) in [0, 1] or None
        How hard the network's hardness head takes a pixel for; None where none was trained.
    """

    labels: Labels
    probabilities: NDArray[np.float16]
    stride: int = 1
    disagreement: NDArray[np.float16] | None = None
    hardness: NDArray[np.float16] | None = None


Answer = Literal["asked", "accepted", "class", "skipped"]


@dataclass(frozen=True, slots=True)
class Region:
    """A region worth labelling, as an acquisition strategy picked it.

    Attributes
    ----------
    image : str
    box : (y0, x0, y1, x1), half open
        The pixels that are asked for; one pixel where a strategy asks for single pixels.
    score : float
        What the strategy ranked it by.
    impurity, uncertainty : float in [0, 1]
        How mixed the predicted classes are around it, and the mean normalised entropy in it.
    classes : tuple of int
        The two most probable classes in it, the likelier first.
    why : str
        The reason in words.
    strategy : str
    id : int
        Number in the project's journal; 0 = not recorded.
    status : ``asked``, ``accepted``, ``class`` (all of one class) or ``skipped``
    """

    image: str
    box: Box4
    score: float
    impurity: float
    uncertainty: float
    classes: tuple[int, ...]
    why: str
    strategy: str
    id: int = 0
    status: Answer = "asked"

    @property
    def pixels(self) -> int:
        y0, x0, y1, x1 = self.box
        return (y1 - y0) * (x1 - x0)


# --------------------------------------------------------------------------- provenance, progress


@dataclass(frozen=True, slots=True)
class Provenance:
    """Who made a label or mask (a person, or a method with its parameters and model), from what, when.

    ``made_by`` is ``person`` or ``method``; ``sources`` are names or hashes of what it was made
    from; ``when`` is ISO 8601 in UTC.
    """

    made_by: Literal["person", "method"]
    name: str
    when: str
    params: Mapping[str, Any] = field(default_factory=dict)
    model: str = ""
    sources: tuple[str, ...] = ()
    version: str = ""


Progress = Callable[[int, int, str], None]
"""``progress(done, total, what)``; raises :class:`~napari_wsss.errors.Cancelled` to stop."""


def no_progress(done: int, total: int, what: str) -> None:
    """Progress that nobody watches."""


# --------------------------------------------------------------------------- samples


class Sample:
    """One image as a method sees it: loaded when asked, never knows the truth.

    Parameters
    ----------
    name : str
    labels : WeakLabels
    target : callable returning WeakTarget
    image, features : callables returning Image and Features; results are not kept here
    cam, pseudo : callables returning an earlier stage's result or None
    """

    def __init__(
        self,
        name: str,
        labels: WeakLabels,
        target: Callable[[], WeakTarget],
        image: Callable[[], Image],
        features: Callable[[], Features],
        cam: Callable[[], Cam | None] = lambda: None,
        pseudo: Callable[[], PseudoLabels | None] = lambda: None,
    ) -> None:
        self.name = name
        self.labels = labels
        self._target, self._image, self._features = target, image, features
        self._cam, self._pseudo = cam, pseudo

    @cached_property
    def image(self) -> Image:
        return self._image()

    @cached_property
    def target(self) -> WeakTarget:
        return self._target()

    @property
    def features(self) -> Features:
        """Dense features of the chosen encoder, through the cache (not held in memory)."""
        return self._features()

    @cached_property
    def cam(self) -> Cam | None:
        return self._cam()

    @cached_property
    def pseudo(self) -> PseudoLabels | None:
        return self._pseudo()

    def forget(self) -> None:
        """Drop what was loaded; it is loaded again when asked."""
        for name in ("image", "target", "cam", "pseudo"):
            self.__dict__.pop(name, None)


# --------------------------------------------------------------------------- exports


@dataclass(frozen=True, eq=False, slots=True)
class DatasetItem:
    """One mask to export, with all that a format may want to know of it.

    ``mask`` and ``rgb`` load the arrays: class ids uint16 (h, w), object ids or None, and the
    picture uint8 (h, w, 3) in the contrast the person saw. ``file`` is the image on disk.
    """

    name: str
    file: str
    sha256: str
    split: Literal["train", "val", "test"]
    shape: tuple[int, int]
    mask: Callable[[], Mask]
    rgb: Callable[[], NDArray[np.uint8]]
    provenance: tuple[Provenance, ...]
    accepted: str | None = None
    georeference: Georeference | None = None
    pixel_size: PixelSize | None = None

    @property
    def file_stem(self) -> str:
        """Name of written files: the image's name without its ending, ``/`` as ``__``."""
        return written_stem(self.name)


@dataclass(frozen=True, eq=False, slots=True)
class Dataset:
    """What an exporter gets: classes and items. Knows neither the project nor SQLite."""

    classes: Classes
    items: tuple[DatasetItem, ...]
    what: str
    product_version: str


def written_stem(name: str) -> str:
    """Name of the files written for an image: path separators become ``__``, the ending goes.

    The plane of a stack (``STEM.tif@t3z12``) stays: ``STEM@t3z12``.
    """
    path, at, plane = name.replace("\\", "/").partition("@")
    folder, _, base = path.rpartition("/")
    stem = base.rsplit(".", 1)[0] if "." in base[1:] else base
    if stem.endswith(".ome"):
        stem = stem[: -len(".ome")]
    return "__".join([*(p for p in folder.split("/") if p), stem]) + at + plane


def digest(*parts: bytes | str) -> str:
    """SHA-256 (hex) of the parts, each with its length, so that no two lists collide."""
    h = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        h.update(len(data).to_bytes(8, "little"))
        h.update(data)
    return h.hexdigest()
