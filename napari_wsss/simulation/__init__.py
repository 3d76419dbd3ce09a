"""Playing the annotator from ground truth: what a strategy would have cost and reached. No method imports this.

Importing this loads no torch.
"""

from __future__ import annotations

from napari_wsss.simulation.curve import Row, area, summary
from napari_wsss.simulation.oracle import Oracle
from napari_wsss.simulation.play import Play, simulate

__all__ = ["Oracle", "Play", "Row", "area", "simulate", "summary"]
