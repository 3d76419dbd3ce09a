"""What holds for every drawn scene."""

from __future__ import annotations

import numpy as np

from napari_wsss.drawing.scene import DrawScene


def same_seed_same_scene(draw: DrawScene) -> None:
    one, again, other = (draw(np.random.default_rng(s), (96, 128)) for s in (3, 3, 4))
    assert np.array_equal(one.picture, again.picture)
    assert all(np.array_equal(a, b) for a, b in zip(one.objects, again.objects, strict=True))
    assert not np.array_equal(one.picture, other.picture)


def tidy(draw: DrawScene, seed: int, h: int, w: int, least: int) -> None:
    scene = draw(np.random.default_rng(seed), (h, w))
    assert scene.picture.shape == (h, w, 3)
    assert scene.picture.dtype == np.float32
    assert np.isfinite(scene.picture).all()
    assert scene.picture.min() >= 0
    assert scene.picture.max() <= 1
    for ids in scene.objects:
        assert ids.shape == (h, w)
        assert ids.dtype == np.uint16
        assert (np.bincount(ids.ravel())[1:] >= least).all()  # no gaps in the numbers and none too small
