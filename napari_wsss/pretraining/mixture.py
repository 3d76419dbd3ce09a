"""How often each family of pictures is trained on, and which pictures are held out to look at."""

from __future__ import annotations

from collections.abc import Set
from hashlib import sha1

from napari_wsss.drawing import everyday, microscopy, overhead
from napari_wsss.pretraining.specimens import Specimen

HELD_OUT = ("nuclei_fluo", "nuclei_histology", "dubai_landcover")
"""Sets of which one training picture in seven is held out, to see how training goes."""

STAINED = ("stained tissue", "glands", "smear")
"""Drawn scenes of stained tissue, left out where a model is to meet such tissue for the first time."""

_REAL = {
    "nuclei_fluo": 0.12,
    "nuclei_more": 0.19,
    "nuclei_histology": 0.14,
    "dubai_landcover": 0.06,
    "zion_landsat": 0.01,
}
_ROOMS = ((microscopy.SCENES, 0.13), (overhead.SCENES, 0.17), (everyday.SCENES, 0.15))
_OFTEN = {"animals": 4.0, "houses": 2.0, "settlement": 2.0, "halls": 2.0, "terraces": 2.0, "neuropil": 2.0}
_FREE = 0.03


def weights_of(families: Set[str]) -> dict[str, float]:
    """Weight of each family that is there: fixed shares of the real sets and of the rooms of drawn scenes."""
    weights = {**_REAL, "free": _FREE}
    for scenes, share in _ROOMS:
        there = [name for name in scenes if name in families]
        total = sum(_OFTEN.get(name, 1.0) for name in there)
        weights.update({name: share * _OFTEN.get(name, 1.0) / total for name in there})
    return {family: weights[family] for family in families}


def is_held_out(specimen: Specimen) -> bool:
    """Whether a picture is never trained on; by its name, so that every run holds out the same."""
    return specimen.family in HELD_OUT and sha1(specimen.name.encode()).digest()[0] % 7 == 0
