"""The curve of a training run, read from its metrics while it grows."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_wsss.training.run_folder import METRICS, RunFolder

Point = tuple[int, float]


@dataclass(frozen=True, slots=True)
class Curve:
    """What a run told until now.

    Attributes
    ----------
    run : int
        Its number; 0 = there is no run.
    losses, held_out : tuples of (step, value)
        The sum of the losses at each step; mIoU of each look at the held-out images.
    step, epoch, seconds : how far it is
    device : str
        In words; '' before it began.
    began : float
        When the process that works on it now began, seconds of :func:`time.time`.
    """

    run: int = 0
    losses: tuple[Point, ...] = ()
    held_out: tuple[Point, ...] = ()
    step: int = 0
    epoch: int = 0
    seconds: float = 0.0
    device: str = ""
    began: float = 0.0

    @property
    def best(self) -> float | None:
        """The best mIoU on the held-out images; its weights are the run's."""
        return max((value for _, value in self.held_out), default=None)


class CurveReader:
    """Reads what was appended since it last looked, and all again where the file was replaced (a resumed run)."""

    def __init__(self, run: RunFolder) -> None:
        self.number, self._file = run.number, run.folder / METRICS
        self._forget()

    def _forget(self) -> None:
        self._losses: list[Point] = []
        self._held_out: list[Point] = []
        self._told: dict[str, Any] = {}
        self._at, self._inode = 0, 0

    def read(self) -> Curve:
        """The curve until now."""
        for line in self._new_lines():
            self._take(line)
        told = self._told
        return Curve(
            self.number,
            tuple(self._losses),
            tuple(self._held_out),
            int(told.get("step", 0)),
            int(told.get("epoch", 0)),
            float(told.get("seconds", 0.0)),
            str(told.get("device", "")),
            float(told.get("began", 0.0)),
        )

    def _new_lines(self) -> list[str]:
        """Whole lines only: the last one may still be being written."""
        if not Path(self._file).is_file():
            return []
        with self._file.open("rb") as file:
            status = self._file.stat()
            if status.st_size < self._at or status.st_ino != self._inode:
                self._forget()
                self._inode = status.st_ino
            file.seek(self._at)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._at += len(whole)
        return whole.decode("utf-8").splitlines()

    def _take(self, line: str) -> None:
        told: dict[str, Any] = json.loads(line)
        step = int(told.get("step", 0))
        if "loss" in told:
            self._losses.append((step, float(told["loss"])))
        if "held_out_miou" in told:
            self._held_out.append((step, float(told["held_out_miou"])))
        self._told |= {k: told[k] for k in ("step", "epoch", "seconds", "device", "began") if k in told}
