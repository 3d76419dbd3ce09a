"""Label files into a project: the same for the command line and for a script."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from napari_wsss.errors import UsageError
from napari_wsss.pipeline import by_person
from napari_wsss.project import ImageRecord, Project
from napari_wsss.types import Georeference
from napari_wsss.weak_labels import (
    FoundImage,
    ReadLabels,
    read_boxes,
    read_instances,
    read_masks,
    read_points,
    read_scribbles,
    read_tags,
    read_vectors,
)


@dataclass(frozen=True)
class Imported:
    """What one file brought: its kind, images whose labels changed, and rows that were left out."""

    kind: str
    source: Path
    images: int
    left_out: int


class ProjectImages:
    """A project's images as readers of label files look for them."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._records = project.records()

    def find(self, name: str) -> FoundImage:
        return self._found(self._project.record(name))

    def planes(self, name: str) -> Sequence[FoundImage]:
        """Planes of the stack of this name in its own order, or the one image."""
        stack = name.partition("@")[0]
        planes = [r for r in self._records if r.plane and r.name.partition("@")[0] == stack]
        if not planes:
            stems = {r.name.partition("@")[0] for r in self._records if r.plane}
            match = [s for s in stems if s.rsplit(".", 1)[0] == stack or Path(s).stem == stack]
            planes = [r for r in self._records if r.plane and r.name.partition("@")[0] in match]
        if not planes:
            return [self.find(name)]
        if len({r.name.partition("@")[0] for r in planes}) > 1:
            raise UsageError(f"{name}: several stacks have this name; write it with its folder")
        order = {plane: i for i, plane in enumerate(self._project.source(planes[0].name).planes)}
        return [self._found(r) for r in sorted(planes, key=lambda r: order.get(r.plane, len(order)))]

    def all(self) -> Iterable[FoundImage]:
        return (self._found(r, self._project.source(r.name).georeference) for r in self._records)

    def _found(self, record: ImageRecord, georeference: Georeference | None = None) -> FoundImage:
        return FoundImage(record.name, record.shape, georeference)


def import_labels(
    project: Project,
    *,
    tags: Path | None = None,
    points: Path | None = None,
    scribbles: Path | None = None,
    boxes: Path | None = None,
    vectors: Path | None = None,
    masks: Path | None = None,
    instances: Path | None = None,
    skip_bad_rows: bool = False,
) -> list[Imported]:
    """Import label files in the order tags, points, scribbles, boxes, vectors, masks, instances.

    All files are read and checked before the first is taken in; importing a file twice changes
    nothing. ``masks`` and ``instances`` count as accepted by a person.

    Raises
    ------
    WsssError
        For a wrong row: file, line and reason; nothing is imported.
    """
    images, classes = ProjectImages(project), project.classes
    readers: list[tuple[str, Path | None, Callable[[Path], ReadLabels]]] = [
        ("tags", tags, lambda p: read_tags(p, images, classes, skip_bad_rows=skip_bad_rows)),
        ("points", points, lambda p: read_points(p, images, classes, skip_bad_rows=skip_bad_rows)),
        ("scribbles", scribbles, lambda p: read_scribbles(p, images, classes, skip_bad_rows=skip_bad_rows)),
        ("boxes", boxes, lambda p: read_boxes(p, images, classes, skip_bad_rows=skip_bad_rows)),
        ("vectors", vectors, lambda p: read_vectors(p, images, classes, skip_bad_rows=skip_bad_rows)),
        ("masks", masks, lambda p: read_masks(p, images, classes, skip_bad_rows=skip_bad_rows)),
        ("instances", instances, lambda p: read_instances(p, images, skip_bad_rows=skip_bad_rows)),
    ]
    given = [(kind, path, read(path)) for kind, path, read in readers if path is not None]
    if not given:
        raise UsageError("nothing to import; give --tags, --points, --scribbles, --boxes, --vectors or --masks")
    return [
        Imported(
            kind,
            path,
            project.import_labels(found.by_image, f"{kind} {path.name}", found.digest, by_person(f"import {kind}")),
            found.left_out,
        )
        for kind, path, found in given
    ]
