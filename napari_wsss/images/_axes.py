"""From the axes of an n-dimensional file to planes of channels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod

_SPARE = "ztpqrsuvw"


@dataclass(frozen=True)
class Leading:
    """Axes of a file outside its planes' rows and columns, in the file's order.

    ``letters`` has one letter an axis: ``c`` for channels, any other for a plane's place
    (``z``, ``t``, and further ones for axes that have no name of their own).
    """

    letters: str
    sizes: tuple[int, ...]

    @property
    def n_channels(self) -> int:
        return prod(n for a, n in zip(self.letters, self.sizes) if a == "c")

    @cached_property
    def places(self) -> tuple[dict[str, int], ...]:
        """For each plane its index along every axis but channels; time runs slowest, then depth."""
        axes = sorted((a for a in self.letters if a != "c"), key=lambda a: ("tz".find(a) % 9, a))
        size = dict(zip(self.letters, self.sizes))
        return tuple(dict(zip(axes, at)) for at in product(*(range(size[a]) for a in axes)))

    @property
    def planes(self) -> tuple[str, ...]:
        """Names of the planes: ``t3z12``; an axis of length 1 is not named."""
        size = dict(zip(self.letters, self.sizes))
        return tuple("".join(f"{a}{i}" for a, i in place.items() if size[a] > 1) for place in self.places)

    def rows(self, plane: int) -> list[int]:
        """Flat (C order) indices over the leading axes that hold the channels of a plane."""
        place = self.places[plane]
        ranges = [range(n) if a == "c" else (place[a],) for a, n in zip(self.letters, self.sizes)]
        flat = []
        for at in product(*ranges):
            index = 0
            for i, n in zip(at, self.sizes):
                index = index * n + i
            flat.append(index)
        return flat


def letters_of(axes: str, sizes: tuple[int, ...]) -> list[str]:
    """A format's letters (``TZCSQIR...``) as ours: ``C`` and ``S`` are channels, ``T`` time, ``Z`` depth.

    An axis of any other meaning, or of none (the pages of a plain multi-page TIFF), is depth, or
    time where depth is taken, or the first spare letter; one of length 1 is ``-``.
    """
    known = {"t": "t", "z": "z", "c": "c", "s": "c"}
    letters = [known.get(a.lower(), "") for a in axes]
    for letter in "tz":  # a name used twice stays with the first axis
        for i in [i for i, a in enumerate(letters) if a == letter][1:]:
            letters[i] = ""
    for i, letter in enumerate(letters):
        if not letter:
            letters[i] = "-" if sizes[i] == 1 else next(a for a in _SPARE if a not in letters)
    return letters


def leading(axes: str, sizes: tuple[int, ...]) -> Leading:
    """The axes of a format outside its rows and columns, in our letters (see letters_of)."""
    kept = [(a, n) for a, n in zip(letters_of(axes, sizes), sizes) if a != "-"]
    return Leading("".join(a for a, _ in kept), tuple(n for _, n in kept))
