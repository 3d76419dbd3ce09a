"""What can be taken from activation maps: seeds by two thresholds, boxes of objects."""

from __future__ import annotations
