"""Free memory between what is in use goes back to the system."""

from __future__ import annotations

import numpy as np
import psutil
import pytest

from napari_wsss.compute.freed import give_back

COUNT, SIZE = 4096, 2**14  # 64 MiB of pieces that are too small for mappings of their own


def test_what_was_freed_between_things_in_use_is_given_back():
    if not give_back():
        pytest.skip("this C library has no malloc_trim")
    pieces = [np.ones(SIZE, np.uint8) for _ in range(COUNT)]
    kept = pieces[::64]
    del pieces
    before = psutil.Process().memory_info().rss
    assert give_back()
    assert before - psutil.Process().memory_info().rss > COUNT * SIZE / 2
    assert all(piece.all() for piece in kept)
