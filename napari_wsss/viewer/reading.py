"""A project folder as napari layers (npe2 reader): images, hints, and what the stages made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_wsss.viewer.layers import told

if TYPE_CHECKING:
    from napari_wsss.project import Project

LayerData = tuple[Any, dict[str, Any], str]
_MOST = 64  # images shown at once; more would be read into memory together
_SETTINGS = "project.toml"


def reader(path: str | Sequence[str]) -> Callable[[str | Sequence[str]], list[LayerData]] | None:
    """npe2's question whether we read this path: only one project folder."""
    if not isinstance(path, str) or not (Path(path) / _SETTINGS).is_file():
        return None
    return lambda chosen: read_project(Path(chosen if isinstance(chosen, str) else chosen[0]))


def read_project(folder: Path) -> list[LayerData]:
    """Layers of a project: its images of the most frequent size as a stack with one slider.

    Masks and maps lie over the images that have them; points are one layer, coloured by class. Each
    layer is marked in ``metadata["wsss"]`` with its role and the images' names, in slider order.
    """
    from napari_wsss.project import Project

    with Project.open(folder) as project:
        names = _alike(project)
        if not names:
            return []
        mark = {"wsss": {"project": str(folder), "images": names}, **told(project.classes)}
        common = {"metadata": mark, **_placed(project, names[0])}
        return [*_pictures(project, names, common), *_results(project, names, common), *_points(project, names, common)]


def _alike(project: Project) -> list[str]:
    """Names of the images of the most frequent size, at most 64."""
    sizes: dict[tuple[int, int], list[str]] = {}
    for record in project.records():
        sizes.setdefault(record.shape, []).append(record.name)
    return max(sizes.values(), key=len, default=[])[:_MOST]


def _placed(project: Project, name: str) -> dict[str, Any]:
    size = project.source(name).pixel_size
    if size is None:
        return {}
    return {"scale": (1.0, size.y, size.x), "units": ("pixel", size.unit, size.unit)}


def _pictures(project: Project, names: Sequence[str], common: dict[str, Any]) -> list[LayerData]:
    from napari_wsss.datasets import picture

    stack = np.stack([picture(project, name) for name in names])
    return [(stack, {"name": "images", "rgb": True, **_role(common, "image")}, "image")]


def _results(project: Project, names: Sequence[str], common: dict[str, Any]) -> list[LayerData]:
    from napari_wsss.datasets import mask_of

    colours: dict[int | None, str] = {0: "transparent", None: "magenta", **{c.id: c.colour for c in project.classes}}
    layers: list[LayerData] = []
    for what, shown in (("pseudo", False), ("refined", True), ("accepted", True)):
        masks = [mask_of(project, name, what) for name in names]  # type: ignore[arg-type]
        if any(mask is not None and mask.labels.any() for mask in masks):
            empty: NDArray[np.uint16] = np.zeros(project.record(names[0]).shape, np.uint16)
            stack = np.stack([empty if mask is None else mask.labels for mask in masks])
            options = {"name": what, "colormap": colours, "opacity": 0.45, "visible": shown}
            layers.append((stack, {**options, **_role(common, what)}, "labels"))
    return layers


def _points(project: Project, names: Sequence[str], common: dict[str, Any]) -> list[LayerData]:
    rows = [(i, p.y, p.x, p.class_id) for i, n in enumerate(names) for p in project.labels(n).points]
    if not rows:
        return []
    table = np.array(rows, float)
    classes = [project.classes[int(k)] for k in table[:, 3]]
    options = {
        "name": "points",
        "features": {"class": [c.name for c in classes]},
        "face_color": [c.colour for c in classes],
        "size": 5,
    }
    return [(table[:, :3], {**options, **_role(common, "points")}, "points")]


def _role(common: dict[str, Any], role: str) -> dict[str, Any]:
    mark = common["metadata"]
    return {**common, "metadata": {**mark, "wsss": {**mark["wsss"], "role": role}}}
