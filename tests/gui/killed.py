"""``napari-wsss open`` as a program of its own that clicks by itself: ``first`` is then killed, ``second`` reports.

Started by test_kill.py: ``python killed.py first|second PATH``.
"""

from __future__ import annotations

import json
import os
import signal
import sys

import torchvision  # noqa: F401  # before any viewer
from qtpy.QtCore import QTimer

from napari_wsss.cli import main
from napari_wsss.viewer import opening

AT, NOT_AT = (40, 40), (100, 100)
show = opening.show


def watched(viewer, dock, project, images):
    binding = show(viewer, dock, project, images)
    session = binding.session

    def report() -> None:
        clicks = [(c.y, c.x, c.positive) for c in session.opened.draft.clicks]
        found = {"image": session.name, "clicks": clicks, "pixels": int(session.proposal.sum())}
        print(json.dumps({**found, "project": str(session.project.folder)}), flush=True)

    def act() -> None:
        if session.opened is None:
            return
        if session.opened.draft is None:
            session.drafting.click(*AT)
            session.drafting.click(*NOT_AT, positive=False)
        elif session.opened.draft.answered:
            report()
            if sys.argv[1] == "first":
                os.kill(os.getpid(), signal.SIGKILL)
            viewer.close()

    timer = QTimer(viewer.window._qt_window)
    timer.timeout.connect(act)
    timer.start(100)
    return binding


if __name__ == "__main__":
    opening.show = watched
    sys.exit(main(["open", sys.argv[2]]))
