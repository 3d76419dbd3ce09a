"""Pictures that people look at: masks over an image, hints drawn, heat maps, differences, montages.

All take and give uint8 (h, w, 3) arrays. Images are brought to a readable size first and the lines
drawn then, so that outlines stay one or two pixels wide whatever the image's size.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Picture
from PIL import ImageDraw

from napari_wsss.types import Box, Classes, Float, Point, WeakLabels

RGB = NDArray[np.uint8]
Colour = tuple[int, int, int]

# the corners of a dark-violet to yellow ramp of even lightness steps; low values stay dark
_HEAT = np.array([(13, 8, 45), (84, 15, 109), (158, 42, 99), (221, 81, 58), (252, 165, 10), (252, 250, 150)], float)

GAINED: Colour = (46, 160, 67)
LOST: Colour = (218, 54, 51)
CHANGED: Colour = (227, 160, 8)


def rgb_of(colour: str) -> Colour:
    """``#rrggbb`` as three numbers 0..255."""
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def colours_of(classes: Classes) -> dict[int, Colour]:
    """Colour of each class id."""
    return {c.id: rgb_of(c.colour) for c in classes}


# --------------------------------------------------------------------------- size


def scale_to(shape: tuple[int, int], longest: int) -> float:
    """Factor that brings an image to a readable size: shrinks to ``longest``, enlarges small ones by a whole number."""
    side = max(shape)
    return longest / side if side > longest else float(max(1, longest // side))


def resized(rgb: RGB, factor: float) -> RGB:
    """A picture at ``factor`` times its size: averaged when smaller, pixels kept square when larger."""
    if factor == 1:
        return rgb
    size = _size(rgb.shape[:2], factor)
    how = Picture.Resampling.BOX if factor < 1 else Picture.Resampling.NEAREST
    return np.asarray(Picture.fromarray(rgb).resize(size, how))


def resized_labels(labels: NDArray[np.integer], factor: float) -> NDArray[np.int64]:
    """Ids at ``factor`` times their size, nearest pixel: no new ids."""
    width, height = _size((labels.shape[0], labels.shape[1]), factor)
    rows = ((np.arange(height) + 0.5) * labels.shape[0] / height).astype(int)
    columns = ((np.arange(width) + 0.5) * labels.shape[1] / width).astype(int)
    out: NDArray[np.int64] = labels[rows[:, None], columns].astype(np.int64)
    return out


def resized_scores(scores: Float, factor: float) -> Float:
    """Maps float32 (k, h, w) at ``factor`` times their size: averaged when smaller, smooth when larger."""
    if factor == 1:
        return scores
    how = Picture.Resampling.BOX if factor < 1 else Picture.Resampling.BILINEAR
    size = _size((scores.shape[1], scores.shape[2]), factor)
    out: Float = np.stack([np.asarray(Picture.fromarray(s.astype(np.float32)).resize(size, how)) for s in scores])
    return out


def _size(shape: tuple[int, int], factor: float) -> tuple[int, int]:
    return max(1, round(shape[1] * factor)), max(1, round(shape[0] * factor))


# --------------------------------------------------------------------------- drawing


def outlines(ids: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels whose right or lower neighbour has another id: lines one pixel wide."""
    edge = np.zeros(ids.shape, bool)
    edge[:-1] |= ids[:-1] != ids[1:]
    edge[:, :-1] |= ids[:, :-1] != ids[:, 1:]
    return edge


def overlay(
    rgb: RGB,
    labels: NDArray[np.integer],
    colours: Mapping[int, Colour],
    alpha: float = 0.45,
    instances: NDArray[np.integer] | None = None,
    faint: int | None = None,
) -> RGB:
    """An image with its labels in colour: a thin tint, full colour along the outlines.

    Parameters
    ----------
    rgb : uint8 (h, w, 3)
    labels : int (h, w)
        Ids; those without a colour are left as they are.
    colours : mapping of id to colour
    alpha : float
        Strength of the tint, 0 = outlines only.
    instances : int (h, w), optional
        Object ids; a white line parts touching objects.
    faint : int, optional
        Id (the background's) that is tinted less and gets no outline, so that the objects stand out.
    """
    paint = np.zeros((max([*colours, int(labels.max(initial=0))]) + 1, 3))
    weight = np.zeros(len(paint))
    for key, colour in colours.items():
        paint[key], weight[key] = colour, alpha if key != faint else alpha * 0.4
    painted, weights = paint[labels], weight[labels]
    drawn = np.isin(labels, [k for k in colours if k != faint])
    weights[drawn & _rims(labels)] = 1.0
    if instances is not None:
        between = drawn & outlines(instances) & ~_rims(labels)
        painted[between], weights[between] = 255, 1.0
    return _mixed(rgb, painted, weights[..., None])


def _rims(ids: NDArray[np.integer]) -> NDArray[np.bool_]:
    """Pixels with any neighbour (4) of another id: each side draws its own line."""
    edge = outlines(ids)
    edge[1:] |= ids[1:] != ids[:-1]
    edge[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    return edge


def heat(rgb: RGB, score: Float, alpha: float = 0.65) -> RGB:
    """An image (in grey) under a map of scores in [0, 1]: the higher, the brighter and the denser."""
    score = np.clip(score, 0, 1)
    place = score * (len(_HEAT) - 1)
    low = np.minimum(place.astype(int), len(_HEAT) - 2)
    colour = _HEAT[low] + (_HEAT[low + 1] - _HEAT[low]) * (place - low)[..., None]
    grey = np.repeat(rgb.mean(-1, keepdims=True), 3, -1)
    weight = (alpha * (0.35 + 0.65 * score))[..., None]
    return _mixed(grey, colour, weight)


def class_heat(rgb: RGB, scores: Float, class_ids: Sequence[int], colours: Mapping[int, Colour]) -> RGB:
    """Several activation maps float32 (k, h, w) at once: the strongest class's colour, as dense as its score.

    One map alone is drawn as :func:`heat`.
    """
    if len(class_ids) == 1:
        return heat(rgb, scores[0])
    best = scores.argmax(0)
    weight = np.clip(scores.max(0), 0, 1)[..., None] * 0.8
    paint = np.array([colours[k] for k in class_ids], float)[best]
    grey = np.repeat(rgb.mean(-1, keepdims=True), 3, -1)
    return _mixed(grey, paint, weight)


def difference(rgb: RGB, before: NDArray[np.integer], after: NDArray[np.integer]) -> RGB:
    """What changed from ``before`` to ``after``: green = an answer came, red = one went, amber = another answer."""
    kind = np.zeros(before.shape, np.int64)
    kind[(before == 0) & (after > 0)] = 1
    kind[(before > 0) & (after == 0)] = 2
    kind[(before > 0) & (after > 0) & (before != after)] = 3
    return overlay(_dimmed(rgb), kind, {1: GAINED, 2: LOST, 3: CHANGED}, alpha=0.6)


def errors(rgb: RGB, truth: NDArray[np.integer], answer: NDArray[np.integer]) -> RGB:
    """Where an answer is wrong (red) or missing (amber) among pixels whose truth is known."""
    kind = np.zeros(truth.shape, np.int64)
    kind[(truth > 0) & (answer != truth)] = 2
    kind[(truth > 0) & (answer == 0)] = 3
    return overlay(_dimmed(rgb), kind, {2: LOST, 3: CHANGED}, alpha=0.6)


def _mixed(below: NDArray[Any], above: NDArray[Any], weight: NDArray[Any]) -> RGB:
    out: RGB = (below * (1 - weight) + above * weight).round().astype(np.uint8)
    return out


def _dimmed(rgb: RGB) -> RGB:
    grey = np.repeat(rgb.mean(-1, keepdims=True), 3, -1)
    return (grey * 0.55 + 64).astype(np.uint8)


def draw_hints(rgb: RGB, labels: WeakLabels, colours: Mapping[int, Colour], factor: float = 1.0) -> RGB:
    """A picture (already at ``factor`` times the image's size) with points, strokes and boxes drawn in."""
    out = _strokes(rgb, labels, colours, factor)
    picture = Picture.fromarray(out)
    pen = ImageDraw.Draw(picture)
    for box in labels.boxes:
        _draw_box(pen, box, colours[box.class_id], factor)
    for point in labels.points:
        _draw_point(pen, point, colours[point.class_id], factor, radius=max(3, max(rgb.shape) // 110))
    return np.asarray(picture)


def _strokes(rgb: RGB, labels: WeakLabels, colours: Mapping[int, Colour], factor: float) -> RGB:
    drawn = np.zeros(rgb.shape[:2], np.uint16)
    for stroke in labels.strokes:  # a later stroke lies on top
        rows, columns = np.nonzero(stroke.raster)
        ids = stroke.raster[rows, columns]
        # each stroked pixel marks its place, so that thin strokes survive a shrunk picture
        for dy, dx in np.ndindex(max(1, int(factor)), max(1, int(factor))):
            y = ((rows + stroke.y0) * factor + dy).astype(int)
            x = ((columns + stroke.x0) * factor + dx).astype(int)
            drawn[np.minimum(y, rgb.shape[0] - 1), np.minimum(x, rgb.shape[1] - 1)] = ids
    return overlay(rgb, drawn, colours, alpha=0.95) if labels.strokes else rgb


def _draw_box(pen: ImageDraw.ImageDraw, box: Box, colour: Colour, factor: float) -> None:
    # half-open boxes: the last pixel inside is y1 - 1
    corners = (box.x0 * factor, box.y0 * factor, max(box.x1 * factor - 1, box.x0), max(box.y1 * factor - 1, box.y0))
    pen.rectangle(corners, outline=colour, width=2, fill=colour if box.fill else None)


def _draw_point(pen: ImageDraw.ImageDraw, point: Point, colour: Colour, factor: float, radius: int) -> None:
    x, y = (point.x + 0.5) * factor, (point.y + 0.5) * factor
    pen.ellipse((x - radius - 1, y - radius - 1, x + radius + 1, y + radius + 1), fill=(0, 0, 0))
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline=(255, 255, 255))


# --------------------------------------------------------------------------- sheets and files


def montage(rows: Sequence[Sequence[RGB]], gap: int = 6, paper: Colour = (255, 255, 255)) -> RGB:
    """Rows of pictures as one sheet; every picture of a row is brought to the row's first height."""
    strips = [_strip(row, gap, paper) for row in rows]
    width = max(s.shape[1] for s in strips)
    out = np.full((sum(s.shape[0] for s in strips) + gap * (len(strips) - 1), width, 3), paper, np.uint8)
    y = 0
    for strip in strips:
        out[y : y + strip.shape[0], : strip.shape[1]] = strip
        y += strip.shape[0] + gap
    return out


def _strip(row: Sequence[RGB], gap: int, paper: Colour) -> RGB:
    height = row[0].shape[0]
    parts: list[RGB] = []
    for picture in row:
        if parts:
            parts.append(np.full((height, gap, 3), paper, np.uint8))
        width = max(1, round(picture.shape[1] * height / picture.shape[0]))
        same = picture.shape[0] == height
        parts.append(picture if same else np.asarray(Picture.fromarray(picture).resize((width, height))))
    return np.concatenate(parts, 1)


def encoded(rgb: RGB, form: str = "JPEG", quality: int = 88) -> bytes:
    """The bytes of a JPEG (colours unsubsampled: outlines stay sharp) or PNG file; equal input, equal bytes."""
    out = io.BytesIO()
    if form == "JPEG":
        Picture.fromarray(rgb).save(out, form, quality=quality, subsampling=0)
    else:
        Picture.fromarray(rgb).save(out, form)
    return out.getvalue()
