"""Every weak label of an image compiled into one target (methods.md 0.2, in class ids 1..K)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_wsss.types import Bool, Classes, Labels, WeakLabels, WeakTarget
from napari_wsss.weak_labels.paint import Shape, clip, paint

Vector = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Scope:
    """What an image's labels say of the whole image; a crop of it is compiled with the same scope.

    Attributes
    ----------
    possible : frozenset of int
        Classes that may occur: all but those that the tags rule out.
    boxed : frozenset of int
        Classes of which every object has a box, so that they cannot be outside their boxes.
    """

    possible: frozenset[int]
    boxed: frozenset[int]


def scope_of(
    labels: WeakLabels,
    classes: Classes,
    shape: Shape,
    point_radius: float = 1,
    boxes_complete: frozenset[int] | None = None,
) -> Scope:
    """What the labels say of the image as a whole; rules in :func:`compile_target`."""
    seed = paint(labels, len(classes), shape, point_radius).seed
    return _scope(labels, classes, seed, boxes_complete)


def compile_target(
    labels: WeakLabels,
    classes: Classes,
    shape: Shape,
    valid: Bool | None = None,
    point_radius: float = 1,
    boxes_complete: frozenset[int] | None = None,
    scope: Scope | None = None,
) -> WeakTarget:
    """Compile all that a person said of an image.

    Precedence of seeds: accepted mask, then points and strokes (newest first), then blocks, then
    "background outside the boxes". Nodata carries no seed. A seed wins over tags and boxes: its
    class is allowed on its pixels whatever they say; elsewhere:

    * **Explicitly absent** classes are allowed nowhere.
    * **A complete tag list** allows the tagged classes and ``background`` only. **An incomplete
      list** also allows every class that the person marked in the image (point, stroke, block, box
      or mask), since a mark is as good as a tag; ``complete`` stays False, so that no method takes
      the others for negatives. Without a present tag, an incomplete list allows everything.
    * **Boxes** (unfilled) of a class are taken for complete: it is not allowed outside them. With a
      class ``background`` that holds for every other class, boxed or not, and a pixel on which no
      other class is left becomes a seed of ``background``. Without it, a box speaks of its own
      class only. A class that the person tagged without a box, or marked outside its boxes, is not
      complete. ``boxes_complete`` says it instead of these rules.

    Parameters
    ----------
    shape : (h, w) of the image
    valid : bool (h, w), optional
        False = nodata.
    point_radius : float
        Radius of a point's disc in pixels, made smaller than half the distance to the nearest
        point of another class.
    boxes_complete : frozenset of int, optional
        Ids of the classes whose every object has a box.
    scope : Scope, optional
        The whole image's scope (:func:`scope_of`) where ``labels`` are those of a crop.

    Raises
    ------
    WsssError
        For a class id that the project does not have, or an accepted mask of another size.
    """
    painting = paint(labels, len(classes), shape, point_radius)
    seed, component = painting.seed, painting.components()
    if valid is not None:
        seed[~valid], component[~valid] = 0, 0
    if scope is None:
        scope = _scope(labels, classes, seed, boxes_complete)
    allow = _allow(labels, classes, shape, scope)
    if scope.boxed and classes.background is not None:
        _seed_background(seed, component, allow, classes.background, valid)
    return WeakTarget(seed, component, _open_for_seeds(allow, seed), labels.tags.complete)


def _scope(labels: WeakLabels, classes: Classes, seed: Labels, boxes_complete: frozenset[int] | None) -> Scope:
    tags, boxes = labels.tags, [b for b in labels.boxes if not b.fill]
    marked = frozenset(np.flatnonzero(np.bincount(seed.ravel())).tolist()) - {0}
    possible = frozenset(range(1, len(classes) + 1))
    if tags.complete or tags.present:
        named = tags.present if tags.complete else tags.present | marked | {b.class_id for b in boxes}
        possible = named if classes.background is None else named | {classes.background}
    if boxes_complete is None:
        boxes_complete = _taken_for_complete(labels, classes, seed, marked) if boxes else frozenset()
    return Scope(possible - tags.absent, boxes_complete)


def _taken_for_complete(labels: WeakLabels, classes: Classes, seed: Labels, marked: frozenset[int]) -> frozenset[int]:
    with_box = {b.class_id for b in labels.boxes if not b.fill}
    candidates = with_box if classes.background is None else set(classes.foreground) | with_box
    complete = set()
    for k in candidates:
        tagged_only = k in labels.tags.present and k not in with_box
        outside = k in marked and bool(((seed == k) & ~_inside_boxes(labels, k, _shape(seed))).any())
        if not tagged_only and not outside:
            complete.add(k)
    return frozenset(complete)


def _shape(array: Labels) -> Shape:
    return array.shape[0], array.shape[1]


def _inside_boxes(labels: WeakLabels, class_id: int, shape: Shape) -> Bool:
    inside = np.zeros(shape, bool)
    for b in labels.boxes:
        if b.class_id == class_id and not b.fill:
            inside[clip((b.y0, b.x0, b.y1, b.x1), shape)[0]] = True
    return inside


def _allow(labels: WeakLabels, classes: Classes, shape: Shape, scope: Scope) -> Bool:
    """bool (K, h, w); a read-only view of one pixel where it is the same everywhere."""
    possible: Vector = np.array([c.id in scope.possible for c in classes], bool)
    boxed = [k for k in scope.boxed if possible[k - 1]]
    view: Bool = np.broadcast_to(possible[:, None, None], (len(classes), *shape))
    if not boxed:
        return view
    allow = view.copy()
    for k in boxed:
        allow[k - 1] = _inside_boxes(labels, k, shape)
    return allow


def _seed_background(
    seed: Labels, component: NDArray[np.int32], allow: Bool, background: int, valid: Bool | None
) -> None:
    """Where only ``background`` is possible and nobody said anything, it is the answer."""
    others = np.arange(len(allow)) != background - 1
    outside = (seed == 0) & allow[background - 1] & ~allow[others].any(0)
    if valid is not None:
        outside &= valid
    seed[outside] = background
    component[outside] = component.max(initial=0) + 1


def _open_for_seeds(allow: Bool, seed: Labels) -> Bool:
    y, x = np.nonzero(seed)
    k = seed[y, x].astype(np.intp) - 1
    shut = ~allow[k, y, x]
    if shut.any():
        allow = allow if allow.flags.writeable else allow.copy()
        allow[k[shut], y[shut], x[shut]] = True
    return allow
