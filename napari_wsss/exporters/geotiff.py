"""GeoTIFF: class ids with the image's coordinate system, colour table and class names."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine

from napari_wsss.exporters._manifest import Export
from napari_wsss.pictures import colours_of
from napari_wsss.types import Classes, Dataset, Georeference, Labels, Progress

_TILED_FROM = 512


class Geotiff:
    """``masks/STEM.tif``: class ids (uint8, uint16 above 255 classes), nodata 0, CRS and transform of the image.

    The file holds a colour table; ``STEM.tif.aux.xml`` beside it names the classes, as GDAL and QGIS read them. Images
    with instance ids also get ``instances/STEM.tif`` (uint32). The planes of a stack are files of their own.
    """

    @dataclass(frozen=True)
    class Params:
        """None."""

    def __init__(self, params: Params) -> None:
        self.params = params

    def __call__(self, dataset: Dataset, folder: Path, progress: Progress) -> None:
        same: dict[int, int | None] = {k: k for k in range(len(dataset.classes) + 1)}
        export = Export(dataset, folder, "geotiff", progress, same, {})
        for item, mask, _ in export:
            path = export.file("masks", f"{item.file_stem}.tif")
            export.file("masks", f"{item.file_stem}.tif.aux.xml")
            write_geotiff(path, mask.labels, dataset.classes, item.georeference)
            if mask.instances is not None and mask.instances.any():
                path = export.file("instances", f"{item.file_stem}.tif")
                _write(path, mask.instances.astype(np.uint32), item.georeference, None)
            if item.georeference is None:
                export.note("no georeference: the file has no coordinate system")
        export.finish()


def write_geotiff(path: Path, labels: Labels, classes: Classes, where: Georeference | None) -> None:
    """Class ids (h, w) as a GeoTIFF with a colour table; the class names go to ``PATH.aux.xml``."""
    kind = np.uint8 if len(classes) < 256 else np.uint16
    _write(path, labels.astype(kind), where, classes)
    path.with_name(path.name + ".aux.xml").write_text(_names(classes), encoding="utf-8")


def _write(path: Path, ids: NDArray[Any], where: Georeference | None, classes: Classes | None) -> None:
    height, width = ids.shape
    profile: dict[str, Any] = {
        "driver": "GTiff",
        "height": height,
        "width": width,
        "count": 1,
        "dtype": ids.dtype.name,
        "nodata": 0,
        "compress": "deflate",
        "bigtiff": "if_safer",
    }
    if min(height, width) >= _TILED_FROM:
        profile |= {"tiled": True, "blockxsize": 256, "blockysize": 256}
    if where is not None:
        profile |= {"crs": where.crs or None, "transform": Affine(*where.transform)}
    with warnings.catch_warnings():
        # an image without georeference is an ordinary case here; the manifest says it
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with rasterio.open(path, "w", **profile) as file:
            file.write(ids, 1)
            if classes is not None:
                file.write_colormap(1, {0: (0, 0, 0, 0), **{k: (*c, 255) for k, c in colours_of(classes).items()}})


def _names(classes: Classes) -> str:
    names = "".join(f"      <Category>{escape(n)}</Category>\n" for n in ("not labelled", *classes.names))
    return (
        '<PAMDataset>\n  <PAMRasterBand band="1">\n    <CategoryNames>\n'
        f"{names}    </CategoryNames>\n  </PAMRasterBand>\n</PAMDataset>\n"
    )


METHOD = Geotiff
