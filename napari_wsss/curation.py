"""Which images train, validate and test, and which look too much alike to lie on two sides.

The split is by group (slide, plate, scene, folder), so that neighbours stay together. Near-duplicates
are found by a 64-bit perceptual hash: the signs of an image's lowest DCT frequencies (the well-known
pHash), compared by Hamming distance.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy.fft import dctn

from napari_wsss.errors import UsageError
from napari_wsss.types import Dataset, digest

Split = Literal["train", "val", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

NEAR = 8
"""Two images at most so many of 64 bits apart count as near-duplicates."""

_SIDE = 32
_FREQUENCIES = 8


@dataclass(frozen=True, slots=True)
class SplitRule:
    """How a split was made: ratios of train, val and test, seed, and what a group was."""

    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 0
    by: str = "image"


@dataclass(frozen=True, eq=False, slots=True)
class SplitDataset(Dataset):
    """A dataset that also knows how its split was made; every export's manifest says it."""

    rule: SplitRule = SplitRule()


@dataclass(frozen=True, slots=True)
class NearDuplicate:
    """Two images that look alike and how many of 64 bits of their hashes differ."""

    first: str
    second: str
    distance: int


# --------------------------------------------------------------------------- groups and splits


def groups_of(names: Sequence[str], by: str) -> tuple[str, ...]:
    """The group of each image name.

    Parameters
    ----------
    names : sequence of str
        Project names, ``folder/STEM.tif`` or ``folder/STEM.tif@z3``.
    by : str
        ``image`` (the planes of one stack stay together), ``folder``, or a regular expression whose
        first group (or whole match) in the name is the group, e.g. ``(plate\\d+)``.

    Raises
    ------
    UsageError
        If the expression is wrong or does not occur in a name.
    """
    files = [name.partition("@")[0] for name in names]
    if by == "image":
        return tuple(files)
    if by == "folder":
        return tuple(str(PurePosixPath(f).parent) for f in files)
    try:
        pattern = re.compile(by)
    except re.error as error:
        raise UsageError(f"split by {by!r}: neither image nor folder nor a regular expression ({error})") from error
    return tuple(_matched(pattern, file) for file in files)


def _matched(pattern: re.Pattern[str], name: str) -> str:
    found = pattern.search(name)
    if found is None:
        raise UsageError(f"split by {pattern.pattern!r}: it does not occur in {name!r}; every name needs a group")
    return str(found.group(1) if pattern.groups and found.group(1) is not None else found.group(0))


def split(
    names: Sequence[str],
    groups: Sequence[str],
    ratios: tuple[float, float, float] = (0.8, 0.1, 0.1),
    seed: int = 0,
) -> dict[str, Split]:
    """The side of every image; a group lies on one side whole.

    Large groups go first, each to the side that lacks most images; groups of one size in an order
    drawn from the seed. A side with a ratio above 0 is left empty only where groups are too few.
    The result depends on the set of (name, group) and the seed, not on the order given.

    Raises
    ------
    UsageError
        For ratios that are negative or sum to 0, or lists of unequal length.
    """
    if len(names) != len(groups):
        raise UsageError(f"split: {len(names)} names but {len(groups)} groups")
    if min(ratios) < 0 or not sum(ratios) > 0:
        raise UsageError(f"split: ratios {ratios} must not be negative and not all 0")
    sizes = Counter(groups)
    order = sorted(sizes, key=lambda g: (-sizes[g], digest(str(seed), g)))
    share = {s: r / sum(ratios) for s, r in zip(SPLITS, ratios) if r > 0}
    lack = {s: r * len(names) for s, r in share.items()}
    sides: dict[str, Split] = {}
    for group in order:
        side = max(lack, key=lambda s: lack[s])
        sides[group] = side
        lack[side] -= sizes[group]
    _fill_empty(sides, order, tuple(share))
    return {name: sides[group] for name, group in zip(names, groups)}


def _fill_empty(sides: dict[str, Split], order: Sequence[str], wanted: Sequence[Split]) -> None:
    for side in wanted:
        held = Counter(sides.values())
        if held[side]:
            continue
        donor, groups = max(held.items(), key=lambda item: item[1], default=(side, 0))
        if groups > 1:
            sides[next(g for g in reversed(order) if sides[g] == donor)] = side


# --------------------------------------------------------------------------- near-duplicates


def perceptual_hash(rgb: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """64 bits of an image uint8 (h, w, 3): which of its 8 × 8 lowest frequencies lie above their median.

    Insensitive to size, compression, brightness and contrast; sensitive to what is where.
    """
    grey = Picture.fromarray(rgb).convert("L").resize((_SIDE, _SIDE), Picture.Resampling.BOX)
    spectrum = dctn(np.asarray(grey, np.float64), norm="ortho")[:_FREQUENCIES, :_FREQUENCIES].ravel()
    # the first is the mean brightness and would always lie above; the bits compare the others
    median = np.median(spectrum[1:])
    bits: NDArray[np.bool_] = spectrum > median
    bits[0] = False
    return bits


def near_duplicates(
    hashes: Mapping[str, NDArray[np.bool_]],
    sides: Mapping[str, str] | None = None,
    threshold: int = NEAR,
) -> tuple[NearDuplicate, ...]:
    """Pairs of images whose hashes differ in at most ``threshold`` bits, closest first.

    With ``sides`` only pairs on different sides of the split are told.
    """
    names = sorted(hashes)
    if len(names) < 2:
        return ()
    signs = np.stack([hashes[n] for n in names]).astype(np.float32) * 2 - 1
    side = None if sides is None else np.unique([sides[n] for n in names], return_inverse=True)[1]
    found = []
    for start, stop in _blocks(len(names)):
        distance = np.rint((signs.shape[1] - signs[start:stop] @ signs.T) / 2).astype(int)
        close = (distance <= threshold) & (np.arange(start, stop)[:, None] < np.arange(len(names)))
        if side is not None:
            close &= side[start:stop, None] != side
        found += [NearDuplicate(names[start + i], names[j], int(distance[i, j])) for i, j in np.argwhere(close)]
    return tuple(sorted(found, key=lambda d: (d.distance, d.first, d.second)))


def _blocks(count: int, size: int = 1024) -> Iterator[tuple[int, int]]:
    return pairwise([*range(0, count, size), count])
