"""Looking at images before they are clicked, so that a click finds all features there."""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING

from napari_wsss import close_up, registry
from napari_wsss.choices import KIND, STAGES, Choices, Plan, choices
from napari_wsss.compute import Job, Priority

if TYPE_CHECKING:
    from napari_wsss.project import ImageRecord
    from napari_wsss.session.session import Session


class Looking:
    """What the model sees next, when it has nothing better to do."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._is_ready = False

    def ahead(self) -> None:
        """This image and the next one; of a large image its middle."""
        session = self._session
        if session.project is None:  # left before the window came to this
            return
        for slot, name in (("see", session.name), ("ahead", session.queue.ahead or session.listing.neighbour(1))):
            if name:
                self.at(name, slot)
        if not self._is_ready:
            self._is_ready = True
            chosen = choices(Plan(), session.project.settings)
            session.thread.start(partial(_load, chosen), priority=Priority.IDLE, what="getting ready")

    def at(self, name: str, slot: str) -> None:
        """An image; of a large one its middle."""
        record = next(r for r in self._session.records() if r.name == name)
        self._see(record, slot, (record.shape[0] // 2, record.shape[1] // 2))

    def around(self, y: int, x: int) -> None:
        """The person now has this pixel in the middle of the window: the part of a large image around it."""
        opened = self._session.opened
        if self._session.project is not None and opened is not None and close_up.is_large(opened.shape):
            at = min(max(y, 0), opened.shape[0] - 1), min(max(x, 0), opened.shape[1] - 1)
            self._see(opened.record, "see", at)

    def _see(self, record: ImageRecord, slot: str, at: tuple[int, int]) -> None:
        session, project = self._session, self._session.the_project()

        def see(job: Job[None]) -> None:
            session.predicting.see(record.key, record.shape, lambda: project.reader(record.name), at)

        job = session.start(see, slot, f"looking at {record.name}", Priority.IDLE)
        session.when_done(job, lambda _: None)


def _load(chosen: Choices, job: Job[None]) -> None:
    """Load what the first run of the stages would load: it takes a second or two. Holds no session meanwhile."""
    importlib.import_module("torch.optim")
    for stage in STAGES:
        registry.load(KIND[stage], chosen.stages[stage].name)
        registry.load("encoders", chosen.encoders[stage].name)
