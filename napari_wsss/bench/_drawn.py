"""Images that are drawn here, with their truth, for a benchmark that is given no set."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from scipy import ndimage

from napari_wsss.types import Float, Image, Labels

Random = np.random.Generator


def texture(shape: tuple[int, int], rng: Random) -> Float:
    """float32 (h, w) in [0, 1]: noise of all scales from a pixel to 32, as photographs have it."""
    total = np.zeros(shape)
    for sigma in (0.5, 1, 2, 4, 8, 16, 32):
        noise = ndimage.gaussian_filter(rng.standard_normal(shape), sigma, mode="reflect")
        total += noise / noise.std()
    low, high = np.percentile(total, [0.5, 99.5])
    scaled: Float = np.clip((total - low) / (high - low), 0, 1).astype(np.float32)
    return scaled


def textured_image(shape: tuple[int, int], channels: int, seed: int) -> Image:
    """An image of so many channels of :func:`texture`, without nodata."""
    rng = np.random.default_rng(seed)
    data = np.stack([texture(shape, rng) for _ in range(channels)])
    rgb = (0, 1, 2) if channels >= 3 else (0, 0, 0)
    name = f"drawn {shape[0]}x{shape[1]}x{channels}"
    return Image(name, f"{name} {seed}", data, np.ones(shape, bool), rgb)


def cells(size: int, rng: Random) -> tuple[NDArray[np.uint8], Labels]:
    """Bright blobs of several sizes on an uneven, noisy ground, grey; class 1 the ground, 2 the blobs."""
    y, x = np.mgrid[:size, :size]
    mask = np.ones((size, size), np.uint16)
    light = 0.15 + 0.15 * texture((size, size), rng) + 0.1 * x / size
    for _ in range(size * size // 3000):
        cy, cx = rng.uniform(0, size, 2)
        a, b = rng.uniform(5, 13, 2)
        turn = rng.uniform(0, np.pi)
        u = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        v = (y - cy) * np.cos(turn) - (x - cx) * np.sin(turn)
        inside = (u / a) ** 2 + (v / b) ** 2 < 1
        mask[inside] = 2
        light = np.where(inside, rng.uniform(0.35, 0.9), light)
    light = ndimage.gaussian_filter(light, 1.2) + rng.normal(0, 0.04, mask.shape)
    return _eight_bit(light), mask


def land(size: int, rng: Random) -> tuple[NDArray[np.uint8], Labels]:
    """Four coloured textures in patches, RGB; classes 1 to 4."""
    fields = np.stack([ndimage.gaussian_filter(rng.standard_normal((size, size)), size / 12) for _ in range(4)])
    mask = (fields.argmax(0) + 1).astype(np.uint16)
    ground = np.array([[0.3, 0.4, 0.3], [0.35, 0.4, 0.5], [0.5, 0.45, 0.4], [0.42, 0.42, 0.38]])
    grain = np.stack([ndimage.gaussian_filter(rng.standard_normal((size, size)), s) * s for s in (0.7, 1.5, 3, 6)])
    own = np.take_along_axis(grain, (mask - 1).astype(np.intp)[None], 0)[0]
    tint = rng.normal(0, 0.03, 3)
    colour = ground[mask - 1] + tint + 0.12 * own[..., None] + rng.normal(0, 0.03, (size, size, 3))
    return _eight_bit(colour), mask


def write_sets(folder: Path, images: int = 6, size: int = 256, tests: int = 0) -> tuple[Path, ...]:
    """Two drawn sets below ``folder``, laid out as ``--set`` wants them, with so many test images more."""
    made = []
    for name, classes, draw in (
        ("drawn_cells", ("background", "cell"), cells),
        ("drawn_land", ("field", "water", "soil", "stone"), land),
    ):
        own = folder / name
        for part in ("images", "masks"):
            (own / part).mkdir(parents=True)
        stems = [f"{name}_{i}" for i in range(images + tests)]
        for i, stem in enumerate(stems):
            picture, mask = draw(size, np.random.default_rng([i, len(name)]))
            Picture.fromarray(picture).save(own / "images" / f"{stem}.png")
            Picture.fromarray(mask.astype(np.uint8)).save(own / "masks" / f"{stem}.png")
        (own / "classes.txt").write_text("\n".join(classes) + "\n", encoding="utf-8")
        (own / "train.txt").write_text("\n".join(stems[:images]) + "\n", encoding="utf-8")
        (own / "test.txt").write_text("\n".join(stems[images:]) + "\n", encoding="utf-8")
        made.append(own)
    return tuple(made)


def _eight_bit(light: NDArray[Any]) -> NDArray[np.uint8]:
    bytes_: NDArray[np.uint8] = (np.clip(light, 0, 1) * 255).astype(np.uint8)
    return bytes_
