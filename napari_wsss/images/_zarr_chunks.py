"""Chunk files of a zarr array, checked before they are unpacked.

Blosc believes the length that its own header states and reads past the end of a truncated chunk,
so that length is held against the file's here, also for the chunks inside a shard. Anyone may
hand us a folder; a lie in it must not become a crash or a huge allocation.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from napari_wsss.errors import UnreadableImage

_EMPTY = 2**64 - 1  # offset of a chunk that a shard does not hold
_SLACK = 2**16  # bytes that headers may add to a chunk that does not shrink


def check_chunks(path: Path, folder: Path, array: Any, codecs: list[Any], region: list[tuple[int, int]]) -> None:
    """Refuse a damaged chunk among those that a region of an array touches.

    Parameters
    ----------
    codecs : list
        Those of the array's metadata, in the order of packing.
    region : list of (start, stop)
        One range an axis.
    """
    grid = array.shards or array.chunks
    last = codecs[-1] if codecs and isinstance(codecs[-1], Mapping) else {}
    name, limit = last.get("id", last.get("name")), 2 * prod(grid) * array.dtype.itemsize + _SLACK
    for at in product(*(range(a // n, -(-b // n)) for (a, b), n in zip(region, grid))):
        file = folder / array.metadata.encode_chunk_key(at)
        if not file.is_file():
            continue  # never written: the fill value
        size = file.stat().st_size
        if size > limit:
            raise UnreadableImage(f"{path}: chunk {file.name} is larger than what it should hold; copy it again")
        with file.open("rb") as stream:
            if name == "blosc":
                _check_blosc(path, stream, 0, size, prod(array.chunks) * array.dtype.itemsize)
            elif name == "sharding_indexed":
                _check_shard(path, stream, size, array, last.get("configuration") or {})


def _check_blosc(path: Path, stream: BinaryIO, offset: int, size: int, unpacked: int) -> None:
    stream.seek(offset)
    head = stream.read(16)
    if len(head) == 16:
        stated, _, packed = struct.unpack_from("<III", head, 4)
        if packed == size and stated == unpacked:
            return
    raise UnreadableImage(f"{path}: a chunk is truncated or damaged; copy the whole folder again")


def _check_shard(path: Path, stream: BinaryIO, size: int, array: Any, settings: Mapping[str, Any]) -> None:
    inner = settings.get("codecs") or []
    if not inner or inner[-1].get("name") != "blosc":
        return
    for offset, length in _shard_index(path, stream, size, array, settings):
        if offset == _EMPTY:
            continue
        if offset + length > size:
            raise UnreadableImage(f"{path}: a shard is truncated; copy the whole folder again")
        _check_blosc(path, stream, offset, length, prod(array.chunks) * array.dtype.itemsize)


def _shard_index(
    path: Path, stream: BinaryIO, size: int, array: Any, settings: Mapping[str, Any]
) -> Iterator[tuple[int, int]]:
    """Offset and length of every chunk of a shard."""
    names = [codec.get("name") for codec in settings.get("index_codecs") or []]
    if names not in (["bytes"], ["bytes", "crc32c"]):
        raise UnreadableImage(f"{path}: shards with an index packed by {names} are not read; save it again")
    order = (settings["index_codecs"][0].get("configuration") or {}).get("endian", "little")
    count = prod(-(-s // c) for s, c in zip(array.shards, array.chunks))
    length = 16 * count + (4 if "crc32c" in names else 0)
    if length > size:
        raise UnreadableImage(f"{path}: a shard is truncated; copy the whole folder again")
    stream.seek(0 if settings.get("index_location") == "start" else size - length)
    index = np.frombuffer(stream.read(16 * count), "<u8" if order == "little" else ">u8").reshape(-1, 2)
    yield from ((int(a), int(b)) for a, b in index)
