"""What was made last is not made again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from napari_wsss.models.recent import Recent


@given(st.lists(st.integers(0, 6), max_size=60), st.integers(1, 4))
def test_the_latest_keys_and_no_others_are_there(keys: list[int], most: int) -> None:
    recent, used = Recent[str](most), list[int]()
    for key in keys:
        made: list[int] = []
        value = recent.made(key, lambda key=key, made=made: made.append(key) or f"value {key}")
        assert value == f"value {key}"
        assert bool(made) == (key not in used[-most:])
        used = [k for k in used if k != key] + [key]
    for key in range(7):
        assert (recent.get(key) is not None) == (key in used[-most:])
        used = [k for k in used if k != key] + ([key] if key in used[-most:] else [])


@given(st.lists(st.integers(1, 9), min_size=1, max_size=40), st.integers(1, 20))
def test_together_they_are_no_larger_than_allowed_but_the_newest_is_kept(sizes: list[int], most_bytes: int) -> None:
    recent = Recent[bytes](100, len, most_bytes)
    for key, size in enumerate(sizes):
        recent.made(key, lambda size=size: bytes(size))
    kept = [size for key, size in enumerate(sizes) if recent.get(key) is not None]
    whole = [sum(sizes[-n:]) for n in range(1, len(sizes) + 1)]
    fits = max(1, sum(total <= most_bytes for total in whole))
    assert kept == sizes[-fits:]
