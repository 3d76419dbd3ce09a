"""Figures of masks against ground truth. Only the command line and the report import this: no method sees the truth."""

from napari_wsss.evaluation.figures import Case, Figures, evaluate
from napari_wsss.evaluation.seeds import SeedCase, SeedFigures, evaluate_seeds
from napari_wsss.evaluation.truth import TruthFolder, hinted

__all__ = [
    "Case",
    "Figures",
    "SeedCase",
    "SeedFigures",
    "TruthFolder",
    "evaluate",
    "evaluate_seeds",
    "hinted",
]
