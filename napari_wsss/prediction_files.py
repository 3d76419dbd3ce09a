"""Predicted masks as files: DIR/STEM.png, and DIR/STEM.tif with its CRS where the image has one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from napari_wsss.device import few_threads
from napari_wsss.errors import UnreadableImage, UsageError
from napari_wsss.exporters.geotiff import write_geotiff
from napari_wsss.exporters.png import write_mask
from napari_wsss.prediction import predict_file
from napari_wsss.project import Project
from napari_wsss.tiled_prediction import Tiling
from napari_wsss.trained import Feed, context_for, read_trained
from napari_wsss.training.run_folder import newest_weights
from napari_wsss.types import Georeference, Labels, Prediction, Progress, no_progress, written_stem


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
) -> int:
    """Write the project's predictions of these images, and predict the files outside; how many masks were written.

    Parameters
    ----------
    failed : list of str
        Takes a line about each file that could not be predicted.
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
    trained = read_trained(weights or newest_weights(project.folder), device)
    feed = Feed(trained.recipe, project.cache, context_for(project, device))
    with few_threads():
        for done, file in enumerate(files):
            progress(done, len(files), f"predict {file.name}")
            try:
                planes = predict_file(project, file, trained, feed, Tiling(views=views))
            except (UnreadableImage, UsageError) as reason:
                (failed if failed is not None else []).append(str(reason))
                continue
            for name, (made, corner) in planes.items():
                _write(out, name, made.labels, project, corner.georeference)
                written += 1
    progress(len(files), len(files), "predict")
    return written


def _write(out: Path, name: str, labels: Labels, project: Project, where: Georeference | None) -> None:
    stem = written_stem(name)
    write_mask(out / f"{stem}.png", labels, len(project.classes))
    if where is not None:
        write_geotiff(out / f"{stem}.tif", labels, project.classes, where)
