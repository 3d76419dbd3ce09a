"""The order of the images: the project's, or those first whose predictions are likely the worst."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from napari_wsss.compute import Job
from napari_wsss.project import ImageRecord
from napari_wsss.quality import ENOUGH, Quality, worst_first

if TYPE_CHECKING:
    from napari_wsss.session.session import Session

_NONE = "No predicted image waits for a review: train, predict, and sort again."


class WorstFirst:
    """Sorting a session's images by the quality of their predictions, where there is no truth.

    The order stays until it is asked for again, so that nothing jumps while a person works; "next" follows it.

    Attributes
    ----------
    found : mapping of name to Quality
        In order, the worst first; empty = the project's order.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.found: Mapping[str, Quality] = {}

    def sort(self, on: bool) -> None:
        """Put the worst first, or go back to the project's order."""
        if not on:
            self.forget()
            self._session.images_changed.emit()
            return
        project = self._session.the_project()

        def work(job: Job[list[Quality]]) -> list[Quality]:
            return worst_first(project, job.progress)

        self._session.working.begin(work, "how good the predictions are", self._sorted)

    def _sorted(self, found: list[Quality]) -> None:
        self.found = {quality.image: quality for quality in found}
        if not found:
            self._session.told.emit(_NONE)
        elif found[0].iou is None:
            self._session.told.emit(f"Sorted by doubt; numbers come once {ENOUGH} predicted images were accepted.")
        self._session.images_changed.emit()

    def forget(self) -> None:
        """The project's order."""
        self.found = {}

    def ordered(self, records: Sequence[ImageRecord]) -> list[ImageRecord]:
        """Records in this order; what has no prediction that waits for a review keeps its order at the end."""
        place = {name: n for n, name in enumerate(self.found)}
        return sorted(records, key=lambda record: place.get(record.name, len(place)))

    def words(self, name: str) -> str:
        """How good an image's prediction is thought to be; '' where nothing is known."""
        quality = self.found.get(name)
        if quality is None:
            return ""
        if quality.iou is None:
            return f"doubt {quality.doubt:.2f}"
        return f"IoU about {quality.iou:.2f} ({quality.low:.2f} to {quality.high:.2f})"
