"""Batches whose regions differ: far apart in features, all worth asking, evenly from the images."""

from __future__ import annotations

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_wsss.dense_features import box_means
from napari_wsss.diversity import CANDIDATES, diverse, first_of
from napari_wsss.types import Region

SIDE = 12


class Pictures:
    """What reads an image; here its name tells its features."""

    @staticmethod
    def image(name: str) -> str:
        return name


def pixel(image: str, y: int, x: int, score: float) -> Region:
    return Region(image, (y, x, y + 1, x + 1), score, 0.0, 0.0, (1, 2), "", "toy")


def ranked(rng: np.random.Generator, number: int, images: int) -> list[Region]:
    """Single pixels, best first, some of equal scores."""
    scores = np.sort(rng.integers(0, 20, number))[::-1]
    places = rng.permutation(SIDE * SIDE)[:number]
    return [
        pixel(f"{p % images}.png", p // SIDE, p % SIDE, float(s)) for p, s in zip(places.tolist(), scores, strict=True)
    ]


def maps(rng: np.random.Generator, images: int):
    planes = {f"{n}.png": rng.normal(size=(3, SIDE, SIDE)).astype(np.float32) for n in range(images)}
    return lambda image, boxes: box_means(planes[image], 1.0, boxes)


def told(regions, features) -> np.ndarray:
    """Features of single pixels, in units of their spread."""
    found = np.array([features(r.image, [r.box])[0] for r in regions], float)
    return (found - found.mean(0)) / (found.std(0) + 1e-6)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(2, 60), st.integers(1, 12), st.integers(1, 4), st.integers(0, 4))
def test_what_is_left_out_lies_nearer_to_a_chosen_one_than_any_two_of_these_to_each_other(
    seed, number, count, images, most
):
    rng = np.random.default_rng(seed)
    regions, features = ranked(rng, number, images), maps(rng, images)
    chosen = diverse(Pictures(), regions, count, features, most)
    plain = first_of(regions, count, most)
    assert chosen[0] == regions[0]
    assert len(chosen) == len(plain)
    assert [regions.index(r) for r in chosen] == sorted(regions.index(r) for r in chosen)
    assert all(r.score >= 0.5 * plain[-1].score for r in chosen)
    assert not most or max(Counter(r.image for r in chosen).values()) <= most
    candidates = [r for r in first_of(regions, count * CANDIDATES, most * CANDIDATES) if r.score >= plain[-1].score / 2]
    if most or len(chosen) < 2:
        return
    at = told(candidates, features)
    apart = np.linalg.norm(at[:, None] - at[None], axis=2)
    mine = [candidates.index(r) for r in chosen]
    others = [i for i in range(len(candidates)) if i not in mine]
    between = min(apart[i, j] for i in mine for j in mine if i < j)
    assert all(apart[i, mine].min() <= between + 1e-9 for i in others)


def test_of_two_that_are_the_same_one_is_asked_as_long_as_another_is_left():
    regions = [pixel("0.png", 0, x, 1.0 - x / 100) for x in range(6)]
    data = np.zeros((2, 1, 6), np.float32)
    data[:, 0, 2], data[:, 0, 5] = (3, 0), (0, 4)  # the others are the same

    def chosen(count):
        found = diverse(Pictures(), regions, count, lambda _, boxes: box_means(data, 1.0, boxes))
        return [r.box[1] for r in found]

    assert chosen(2) == [0, 5]
    assert chosen(3) == [0, 2, 5]
    assert chosen(4) == [0, 1, 2, 5]
