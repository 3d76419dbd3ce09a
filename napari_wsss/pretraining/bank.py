"""Drawn scenes and over-segmented pictures on disk, drawn once and read by every run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_wsss.errors import UsageError
from napari_wsss.pretraining.specimens import Specimen


def write(specimens: Iterator[Specimen], folder: Path) -> int:
    """Write specimens as one compressed file each; how many there were. Files that exist stay."""
    folder.mkdir(parents=True, exist_ok=True)
    made = 0
    for specimen in specimens:
        made += 1
        file = folder / f"{specimen.family}@{specimen.name}.npz"
        arrays: dict[str, Any] = {f"objects{i}": ids for i, ids in enumerate(specimen.objects)}
        np.savez_compressed(file, picture=specimen.picture, table=specimen.table, **arrays)
    return made


def read(folder: Path) -> list[Specimen]:
    """Every specimen of a folder that `write` filled.

    Raises
    ------
    UsageError
        If there is none.
    """
    found = []
    for file in sorted(folder.glob("*.npz")):
        family, name = file.stem.split("@")
        with np.load(file, allow_pickle=False) as arrays:
            maps = tuple(arrays[f"objects{i}"] for i in range(len(arrays.files) - 2))
            found.append(Specimen(family, name, arrays["picture"], maps, arrays["table"]))
    if not found:
        raise UsageError(f"{folder}: no drawn scenes there; make them with python -m napari_wsss.pretraining draw")
    return found
