"""Predicted masks as files: DIR/STEM.png, and DIR/STEM.tif with its CRS where the image has one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from napari_wsss.device import few_threads
from napari_wsss.errors import UsageError
from napari_wsss.exporters.geotiff import write_geotiff
from napari_wsss.exporters.png import write_mask
from napari_wsss.images import ImageSource, contrast, open_source
from napari_wsss.prediction import Equipment, predict_image
from napari_wsss.project import ImageReader, Project
from napari_wsss.spreading import spread
from napari_wsss.tiled_prediction import Tiling
from napari_wsss.trained import Feed, Trained, context_for
from napari_wsss.training.run_folder import newest_weights
from napari_wsss.types import Georeference, Labels, Prediction, Progress, digest, no_progress, written_stem
from napari_wsss.workers import Workers


def split_names(project: Project, wanted: Sequence[str] | None) -> tuple[list[str] | None, list[Path]]:
    """What was named: images of the project (None = all), and files that are not in it.

    Raises
    ------
    UsageError
        Neither an image of the project nor a file.
    """
    if wanted is None:
        return None, []
    names, files = [], []
    for text in wanted:
        try:
            names.append(project.record(text).name)
        except UsageError:
            if not Path(text).exists():
                raise
            files.append(Path(text))
    return names, files


def write_masks(
    project: Project,
    out: Path,
    names: Sequence[str] | None,
    files: Sequence[Path],
    weights: Path | None,
    device: str,
    views: int,
    progress: Progress = no_progress,
    failed: list[str] | None = None,
    workers: Workers | None = None,
) -> int:
    """Write the project's predictions of these images, and predict the files outside; how many masks were written.

    Parameters
    ----------
    failed : list of str
        Takes a line about each file that could not be predicted.
    workers : Workers, optional
        Who predict the files outside; they must see them. None = this process.
    """
    out.mkdir(parents=True, exist_ok=True)
    records = project.records() if names is None else [project.record(name) for name in names]
    written = 0
    for record in records:
        made = project.result(record.name, "predicted")
        if isinstance(made, Prediction):
            _write(out, record.name, made.labels, project, project.source(record.name).georeference)
            written += 1
    if not files:
        return written
    settings, context = project.settings, context_for(project, device)
    work = _Work(
        weights=weights or newest_weights(project.folder),
        device=device,
        context=context,
        cache=project.cache,
        tiling=Tiling(views=views),
        threads=0 if workers is None else 1,
        percentiles=settings.percentiles,
        rgb_channels=settings.rgb_channels,
    )
    with few_threads(), closing(spread(work, files, workers)) as results:
        for done, (file, planes) in enumerate(results):
            progress(done, len(files), f"predict {file.name}")
            if isinstance(planes, str):
                (failed if failed is not None else []).append(planes)
                continue
            for name, labels, where in planes:
                _write(out, name, labels, project, where)
                written += 1
    progress(len(files), len(files), "predict")
    return written


@dataclass(frozen=True, eq=False, kw_only=True)
class _Work(Equipment):
    percentiles: tuple[float, float]
    rgb_channels: tuple[int, int, int] | None

    def __call__(self, file: Path) -> list[tuple[str, Labels, Georeference | None]] | str:
        """Name, labels and place of each plane of the file, or a line. Its contrast is measured on the file."""
        return self.used(
            lambda trained, feed: [self._plane(file, source, plane, trained, feed) for source, plane in _planes(file)]
        )

    def _plane(
        self, file: Path, source: ImageSource, plane: str, trained: Trained, feed: Feed
    ) -> tuple[str, Labels, Georeference | None]:
        name = f"{file.name}@{plane}" if plane else file.name
        key = digest(str(file), plane, str(file.stat().st_mtime_ns))
        limits = contrast(source, plane, self.percentiles)
        image = ImageReader(file, plane, name, key, limits, self.rgb_channels)
        made = predict_image(image, source.shape, trained, feed, self.tiling, name=name)
        return name, made.labels, source.georeference


def _planes(file: Path) -> list[tuple[ImageSource, str]]:
    source = open_source(file)
    return [(source, plane) for plane in source.planes]


def _write(out: Path, name: str, labels: Labels, project: Project, where: Georeference | None) -> None:
    stem = written_stem(name)
    write_mask(out / f"{stem}.png", labels, len(project.classes))
    if where is not None:
        write_geotiff(out / f"{stem}.tif", labels, project.classes, where)
