"""What runs now, on which device, with which model; and stopping it."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_wsss.session import Session
from napari_wsss.session.shortage import Shortage
from napari_wsss.widgets.listening import listen


class Status(QWidget):
    """A line that always stays, and a bar while something runs."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self.line = QLabel()
        self.line.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setFixedHeight(8)
        self.cancel = QPushButton("Cancel")
        self.cancel.clicked.connect(session.working.cancel)
        row = QHBoxLayout()
        row.addWidget(self.line, 1)
        row.addWidget(self.cancel)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 0, 6, 0)
        column.setSpacing(2)
        self.shortage = QLabel()
        self.shortage.setWordWrap(True)
        self.ways = QVBoxLayout()
        column.addWidget(self.shortage)
        column.addLayout(self.ways)
        column.addLayout(row)
        column.addWidget(self.bar)
        for signal in (session.work_changed, session.draft_changed, session.image_opened, session.project_changed):
            listen(self, signal, self.refresh)
        self._offered: Shortage | None = None
        listen(self, session.trainer.changed, self.refresh)
        self.refresh()

    def _offer(self) -> None:
        """Ways out of too little memory, a button each."""
        found = self._session.shortage
        self.shortage.setVisible(found is not None)
        if found is self._offered:
            return
        self._offered = found
        while (item := self.ways.takeAt(0)) is not None:
            widget = item.widget()
            if widget is not None:
                widget.deleteLater()
        if found is not None:
            self.shortage.setText(found.words)
            for label, way in found.ways:
                button = QPushButton(label)
                button.clicked.connect(lambda checked, way=way: way())
                self.ways.addWidget(button)

    def refresh(self) -> None:
        """Say what runs."""
        self._offer()
        session, work = self._session, self._session.working.work
        asked = session.opened is not None and session.opened.draft is not None and not session.opened.draft.answered
        doing = work.what if work else "finding the object…" if asked else "ready"
        if session.shortage is not None:
            doing = "waits for memory"
        if session.trainer.state != "idle":
            doing += f" · {session.trainer.state}, step {session.trainer.curve.step}"
        self.line.setText(f"{session.device} · {session.predicting.model.replace('_', ' ')} · {doing}")
        self.line.setToolTip(f"device {session.device}; clicks are answered by {session.predicting.model}; {doing}")
        policy = self.bar.sizePolicy()
        policy.setRetainSizeWhenHidden(True)
        self.bar.setSizePolicy(policy)
        self.cancel.setEnabled(work is not None)
        self.bar.setVisible(work is not None)
        if work is not None:
            self.bar.setRange(0, work.total)
            self.bar.setValue(work.done)
