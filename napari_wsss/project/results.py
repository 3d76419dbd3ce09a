"""What the stages made: one safetensors file a result, named in the journal once it is whole.

Every array comes back bit for bit. To keep files small, a tensor is stored as the zlib stream of its
bytes with all first bytes before all second bytes (and so on), as uint8; its dtype and shape stand in
the file's metadata as JSON. Results can be thrown away and computed again.
"""

from __future__ import annotations

import json
import os
import sqlite3
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from napari_wsss.errors import WsssError
from napari_wsss.project.atomic import sweep, write_bytes
from napari_wsss.project.journal import get_provenances
from napari_wsss.project.rows import ImageRow
from napari_wsss.types import Cam, Contradiction, Mask, Prediction, Provenance, PseudoLabels

Stage = Literal["cam", "pseudo", "refined", "predicted"]
STAGES: tuple[Stage, ...] = ("cam", "pseudo", "refined", "predicted")
Result = Cam | PseudoLabels | Mask | Prediction

_DTYPES = ("<f4", "<f2", "<u2", "<u4", "<i8")
_ORPHAN_AFTER = 3600.0


class ResultStore:
    """The files below ``results/<stage>/``; the journal is handed in."""

    def __init__(self, folder: Path, temporary: Path) -> None:
        self._folder, self._temporary = folder, temporary

    def write(self, image: ImageRow, stage: Stage, result: Result) -> str:
        """Write a result's file, whole or not at all; its name, for :meth:`record`.

        No name is used twice: a file never changes its meaning under a reader, and removing a replaced
        one cannot hit one that another process is about to record.
        """
        file = f"{image.file_key}-{os.urandom(6).hex()}.safetensors"
        write_bytes(self._folder / stage / file, encode(result), self._temporary)
        return file

    def record(self, db: sqlite3.Connection, image: ImageRow, stage: Stage, key: str, file: str, by: int) -> str | None:
        """Name a written file in the journal; the file that it replaces, to be removed after the transaction."""
        replaced = self.named(db, image, stage)
        db.execute(
            "INSERT INTO results (image, stage, key, file, provenance) VALUES (?,?,?,?,?) ON CONFLICT DO UPDATE"
            " SET key = excluded.key, file = excluded.file, provenance = excluded.provenance",
            (image.id, stage, key, file, by),
        )
        return replaced

    def named(self, db: sqlite3.Connection, image: ImageRow, stage: Stage) -> str | None:
        """File of an image's result; None if it has none."""
        row = db.execute("SELECT file FROM results WHERE image = ? AND stage = ?", (image.id, stage)).fetchone()
        return row[0] if row else None

    def keys(self, db: sqlite3.Connection, stage: Stage) -> dict[str, str]:
        """Keys of a stage's results by image name, of those whose file is there; one query, one look at the folder."""
        folder = self._folder / stage
        there = {entry.name for entry in os.scandir(folder)} if folder.is_dir() else set()
        rows = db.execute(
            "SELECT name, key, file FROM results JOIN images ON images.id = image WHERE stage = ?", (stage,)
        )
        return {name: key for name, key, file in rows if file in there}

    def maker(self, db: sqlite3.Connection, image: ImageRow, stage: Stage) -> Provenance | None:
        row = db.execute("SELECT provenance FROM results WHERE image = ? AND stage = ?", (image.id, stage)).fetchone()
        return get_provenances(db, {row[0]})[row[0]] if row else None

    def remove(self, stage: Stage, file: str) -> None:
        """Remove a file that the journal no longer names."""
        try:
            (self._folder / stage / file).unlink(missing_ok=True)
        except PermissionError:  # Windows, while another process reads it; sweep() takes it later
            return

    def path(self, stage: Stage, file: str) -> Path:
        return self._folder / stage / file

    def read(self, stage: Stage, file: str) -> Result | None:
        """The result in a file; None if the file is gone. Raises WsssError, see :func:`read_result`."""
        return read_result(self.path(stage, file))

    def sweep(self, db: sqlite3.Connection) -> None:
        """Remove files that a killed process wrote and never named, once no process can be about to name them."""
        for stage in STAGES:
            named = frozenset(row[0] for row in db.execute("SELECT file FROM results WHERE stage = ?", (stage,)))
            sweep(self._folder / stage, keep=named, older_than=_ORPHAN_AFTER)


def read_result(path: Path) -> Result | None:
    """The result in a file; None if the file is gone.

    Raises
    ------
    WsssError
        A damaged file; the remedy is to delete it.
    """
    if not path.is_file():
        return None
    try:
        return decode(path)
    except FileNotFoundError:
        return None
    except (SafetensorError, zlib.error, ValueError, KeyError) as error:
        raise WsssError(f"{path} is damaged ({error}); delete it and run the stage again") from error


def encode(result: Result) -> bytes:
    """A result as a safetensors file."""
    arrays, facts = _taken_apart(result)
    about = {name: {"dtype": array.dtype.newbyteorder("<").str, "shape": array.shape} for name, array in arrays.items()}
    metadata = {"kind": type(result).__name__, "arrays": json.dumps(about), "facts": json.dumps(facts)}
    return save({name: _deflated(array) for name, array in arrays.items()}, metadata)


def decode(file: Path) -> Result:
    """The result that :func:`encode` wrote, equal bit for bit."""
    with safe_open(file, framework="np") as stored:
        metadata = stored.metadata() or {}
        about = json.loads(metadata["arrays"])
        arrays = {name: _inflated(stored.get_tensor(name), a["dtype"], tuple(a["shape"])) for name, a in about.items()}
    return _put_together(metadata["kind"], arrays, json.loads(metadata["facts"]))


def _taken_apart(result: Result) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    arrays: dict[str, NDArray[Any]]
    if isinstance(result, Cam):
        arrays = {"scores": result.scores, "raw_max": result.raw_max, "seeds": result.seeds}
        return _typed(arrays, scores="<f4", raw_max="<f4", seeds="<u2"), {"classes": [int(k) for k in result.classes]}
    if isinstance(result, PseudoLabels):
        pairs = [[*c.first, *c.second, *c.classes] for c in result.contradictions]
        arrays = {
            "probabilities": result.probabilities,
            "labels": result.labels,
            "typicality": result.typicality,
            "contradictions": np.array(pairs, "<i8").reshape(-1, 6),
        }
        return _typed(arrays, probabilities="<f2", labels="<u2", typicality="<f2"), {"trust": list(result.trust)}
    if isinstance(result, Prediction):
        arrays = {"labels": result.labels, "probabilities": result.probabilities}
        for name in ("disagreement", "hardness"):
            plane = getattr(result, name)
            if plane is not None:
                arrays[name] = plane
        halves = {"probabilities": "<f2", "disagreement": "<f2", "hardness": "<f2"}
        return _typed(arrays, labels="<u2", **halves), {"stride": int(result.stride)}
    arrays = {"labels": result.labels}
    if result.instances is not None:
        arrays["instances"] = result.instances
    return _typed(arrays, labels="<u2", instances="<u4"), {"notes": list(result.notes)}


def _put_together(kind: str, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> Result:
    if kind == "Cam":
        return Cam(arrays["scores"], tuple(facts["classes"]), arrays["raw_max"], arrays["seeds"])
    if kind == "PseudoLabels":
        rows = (tuple(int(v) for v in row) for row in arrays["contradictions"])
        pairs = tuple(Contradiction((a, b), (c, d), (e, f)) for a, b, c, d, e, f in rows)
        trust = tuple(float(t) for t in facts.get("trust", ()))
        return PseudoLabels(arrays["probabilities"], arrays["labels"], arrays["typicality"], pairs, trust)
    if kind == "Prediction":
        planes = (arrays.get(name) for name in ("disagreement", "hardness"))
        return Prediction(arrays["labels"], arrays["probabilities"], int(facts["stride"]), *planes)
    if kind == "Mask":
        return Mask(arrays["labels"], arrays.get("instances"), tuple(facts["notes"]))
    raise ValueError(f"no result of the kind {kind!r}")


def _typed(arrays: Mapping[str, NDArray[Any]], **dtypes: str) -> dict[str, NDArray[Any]]:
    return {name: np.ascontiguousarray(array, dtypes.get(name)) for name, array in arrays.items()}


def _deflated(array: NDArray[Any]) -> NDArray[np.uint8]:
    planes = array.view(np.uint8).reshape(array.size, array.dtype.itemsize).T if array.size else np.zeros(0, np.uint8)
    # Runs alone: half of the time for probabilities, whose low bytes repeat nothing, and hardly larger.
    packer = zlib.compressobj(1, strategy=zlib.Z_RLE)
    return np.frombuffer(packer.compress(np.ascontiguousarray(planes).tobytes()) + packer.flush(), np.uint8)


def _inflated(stored: NDArray[np.uint8], dtype: str, shape: tuple[int, ...]) -> NDArray[Any]:
    if dtype not in _DTYPES:
        raise ValueError(f"an array of type {dtype!r} is not one of {', '.join(_DTYPES)}")
    size = np.dtype(dtype).itemsize
    planes = np.frombuffer(zlib.decompress(stored.tobytes()), np.uint8).reshape(size, -1)
    array = np.ascontiguousarray(planes.T).view(dtype).reshape(shape)
    return array.astype(array.dtype.newbyteorder("="), copy=False)
