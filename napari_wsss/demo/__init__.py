"""The main job on images that need no network: hints, maps, pseudo-labels, masks, an export and a report."""

from napari_wsss.demo.themes import THEMES, Theme
from napari_wsss.demo.work import Outcome, run_demo

__all__ = ["THEMES", "Outcome", "Theme", "run_demo"]
