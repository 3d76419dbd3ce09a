"""What the mixture starts from: one component for each mark, several where a mark has many looks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_wsss.label_models._feature_grid import FeatureGrid, Indices

_PIXELS = 2000  # of one component that are read, so that big blocks cost no more than small ones
_LOOKS = 4  # components of a mark that covers much of the image, and of automatic seeds
_LARGE = 1 / 16  # share of the image from which a mark has more than one look


@dataclass(frozen=True, eq=False)
class Components:
    """Gaussians of one image, in class order.

    Attributes
    ----------
    centres : float32 (j, d)
    class_ids : int (j,), ascending
    counts : float32 (j,)
        Labelled pixels behind each centre: how firmly it is anchored.
    places : int (j, 2)
        A pixel (row, column) that stands for the component.
    automatic : bool (j,)
        Made from automatic seeds, which nobody can be said to contradict.
    """

    centres: Tensor
    class_ids: NDArray[np.int64]
    counts: Tensor
    places: NDArray[np.int64]
    automatic: NDArray[np.bool_]

    def groups(self) -> list[tuple[int, int, int]]:
        """(class id, first, last + 1) of each class that has components."""
        ids, first = np.unique(self.class_ids, return_index=True)
        ends = [*first[1:], len(self.class_ids)]
        return [(int(k), int(a), int(b)) for k, a, b in zip(ids, first, ends, strict=True)]


@dataclass(frozen=True, eq=False)
class _Part:
    class_id: int
    centre: Tensor
    count: float
    place: tuple[int, int]
    automatic: bool


def components_of(
    grid: FeatureGrid,
    seed: NDArray[np.uint16],
    component: NDArray[np.int32],
    guesses: NDArray[np.uint16] | None,
    cap: int,
    random_seed: int,
) -> Components | None:
    """Components of the marks (``seed``, ``component``) and of automatic seeds (``guesses``).

    A class that a person marked gets no automatic components. At most ``cap`` a class, by seeded
    K-means over the marks' means. None where there is neither mark nor guess.
    """
    parts = list(_marked_parts(grid, seed, component, random_seed))
    marked = {p.class_id for p in parts}
    if guesses is not None:
        parts += [p for p in _guessed_parts(grid, guesses, random_seed) if p.class_id not in marked]
    if not parts:
        return None
    kept = [p for k in sorted({p.class_id for p in parts}) for p in _capped(parts, k, cap, random_seed)]
    return Components(
        torch.stack([p.centre for p in kept]),
        np.array([p.class_id for p in kept]),
        torch.tensor([p.count for p in kept], dtype=torch.float32, device=grid.data.device),
        np.array([p.place for p in kept]),
        np.array([p.automatic for p in kept]),
    )


def _marked_parts(
    grid: FeatureGrid, seed: NDArray[np.uint16], component: NDArray[np.int32], random_seed: int
) -> Iterator[_Part]:
    rows, columns = np.nonzero(component)
    numbers = component[rows, columns]
    rng = np.random.default_rng(random_seed)
    mixed = rng.permutation(len(numbers))
    order = mixed[np.argsort(numbers[mixed], kind="stable")]
    counts = np.bincount(numbers)
    start = 0
    for number in np.flatnonzero(counts):
        n = int(counts[number])
        pixels = order[start : start + min(n, _PIXELS)]
        start += n
        looks = _LOOKS if n > _LARGE * seed.size else 1
        ys, xs = rows[pixels], columns[pixels]
        yield from _looks(grid, ys, xs, int(seed[ys[0], xs[0]]), n, looks, random_seed, automatic=False)


def _guessed_parts(grid: FeatureGrid, guesses: NDArray[np.uint16], random_seed: int) -> Iterator[_Part]:
    for k in np.flatnonzero(np.bincount(guesses[guesses > 0])):
        rows, columns = np.nonzero(guesses == k)
        n = len(rows)
        pixels = np.random.default_rng(random_seed).permutation(n)[:_PIXELS]
        yield from _looks(grid, rows[pixels], columns[pixels], int(k), n, _LOOKS, random_seed, automatic=True)


def _looks(
    grid: FeatureGrid, ys: Indices, xs: Indices, k: int, n: int, looks: int, random_seed: int, *, automatic: bool
) -> Iterator[_Part]:
    """One part for each look of a mark: its mean features, its share of the mark's pixels, its mid pixel."""
    x = grid.at(ys, xs)
    groups = kmeans(x, torch.ones(len(x), device=x.device), looks, random_seed)
    for g in range(int(groups.max()) + 1):
        mine = np.flatnonzero(groups.cpu().numpy() == g)
        if len(mine):
            middle = np.median(ys[mine]), np.median(xs[mine])
            nearest = mine[np.argmin((ys[mine] - middle[0]) ** 2 + (xs[mine] - middle[1]) ** 2)]
            chosen = x[torch.as_tensor(mine, device=x.device)]
            place = (int(ys[nearest]), int(xs[nearest]))
            yield _Part(k, chosen.mean(0), n * len(mine) / len(ys), place, automatic)


def _capped(parts: list[_Part], k: int, cap: int, random_seed: int) -> list[_Part]:
    """A class's parts, merged to ``cap`` clusters where there are more."""
    mine = [p for p in parts if p.class_id == k]
    if len(mine) <= cap:
        return mine
    centres = torch.stack([p.centre for p in mine])
    counts = torch.tensor([p.count for p in mine], device=centres.device)
    groups = kmeans(centres, counts, cap, random_seed)
    merged = []
    for g in range(cap):
        chosen = groups == g
        if bool(chosen.any()):
            weights = counts[chosen] / counts[chosen].sum()
            centre = (centres[chosen] * weights[:, None]).sum(0)
            nearest = int(torch.where(chosen, (centres - centre).abs().sum(1), torch.inf).argmin())
            merged.append(_Part(k, centre, float(counts[chosen].sum()), mine[nearest].place, mine[nearest].automatic))
    return merged


def kmeans(x: Tensor, weights: Tensor, k: int, seed: int, rounds: int = 10) -> Tensor:
    """Group (n,) of each row of ``x`` (n, d): Lloyd's algorithm from farthest-point-weighted starts, seeded."""
    if k <= 1 or len(x) <= 1:
        return torch.zeros(len(x), dtype=torch.long, device=x.device)
    rng = np.random.default_rng(seed)
    chosen = [int(rng.integers(len(x)))]
    away = torch.cdist(x, x[chosen]).squeeze(1) ** 2
    while len(chosen) < min(k, len(x)):
        share = (away * weights).double().cumsum(0).cpu().numpy()
        if share[-1] <= 0:
            break
        chosen.append(int(np.searchsorted(share, rng.random() * share[-1])))
        away = torch.minimum(away, torch.cdist(x, x[chosen[-1:]]).squeeze(1) ** 2)
    centres = x[chosen]
    for _ in range(rounds):
        groups = torch.cdist(x, centres).argmin(1)
        mass = torch.zeros(len(centres), device=x.device).index_add_(0, groups, weights)
        sums = torch.zeros_like(centres).index_add_(0, groups, x * weights[:, None])
        centres = torch.where(mass[:, None] > 0, sums / mass.clamp_min(1e-12)[:, None], centres)
    return torch.cdist(x, centres).argmin(1)
