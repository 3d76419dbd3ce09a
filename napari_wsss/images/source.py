"""One image file: its planes, what is known of it, and reading by plane and box."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_wsss.errors import UnreadableImage, UsageError
from napari_wsss.images._header import READ_LIMIT, Header, Pixels, Raw, reading
from napari_wsss.images._jpeg import SIGNATURE as JPEG
from napari_wsss.images._jpeg import open_jpeg
from napari_wsss.images._png import SIGNATURE as PNG
from napari_wsss.images._png import open_png
from napari_wsss.images._sampling import first_valid
from napari_wsss.images._tiff import SIGNATURES as TIFF
from napari_wsss.images._tiff import open_tiff
from napari_wsss.images._zarr import open_zarr
from napari_wsss.types import Bool, Box4, Georeference, PixelSize

Opener = Callable[[Path], tuple[Header, Pixels]]

FORMATS = "PNG, JPEG, TIFF and zarr"
_KEPT_BYTES = 2**26  # a whole plane up to this size is kept, as it is read more than once in a row


class ImageSource:
    """An opened image. It holds no open file, and may be used from several threads.

    Attributes
    ----------
    path : Path
    planes : tuple of str
        ``''`` for a single plane, else ``t3z12``, ``z12`` or ``t3``, counted from 0.
    shape : (h, w)
        Of one plane.
    n_channels : int
        Alpha is no channel; it tells nodata.
    dtype : dtype
        Of the stored values.
    channel_names : tuple of str
        As the file names them, else ``grey``, ``red``..., ``channel 1``...
    is_rgb : bool
        The file says that its three channels are red, green and blue.
    georeference, pixel_size : or None where the file does not know
    block : (h, w)
        The smallest piece that can be decoded alone.
    """

    def __init__(self, path: Path, header: Header, pixels: Pixels) -> None:
        self.path = path
        self._header, self._pixels = header, pixels
        self._index = {plane: i for i, plane in enumerate(header.planes)}
        self._lock = threading.Lock()
        self._kept: tuple[str, Raw, Bool] | None = None

    @property
    def planes(self) -> tuple[str, ...]:
        return self._header.planes

    @property
    def shape(self) -> tuple[int, int]:
        return self._header.shape

    @property
    def n_channels(self) -> int:
        return self._header.n_channels

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._header.dtype

    @property
    def channel_names(self) -> tuple[str, ...]:
        return self._header.channel_names

    @property
    def is_rgb(self) -> bool:
        return self._header.is_rgb

    @property
    def georeference(self) -> Georeference | None:
        return self._header.georeference

    @property
    def pixel_size(self) -> PixelSize | None:
        return self._header.pixel_size

    @property
    def block(self) -> tuple[int, int]:
        return self._header.block

    def read(self, plane: str = "", box: Box4 | None = None) -> tuple[Raw, Bool]:
        """Stored values and validity of a plane, or of a box of it.

        Parameters
        ----------
        plane : str
            One of ``planes``.
        box : (y0, x0, y1, x1), half open
            Inside the image; None is the whole plane.

        Returns
        -------
        raw : (c, h, w) in ``dtype``
        valid : bool (h, w)
            False = nodata: alpha 0, the nodata value or mask, NaN, infinite, never written.

        Raises
        ------
        UsageError
            No such plane, or a box that is empty or not inside.
        UnreadableImage
            The file is damaged, or the answer would be larger than 4 GiB.
        """
        index, (y0, x0, y1, x1) = self._plane(plane), self._box(box)
        size = (y1 - y0) * (x1 - x0) * self.n_channels * self.dtype.itemsize
        if size > READ_LIMIT:
            raise UnreadableImage(f"{self.path}: {size / 2**30:.0f} GiB at once is too much; read it by boxes")
        with self._lock:
            if self._kept is not None and self._kept[0] == plane:
                _, raw, valid = self._kept
                return raw[:, y0:y1, x0:x1].copy(), valid[y0:y1, x0:x1].copy()
            with reading(self.path):
                raw, valid = self._pixels(index, (y0, x0, y1, x1))
            self._check(raw, valid, (y1 - y0, x1 - x0))
            if (y1 - y0, x1 - x0) == self.shape and size <= _KEPT_BYTES:
                self._kept = plane, raw, valid
                return raw.copy(), valid.copy()
            return _own(raw), _own(valid)

    def _plane(self, plane: str) -> int:
        if plane not in self._index:
            some = ", ".join(p or "''" for p in self.planes[:4]) + (", ..." if len(self.planes) > 4 else "")
            raise UsageError(f"{self.path}: no plane {plane!r}; there is {some}")
        return self._index[plane]

    def _box(self, box: Box4 | None) -> Box4:
        h, w = self.shape
        y0, x0, y1, x1 = box or (0, 0, h, w)
        if not (0 <= y0 < y1 <= h and 0 <= x0 < x1 <= w):
            raise UsageError(f"{self.path}: box {y0},{x0},{y1},{x1} is empty or not inside the image of {h} x {w}")
        return y0, x0, y1, x1

    def _check(self, raw: Raw, valid: Bool, shape: tuple[int, int]) -> None:
        """A decoder that gives other than the header promised has met damaged bytes."""
        if raw.shape != (self.n_channels, *shape) or valid.shape != shape or raw.dtype != self.dtype:
            raise UnreadableImage(f"{self.path}: its pixels are not as its header says; copy it again")


def _own(array: NDArray[Any]) -> NDArray[Any]:
    """The array, copied where it is a view of something that a reader keeps."""
    return array if array.flags.owndata and array.flags.writeable else array.copy()


def open_source(path: Path) -> ImageSource:
    """Open an image file or zarr folder by what it holds; its ending does not matter.

    The header is held against the file's size before anything is allocated, and pixels are read
    until a valid one is met (the first plane of most files), so that a damaged small file is
    refused here and not later.

    Raises
    ------
    UnreadableImage
        One line: the file, what is wrong with it, and the remedy.
    """
    path = Path(path)
    with reading(path):
        source = ImageSource(path, *_opener(path)(path))
        if min(source.shape) < 1 or source.n_channels < 1:
            raise UnreadableImage(f"{path}: an image without pixels ({source.shape[0]} x {source.shape[1]})")
        for plane in source.planes:
            if first_valid(partial(source.read, plane), source.shape, source.block).shape[1]:
                return source
    raise UnreadableImage(f"{path}: every pixel is nodata or NaN; there is nothing to label")


def _opener(path: Path) -> Opener:
    if path.is_dir():
        return open_zarr
    with path.open("rb") as stream:
        head = stream.read(8)
    if not head:
        raise UnreadableImage(f"{path}: the file is empty; copy it again")
    if head == PNG:
        return open_png
    if head.startswith(JPEG):
        return open_jpeg
    if head[:4] in TIFF:
        return open_tiff
    raise UnreadableImage(f"{path}: not an image in a format that is read ({FORMATS}); convert it")
