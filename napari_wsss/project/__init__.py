"""A project: one folder with settings, a journal of everything a person said, masks and results.

Writing returns when what was written is on the disk. Several processes may use a project at once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from napari_wsss.errors import UsageError
from napari_wsss.images import ImageSource
from napari_wsss.project import check, imports, masks, regions, settings
from napari_wsss.project import labels as weak
from napari_wsss.project.atomic import TEMPORARY, sweep
from napari_wsss.project.cache import Cache
from napari_wsss.project.image_list import AddReport, ImageList, ImageRecord
from napari_wsss.project.image_reader import ImageReader
from napari_wsss.project.journal import FILE as JOURNAL
from napari_wsss.project.journal import Journal, create_journal, get_provenances, put_provenance
from napari_wsss.project.labels import RecordedMark
from napari_wsss.project.results import Result, ResultStore, Stage, read_result
from napari_wsss.project.rows import ImageRow, ImageState, row_numbered
from napari_wsss.project.settings import Settings
from napari_wsss.types import (
    Answer,
    Box4,
    Classes,
    Image,
    ImportedLabels,
    Instances,
    Labels,
    Mark,
    Mask,
    Progress,
    Provenance,
    Region,
    Tags,
    WeakLabels,
    no_progress,
)

__all__ = [
    "AddReport",
    "Cache",
    "ImageReader",
    "ImageRecord",
    "ImageState",
    "Project",
    "RecordedMark",
    "Result",
    "Settings",
    "Stage",
    "read_result",
]


class Project:
    """An open project; made by :meth:`create` or :meth:`open`, used as a context manager.

    Attributes
    ----------
    folder : Path
        Absolute.
    cache : Cache
        Arrays that can be computed again, by content hash.
    """

    def __init__(self, folder: Path, found: Settings, journal: Journal) -> None:
        self.folder = folder
        self._settings, self._journal = found, journal
        temporary = folder / TEMPORARY
        self.cache = Cache(folder / "cache", temporary, int(found.cache_gb * 1e9))
        self._masks = masks.MaskStore(folder / "masks", temporary)
        self._results = ResultStore(folder / "results", temporary)
        self._images = ImageList(folder, journal)

    @classmethod
    def create(cls, folder: Path, classes: Sequence[str], **overrides: Any) -> Project:
        """A new project in a folder that does not exist or is empty.

        Parameters
        ----------
        classes : sequence of str
            ``name`` or ``name#rrggbb``, ids from 1 in this order.
        overrides
            Fields of :class:`Settings` other than ``classes``.

        Raises
        ------
        UsageError
            The folder is not empty, or a setting makes no sense.
        """
        folder = Path(os.path.abspath(folder))
        wanted = replace(Settings(settings.parse_classes(classes)), **overrides)
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UsageError(f"{folder} is not an empty folder; choose another for the new project")
        folder.mkdir(parents=True, exist_ok=True)
        create_journal(folder)
        settings.write_settings(folder, wanted)  # last: a folder without it is no project
        return cls.open(folder)

    @classmethod
    def open(cls, folder: Path) -> Project:
        """The project in a folder; one of an older version is migrated.

        Raises
        ------
        UsageError
            No project there, or one made by a newer version: it is left untouched.
        """
        folder = Path(os.path.abspath(folder))
        older = settings.format_of(folder) < settings.FORMAT
        journal = Journal(folder)
        try:
            if older:
                settings.stamp_format(folder)
            project = cls(folder, settings.read_settings(folder), journal)
            project._recover()
        except BaseException:
            journal.close()
            raise
        return project

    @classmethod
    def open_with(cls, folder: Path, journal_folder: Path) -> Project:
        """The project to be read only, with a copy of its journal (:meth:`copy_journal`) that lies elsewhere.

        For other machines that share the project's folder: SQLite's journal itself is for one machine.
        """
        folder = Path(os.path.abspath(folder))
        return cls(folder, settings.read_settings(folder), Journal(journal_folder))

    def copy_journal(self, folder: Path) -> None:
        """Put a copy of the journal into a folder, for :meth:`open_with`."""
        folder.mkdir(parents=True, exist_ok=True)
        self._journal.copy_to(folder / JOURNAL)

    def close(self) -> None:
        """Release the files. What was written is on the disk already."""
        self._journal.close()

    def __enter__(self) -> Project:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    # ------------------------------------------------------------------ settings

    @property
    def settings(self) -> Settings:
        return self._settings

    @property
    def classes(self) -> Classes:
        return self._settings.classes

    def save_settings(self, wanted: Settings) -> None:
        """Write ``project.toml``. Classes may be renamed, recoloured and appended, never removed or reordered."""
        settings.check_class_change(self.classes, wanted.classes)
        settings.write_settings(self.folder, wanted)
        self._settings = wanted
        self.cache.limit = int(wanted.cache_gb * 1e9)

    # ------------------------------------------------------------------ images

    def add_images(self, paths: Sequence[Path], copy: bool = False, progress: Progress = no_progress) -> AddReport:
        """Add files, and the images below folders; ``copy`` keeps a copy of each in the project."""
        return self._images.add(paths, copy, self.settings, progress)

    def records(self, look: bool = True) -> list[ImageRecord]:
        """Every image, in name order; without ``look`` at once, their files where they were last seen."""
        return self._images.records(self.settings, look)

    def record(self, name: str) -> ImageRecord:
        """One image by name, name without ending, or bare stem while that is unique."""
        return self._images.record(name, self.settings)

    def image(self, name: str) -> Image:
        """The image, normalised as the settings say."""
        return self._images.image(name, self.settings)

    def reader(self, name: str) -> ImageReader:
        """What reads boxes of an image (None = all of it), its file opened once; a box has the whole's contrast.

        It needs no journal and may be sent to another process that sees the image's file.
        """
        return self._images.reader(name, self.settings)

    def source(self, name: str) -> ImageSource:
        """The image's file, opened for reading by box."""
        return self._images.open(name)[1]

    def relink(self, folder: Path) -> tuple[str, ...]:
        """Search lost images below this folder too, now and later; names of those still not found."""
        return self._images.relink(Path(folder))

    def state(self, name: str) -> ImageState:
        """``new``, ``labelled``, ``proposed`` (a refined mask exists), ``accepted`` (any pixel) or ``skipped``."""
        with self._journal.read() as db:
            return self._images.row(db, name).state

    def skip(self, name: str, skipped: bool = True) -> None:
        """Set an image aside, or take it up again."""
        with self._journal.write() as db:
            row = self._images.row(db, name)
            db.execute("UPDATE images SET skipped = ? WHERE id = ?", (int(skipped), row.id))

    # ------------------------------------------------------------------ weak labels

    def labels(self, name: str) -> WeakLabels:
        """All that was said of an image, at one moment; ``mask`` is what was accepted, None if nothing."""
        with self._journal.read() as db:
            row = self._images.row(db, name)
            mask = self._masks.read(db, row) if row.accepted_pixels else None
            tags, _ = weak.live_tags(db, row.id)
            marks = weak.marks_only(db, row.id)
        return WeakLabels(tags, marks, mask.labels if mask else None, mask.instances if mask else None)

    def marks(self, name: str) -> tuple[RecordedMark, ...]:
        """The image's marks, oldest first, with the numbers that :meth:`remove_marks` wants and their makers."""
        with self._journal.read() as db:
            return weak.live_marks(db, self._images.row(db, name).id)

    def tags_provenance(self, name: str) -> Provenance | None:
        """Who gave the image's tags; None if nobody did."""
        with self._journal.read() as db:
            return weak.live_tags(db, self._images.row(db, name).id)[1]

    def add_marks(self, name: str, marks: Sequence[Mark], by: Provenance) -> tuple[int, ...]:
        """Append marks, all or none; their numbers.

        Raises
        ------
        UsageError
            A mark outside the image or of an unknown class.
        """
        with self._journal.write() as db:
            row = self._images.row(db, name)
            imports.check_marks(row, marks, len(self.classes))
            ids = weak.insert_marks(db, row.id, marks, put_provenance(db, by))
            weak.refresh_digest(db, row.id)
        return ids

    def remove_marks(self, name: str, ids: Sequence[int], by: Provenance) -> None:
        """Take marks away, all or none; the labels are then as if they had never been."""
        with self._journal.write() as db:
            row = self._images.row(db, name)
            weak.remove_marks(db, row.id, ids, put_provenance(db, by))
            weak.refresh_digest(db, row.id)

    def restore_marks(self, name: str, ids: Sequence[int]) -> None:
        """Give back marks that were taken away; the labels are then as if they had never been removed."""
        with self._journal.write() as db:
            row = self._images.row(db, name)
            weak.restore_marks(db, row.id, ids)
            weak.refresh_digest(db, row.id)

    def set_tags(self, name: str, tags: Tags, by: Provenance) -> None:
        """Make these the image's tags, in place of those it had."""
        weak.check_tags(tags, len(self.classes))
        with self._journal.write() as db:
            row = self._images.row(db, name)
            weak.insert_tags(db, row.id, tags, put_provenance(db, by))
            weak.refresh_digest(db, row.id)

    def import_labels(self, additions: Mapping[str, ImportedLabels], source: str, digest: str, by: Provenance) -> int:
        """Take in what a file (or folder) says, in one transaction: all of it or nothing.

        How it meets what the image has already: :func:`napari_wsss.project.imports.take_in`.

        Parameters
        ----------
        source, digest : str
            What was read, for people, and the hash of its content.

        Returns
        -------
        int
            Number of images whose labels changed; 0 if this digest was taken in before.
        """
        folds: list[tuple[ImageRow, masks.Fresh]] = []
        changed = 0
        with self._journal.write() as db:
            if imports.is_known(db, digest):
                return 0
            maker = put_provenance(db, by)
            imported = imports.record_import(db, source, digest, maker)
            for name, said in additions.items():
                row = self._images.row(db, name)
                fresh, differs = imports.take_in(db, self._masks, row, said, len(self.classes), imported, maker)
                folds.append((row, fresh))
                changed += differs
        for row, fresh in folds:
            self._fold(row, fresh)
        return changed

    # ------------------------------------------------------------------ masks

    def edit_mask(
        self, name: str, box: Box4, labels: Labels, by: Provenance, instances: Instances | None = None
    ) -> None:
        """Set the accepted mask inside a box (0 = not accepted any more).

        Without ``instances``, object ids stay where the class stays and go where it changes.
        """
        with self._journal.write() as db:
            row = self._images.row(db, name)
            new = masks.checked(labels, instances, box, row, len(self.classes))
            if instances is None:
                old = self._masks.read(db, row, box)
                if old.instances is not None:
                    new = replace(new, instances=np.where(new.labels == old.labels, old.instances, 0).astype(np.uint32))
            fresh = self._masks.edit(db, row, "edit", box, new, put_provenance(db, by))
            weak.refresh_digest(db, row.id)
        self._fold(row, fresh)

    def accept(self, name: str, mask: Mask, by: Provenance, box: Box4 | None = None) -> None:
        """Make a mask of the whole image ground truth, everywhere or inside a box.

        With a box, an object id that another object outside the box has already is given a free one.
        """
        with self._journal.write() as db:
            row = self._images.row(db, name)
            whole = (0, 0, *row.shape)
            new = masks.checked(mask.labels, mask.instances, whole, row, len(self.classes))
            if box is not None:
                old = self._masks.read(db, row) if new.instances is not None else None
                new = masks.cropped(new, box, old, row)
            fresh = self._masks.edit(db, row, "accept", box or whole, new, put_provenance(db, by))
            weak.refresh_digest(db, row.id)
        self._fold(row, fresh)

    def undo_last(self, name: str, by: Provenance) -> bool:
        """Take back the image's newest mask edit, accept or imported mask; False if there is none left."""
        with self._journal.write() as db:
            row = self._images.row(db, name)
            fresh = self._masks.undo_last(db, row, put_provenance(db, by))
            if fresh is None:
                return False
            weak.refresh_digest(db, row.id)
        self._fold(row, fresh)
        return True

    def accepted(self, name: str) -> Mask | None:
        """The accepted mask; None while no pixel is accepted."""
        with self._journal.read() as db:
            row = self._images.row(db, name)
            return self._masks.read(db, row) if row.accepted_pixels else None

    def accepted_provenance(self, name: str) -> tuple[Provenance, ...]:
        """Who made what is accepted, oldest first: every edit since the last one of the whole image."""
        with self._journal.read() as db:
            row = self._images.row(db, name)
            ids = masks.live_edits(db, row) if row.accepted_pixels else []
            makers = get_provenances(db, set(ids))
        return tuple(makers[number] for number in ids)

    def accepted_when(self, name: str) -> str | None:
        """When the accepted mask last changed (ISO 8601, UTC); None while there is none."""
        makers = self.accepted_provenance(name)
        return makers[-1].when if makers else None

    # ------------------------------------------------------------------ results of stages

    def put_result(self, name: str, stage: Stage, result: Result, key: str, by: Provenance) -> None:
        """Keep what a stage made of an image; ``key`` tells from what (see :meth:`result_keys`)."""
        with self._journal.read() as db:
            row = self._images.row(db, name)
        file = self._results.write(row, stage, result)
        with self._journal.write() as db:
            replaced = self._results.record(db, row, stage, key, file, put_provenance(db, by))
        if replaced is not None:
            self._results.remove(stage, replaced)

    def result(self, name: str, stage: Stage) -> Result | None:
        """What a stage made of an image, bit for bit as it was put; None if it made nothing yet."""
        tried = None
        while True:
            with self._journal.read() as db:
                row = self._images.row(db, name)
                file = self._results.named(db, row, stage)
            if file is None or file == tried:
                return None
            found = self._results.read(stage, file)
            if found is not None:
                return found
            tried = file  # another process replaced it between the two steps; or it was deleted by hand

    def result_file(self, name: str, stage: Stage) -> Path | None:
        """Where a result lies, for another process to read with :func:`read_result`; None if there is none."""
        with self._journal.read() as db:
            file = self._results.named(db, self._images.row(db, name), stage)
        return None if file is None else self._results.path(stage, file)

    def result_keys(self, stage: Stage) -> dict[str, str]:
        """Keys of all results of a stage by image name."""
        with self._journal.read() as db:
            return self._results.keys(db, stage)

    def result_provenance(self, name: str, stage: Stage) -> Provenance | None:
        """Which method made a result, with what; None if there is none."""
        with self._journal.read() as db:
            return self._results.maker(db, self._images.row(db, name), stage)

    # ------------------------------------------------------------------ regions to label next

    def add_regions(self, found: Sequence[Region], by: Provenance) -> tuple[int, ...]:
        """Record regions that a person is to be asked about, in this order; their numbers."""
        with self._journal.write() as db:
            maker = put_provenance(db, by)
            return tuple(regions.insert(db, self._images.row(db, r.image).id, r, maker) for r in found)

    def regions(self, statuses: Sequence[Answer] | None = None, name: str | None = None) -> list[Region]:
        """Recorded regions (of one image), oldest first; ``("asked",)`` are those that wait for an answer."""
        with self._journal.read() as db:
            return regions.listed(db, statuses, None if name is None else self._images.row(db, name).id)

    def region(self, number: int) -> Region:
        """One recorded region."""
        with self._journal.read() as db:
            return regions.numbered(db, number)

    def answer_region(self, number: int, status: Answer, by: Provenance) -> None:
        """Note how a region was answered; the labels themselves go through :meth:`edit_mask`."""
        with self._journal.write() as db:
            regions.numbered(db, number)
            regions.answer(db, number, status, put_provenance(db, by))

    def forget_open_regions(self) -> int:
        """Remove the regions that wait for an answer; how many there were."""
        with self._journal.write() as db:
            return regions.forget_open(db)

    # ------------------------------------------------------------------ soundness

    def check(self) -> list[str]:
        """What is wrong with the project's files, a line each; empty if all agree."""
        with self._journal.read() as db:
            return list(check.problems(db, self._masks, self._results))

    def _fold(self, row: ImageRow, fresh: masks.Fresh) -> None:
        with self._journal.write(durable=False) as db:
            self._masks.fold(db, row, fresh)

    def _recover(self) -> None:
        """Finish what a killed process left: fold its edits, sweep its half-written files."""
        with self._journal.read() as db:
            behind = masks.unfolded_images(db)
            self._results.sweep(db)
        for number in behind:
            with self._journal.write(durable=False) as db:
                self._masks.fold(db, row_numbered(db, number), {})
        sweep(self.folder / TEMPORARY)
