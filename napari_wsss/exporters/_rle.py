"""Run-length codes of COCO: column-major runs, and the compressed string that COCO's readers take.

A mask is read column by column; ``counts`` are the lengths of alternating runs, beginning with
zeros (a first run of length 0 where the first pixel is set). In the string each count from the
fourth on is stored as the difference to the count two before; a number is cut into groups of five
bits, lowest first, each sent as one character ``chr(48 + bits + 32 * more)``, and the last group's
highest bit is the sign.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_wsss.objects import Object
from napari_wsss.types import Bool


def counts_of(thing: Object, shape: tuple[int, int]) -> list[int]:
    """Run lengths of one object in an image of this shape; works on the object's box alone."""
    y0, x0, _, _ = thing.box
    columns, rows = np.nonzero(thing.pixels.T)
    place = (columns + x0) * shape[0] + rows + y0  # ascending: column by column
    breaks = np.flatnonzero(np.diff(place) != 1) + 1
    starts = place[np.concatenate([[0], breaks])] if len(place) else place
    ends = place[np.concatenate([breaks - 1, [len(place) - 1]])] + 1 if len(place) else place
    edges = np.stack([starts, ends], 1).ravel()
    runs = np.diff(edges, prepend=0).tolist()
    tail = shape[0] * shape[1] - (int(edges[-1]) if len(edges) else 0)
    return [*runs, tail] if tail or not runs else runs


def mask_of(counts: Sequence[int], shape: tuple[int, int]) -> Bool:
    """The mask bool (h, w) of run lengths."""
    values = np.arange(len(counts)) % 2 == 1
    flat: NDArray[np.bool_] = np.repeat(values, counts)
    return flat.reshape(shape[1], shape[0]).T


def compressed(counts: Sequence[int]) -> str:
    """Run lengths as COCO's compressed string."""
    text: list[str] = []
    for i, count in enumerate(counts):
        number = count - counts[i - 2] if i > 2 else count
        while True:
            group, number = number & 31, number >> 5
            # done when what is left is only the sign that the group's highest bit repeats
            done = number == (-1 if group & 16 else 0)
            text.append(chr(48 + group + (0 if done else 32)))
            if done:
                break
    return "".join(text)


def expanded(text: str) -> list[int]:
    """Run lengths of a compressed string."""
    counts: list[int] = []
    number = bits = 0
    for character in text:
        code = ord(character) - 48
        number |= (code & 31) << bits
        bits += 5
        if code & 32:
            continue
        if code & 16:
            number -= 1 << bits
        counts.append(number + counts[-2] if len(counts) > 2 else number)
        number = bits = 0
    return counts
