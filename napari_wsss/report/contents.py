"""What a report is made from: plain data, so that it knows neither project nor methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from napari_wsss.pictures import RGB
from napari_wsss.types import Cam, Classes, Labels, Mask, PixelSize, Provenance, WeakLabels


def nothing() -> None:
    """A stage that has not run."""
    return


@dataclass(frozen=True, eq=False, slots=True)
class ReportImage:
    """One row of pictures. What a callable answers None for is left out of the row.

    Attributes
    ----------
    name : str
    rgb : callable
        Picture uint8 (h, w, 3) in the contrast the person saw.
    hints : WeakLabels
        Drawn over the picture; tags are listed.
    cam, pseudo, mask, truth : callables
        Activation maps; pseudo-labels uint16 (h, w); the finished mask; ground truth uint16 (h, w).
    provenance : tuple of Provenance
    accepted : str or None
        When the mask was accepted, ISO 8601.
    pixel_size : PixelSize or None
        Areas come in its unit squared.
    notes : tuple of str
    """

    name: str
    rgb: Callable[[], RGB]
    hints: WeakLabels = field(default_factory=WeakLabels)
    cam: Callable[[], Cam | None] = nothing
    pseudo: Callable[[], Labels | None] = nothing
    mask: Callable[[], Mask | None] = nothing
    truth: Callable[[], Labels | None] = nothing
    provenance: tuple[Provenance, ...] = ()
    accepted: str | None = None
    pixel_size: PixelSize | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MethodUsed:
    """A stage, the method that ran in it, the model it used ('' = none) and its parameters."""

    stage: str
    name: str
    model: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False, slots=True)
class Report:
    """A whole report.

    Attributes
    ----------
    title : str
    classes : Classes
    images : tuple of ReportImage
    product_version : str
    facts : mapping of str to str
        Lines of the header, e.g. machine, device, encoder, when.
    methods : tuple of MethodUsed
    figures : mapping of str to mapping
        For each stage what :meth:`napari_wsss.evaluation.Figures.as_json` gives; other rows of
        names and numbers serve as well.
    """

    title: str
    classes: Classes
    images: tuple[ReportImage, ...]
    product_version: str
    facts: Mapping[str, str] = field(default_factory=dict)
    methods: tuple[MethodUsed, ...] = ()
    figures: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
