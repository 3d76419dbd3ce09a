"""Drawn microscopy: fluorescence, stained tissue, cells, electron micrographs, fibres, colonies and textures.

Every parameter of a scene is drawn per scene from a wide range; sizes are in pixels, so that asking for a larger
picture shows more, not the same enlarged. Truth is what is visible: where one object lies over another, the upper one
owns the pixel. Noise and faults of cameras are added elsewhere; only what belongs to the scene is drawn.
"""

from __future__ import annotations

from functools import wraps

import numpy as np

from napari_wsss.drawing._electron import neuropil, whole_cell
from napari_wsss.drawing._micro_cells import dyed_cells, edged_cells, membranes
from napari_wsss.drawing._micro_fibres import filaments, neurites, rings_and_stars, rods, specks
from napari_wsss.drawing._micro_regions import colonies, organoids, scratch, textured_areas
from napari_wsss.drawing._nuclei import crowded_nuclei, fluorescent_nuclei
from napari_wsss.drawing._tissue import glands, smear, stained_tissue
from napari_wsss.drawing.scene import DrawScene, Scene

_TRIES = 40
_WORTH = 40  # px of the objects together: less is an empty picture


def _peopled(draw: DrawScene) -> DrawScene:
    """The same scene, drawn again while it has nothing to click on."""

    @wraps(draw)
    def drawn(rng: np.random.Generator, shape: tuple[int, int]) -> Scene:
        for _ in range(_TRIES):
            scene = draw(rng, shape)
            if sum(np.count_nonzero(ids) for ids in scene.objects) >= _WORTH:
                return scene
        raise ValueError(f"no object found room in {_TRIES} drawings of {shape} px; ask for a larger picture")

    return drawn


_DRAWN: dict[str, DrawScene] = {
    "fluorescent nuclei": fluorescent_nuclei,
    "crowded nuclei": crowded_nuclei,
    "stained tissue": stained_tissue,
    "glands": glands,
    "smear": smear,
    "edged cells": edged_cells,
    "membranes": membranes,
    "dyed cells": dyed_cells,
    "neuropil": neuropil,
    "whole cell": whole_cell,
    "filaments": filaments,
    "neurites": neurites,
    "rods": rods,
    "rings and stars": rings_and_stars,
    "specks": specks,
    "organoids": organoids,
    "colonies": colonies,
    "textured areas": textured_areas,
    "scratch": scratch,
}

SCENES: dict[str, DrawScene] = {name: _peopled(draw) for name, draw in _DRAWN.items()}
"""Scenes by name; each keeps at least one object, whatever the seed."""
