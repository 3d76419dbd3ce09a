"""Weak labels to finished segmentation masks. Importing this loads no torch, Qt or napari."""

from __future__ import annotations

__version__ = "0.1.0.dev0"
