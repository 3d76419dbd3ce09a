"""Splits keep groups together; near-duplicates are found and strangers are not."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Picture
from skimage.io import imread

from napari_wsss.curation import groups_of, near_duplicates, perceptual_hash, split
from napari_wsss.errors import UsageError

groups_drawn = st.lists(st.integers(0, 12), min_size=1, max_size=60)
ratios_drawn = st.tuples(*[st.floats(0, 1)] * 3).filter(lambda r: sum(r) > 0.01)


@given(groups_drawn, ratios_drawn, st.integers(0, 99))
@settings(max_examples=100, deadline=None)
def test_a_group_lies_on_one_side_whatever_the_order(groups, ratios, seed):
    names = [f"i{n}" for n in range(len(groups))]
    groups = [f"g{g}" for g in groups]
    sides = split(names, groups, ratios, seed)
    assert set(sides) == set(names)
    assert all(len({sides[n] for n, g in zip(names, groups) if g == group}) == 1 for group in groups)
    assert split(names[::-1], groups[::-1], ratios, seed) == sides
    wanted = {s for s, r in zip(("train", "val", "test"), ratios) if r > 0}
    assert set(sides.values()) <= wanted
    if len(set(groups)) >= len(wanted):
        assert set(sides.values()) == wanted


def test_sizes_follow_the_ratios_and_the_seed_draws():
    names = [f"i{n}" for n in range(100)]
    draws = [split(names, names, (0.7, 0.2, 0.1), seed) for seed in (0, 1)]
    for sides in draws:
        assert [list(sides.values()).count(s) for s in ("train", "val", "test")] == [70, 20, 10]
    assert draws[0] != draws[1]


def test_groups():
    names = ["p1/a.tif@z0", "p1/a.tif@z1", "p2/b_plate7.tif"]
    assert groups_of(names, "image") == ("p1/a.tif", "p1/a.tif", "p2/b_plate7.tif")
    assert groups_of(names, "folder") == ("p1", "p1", "p2")
    assert groups_of(names, r"^p(\d)") == ("1", "1", "2")
    with pytest.raises(UsageError, match=r"does not occur in 'p1/a\.tif'"):
        groups_of(names, "plate")
    with pytest.raises(UsageError, match="regular expression"):
        groups_of(names, "(")
    with pytest.raises(UsageError, match="ratios"):
        split(names, names, (0, 0, 0))


@pytest.fixture(scope="module")
def pictures(shared_data):
    files = [
        p
        for s in ("pets", "dubai_landcover", "nuclei_fluo")
        for p in sorted((shared_data / s / "images").iterdir())[:25]
    ]
    read = ((p.name, imread(p)) for p in files)
    return {name: np.repeat(a[..., None], 3, 2) if a.ndim == 2 else a[..., :3] for name, a in read}


def test_changed_copies_are_near_and_strangers_are_not(pictures):
    hashes = {name: perceptual_hash(a) for name, a in pictures.items()}
    assert near_duplicates(hashes) == ()
    for name, a in pictures.items():
        small = np.asarray(Picture.fromarray(a).resize((a.shape[1] * 2 // 3, a.shape[0] * 2 // 3)))
        dark = (a * 0.8 + 10).astype(np.uint8)
        for copy in (small, dark):
            (found,) = near_duplicates({name: hashes[name], "copy": perceptual_hash(copy)})
            assert found.distance <= 8


@given(st.lists(st.integers(0, 2**64 - 1), min_size=2, max_size=12, unique=True), st.integers(0, 40))
@settings(max_examples=50, deadline=None)
def test_distances_are_hamming_distances(numbers, threshold):
    hashes = {f"{n:020d}": np.array([n >> b & 1 for b in range(64)], bool) for n in numbers}
    found = {(d.first, d.second): d.distance for d in near_duplicates(hashes, threshold=threshold)}
    names = sorted(hashes)
    plain = {(a, b): (int(a) ^ int(b)).bit_count() for i, a in enumerate(names) for b in names[i + 1 :]}
    assert found == {pair: d for pair, d in plain.items() if d <= threshold}


def test_only_pairs_across_the_split():
    same = np.zeros(64, bool)
    hashes = {"a": same, "b": same, "c": same}
    found = near_duplicates(hashes, {"a": "train", "b": "train", "c": "test"})
    assert [(d.first, d.second) for d in found] == [("a", "c"), ("b", "c")]
