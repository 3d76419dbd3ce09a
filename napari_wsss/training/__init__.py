"""The trainer: a segmenter fitted to all that a project knows, in the background, resumable at any moment.

Importing this loads no torch; :func:`train` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_wsss.training.settings import Training, with_values

if TYPE_CHECKING:
    from napari_wsss.training.loop import TrainReport

__all__ = ["Training", "train", "with_values"]


def train(*arguments: Any, **options: Any) -> TrainReport:
    """See :func:`napari_wsss.training.loop.train`."""
    from napari_wsss.training.loop import train as loop

    return loop(*arguments, **options)
