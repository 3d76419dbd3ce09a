"""A run's metrics as TensorBoard events, beside the JSON lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_wsss.errors import UsageError


class Events:
    """Writes event files into a run's folder.

    Parameters
    ----------
    folder : Path
        Of the run.
    from_step : int
        Steps that are done: events of later ones, which an interrupted run left, are not shown any more.

    Raises
    ------
    UsageError
        TensorBoard is not installed.
    """

    def __init__(self, folder: Path, from_step: int) -> None:
        check_installed()
        from torch.utils.tensorboard import SummaryWriter

        made: Any = SummaryWriter
        self._writer = made(str(folder), purge_step=from_step + 1, flush_secs=10)

    def add(self, values: Mapping[str, Any]) -> None:
        """One line of the metrics: its numbers as curves over the step; a table a class as one curve a class."""
        step = values["step"]
        for name, value in values.items():
            if isinstance(value, Mapping):
                for key, number in value.items():
                    self._writer.add_scalar(f"{name}/{key}", number, step)
            elif name != "step" and isinstance(value, (int, float)):
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


def check_installed() -> None:
    """Raises UsageError where TensorBoard is not there."""
    try:
        import tensorboard  # noqa: F401
    except ImportError as error:
        raise UsageError("TensorBoard is not installed: pip install 'napari-wsss[tensorboard]'") from error
