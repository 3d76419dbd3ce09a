"""Results come back bit for bit; the cache is bounded and forgets what was unused longest."""

from __future__ import annotations

import os
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from napari_wsss.errors import WsssError
from napari_wsss.project import Cache, results
from napari_wsss.types import Cam, Contradiction, Mask, Provenance, PseudoLabels

MADE = Provenance("method", "agmm", "2026-11-20T11:00:00+00:00", {"components": 8}, "net@12ab", ("a.png",), "0.1")


def _cam(rng: np.random.Generator, shape: tuple[int, int], k: int) -> Cam:
    return Cam(
        rng.random((k, *shape), np.float32),
        tuple(range(2, k + 2)),
        rng.random(k, np.float32),
        rng.integers(0, 60000, shape, dtype=np.uint16),
    )


def _pseudo(rng: np.random.Generator, shape: tuple[int, int], k: int) -> PseudoLabels:
    pairs = tuple(Contradiction((1, 2), (3, n), (1, 2)) for n in range(k))
    labels = rng.integers(0, k + 1, shape, dtype=np.uint16)
    beliefs = rng.random((k, *shape)).astype(np.float16), labels, rng.random(shape).astype(np.float16)
    return PseudoLabels(*beliefs, pairs, tuple(rng.random(k).tolist()))


def _mask(rng: np.random.Generator, shape: tuple[int, int], k: int) -> Mask:
    ids = rng.integers(0, 2**32, shape, dtype=np.uint32) if k % 2 else None
    return Mask(rng.integers(0, 60000, shape, dtype=np.uint16), ids, ("one object rejected: 3 px", "ü"))


def _assert_same(one, other) -> None:
    assert type(one) is type(other)
    for name in one.__dataclass_fields__:
        a, b = getattr(one, name), getattr(other, name)
        if isinstance(a, np.ndarray):
            assert a.dtype == b.dtype
            assert a.shape == b.shape
            assert a.tobytes() == b.tobytes()
        else:
            assert a == b


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 9), st.integers(0, 4), st.tuples(st.integers(1, 40), st.integers(1, 40)))
def test_every_kind_of_result_comes_back_bit_for_bit(tmp_path_factory, seed, k, shape) -> None:
    file = tmp_path_factory.getbasetemp() / "result.safetensors"
    for make in (_cam, _pseudo, _mask):
        result = make(np.random.default_rng(seed), shape, k)
        file.write_bytes(results.encode(result))
        _assert_same(result, results.decode(file))


def test_a_result_replaces_the_earlier_one_and_tells_its_maker(project) -> None:
    rng = np.random.default_rng(0)
    for key in ("old", "new"):
        for stage, make in (("cam", _cam), ("pseudo", _pseudo), ("refined", _mask)):
            last = make(rng, (40, 30), 3)
            project.put_result("deep/c", stage, last, key, MADE)
    assert project.result_keys("refined") == {"deep/c.png": "new"}
    _assert_same(project.result("deep/c", "refined"), last)
    assert project.result_provenance("deep/c", "cam") == MADE
    assert project.result("b", "cam") is None
    assert project.result_provenance("b", "cam") is None
    assert len([f for f in (project.folder / "results").rglob("*") if f.is_file()]) == 3
    assert project.check() == []


def test_a_deleted_or_damaged_result_is_noticed(project) -> None:
    project.put_result("b", "cam", _cam(np.random.default_rng(0), (40, 30), 2), "k", MADE)
    [file] = (project.folder / "results" / "cam").iterdir()
    whole = file.read_bytes()
    for damage in (whole[:40], whole[:-20], b""):
        file.write_bytes(damage)
        with pytest.raises(WsssError, match="damaged"):
            project.result("b", "cam")
    file.unlink()
    assert project.result("b", "cam") is None
    assert any("gone" in line for line in project.check())


def test_files_of_a_killed_process_are_swept_when_old(project) -> None:
    orphan = project.folder / "results" / "cam" / "orphan.safetensors"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"x")
    left = project.folder / "tmp" / "left"
    left.write_bytes(b"x")
    project._recover()
    assert orphan.exists()
    assert left.exists()
    for file in (orphan, left):
        os.utime(file, (1, 1))
    project._recover()
    assert not orphan.exists()
    assert not left.exists()


@settings(deadline=None, max_examples=50)
@given(
    st.dictionaries(
        st.text(min_size=1, max_size=5, alphabet="abcxyz"),
        arrays(
            st.sampled_from([np.float32, np.float16, np.uint8, np.bool_, np.int64]),
            array_shapes(min_dims=0, max_dims=3),
        ),
        max_size=3,
    )
)
def test_the_cache_gives_back_what_was_put(tmp_path_factory, stored) -> None:
    base = tmp_path_factory.getbasetemp()
    cache = Cache(base / "cache", base / "tmp", 10**9)
    cache.put("key/with: odd signs", {name: array.T for name, array in stored.items()})
    found = cache.get("key/with: odd signs")
    assert found is not None
    assert found.keys() == stored.keys()
    for name, array in stored.items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.T.shape
        assert found[name].tobytes() == array.T.tobytes()


def test_the_cache_is_bounded_and_drops_what_was_unused_longest(tmp_path) -> None:
    cache = Cache(tmp_path / "cache", tmp_path / "tmp", 10_000)
    for n in range(8):
        cache.put(str(n), {"x": np.full(1000, n, np.uint8)})
        os.utime(cache._file(str(n)), (n + 1, n + 1))
    assert cache.get("0") is not None  # used now, so it stays
    os.utime(cache._file("0"), (time.time() - 5,) * 2)
    for n in range(8, 12):
        cache.put(str(n), {"x": np.full(1000, n, np.uint8)})
        assert cache.size() <= 10_000
    kept = [n for n in range(12) if cache.get(str(n)) is not None]
    assert 0 in kept
    assert 11 in kept
    assert 1 not in kept
    cache.put("huge", {"x": np.zeros(20_000, np.uint8)})
    assert cache.get("huge") is None


def test_a_damaged_cache_entry_is_a_missing_one(tmp_path) -> None:
    cache = Cache(tmp_path / "cache", tmp_path / "tmp", 10_000)
    cache.put("a", {"x": np.zeros(100, np.float32)})
    cache._file("a").write_bytes(b"\x80\x04pickle")
    assert cache.get("a") is None
    cache.put("a", {"x": np.ones(100, np.float32)})
    assert cache.get("a")["x"].sum() == 100
