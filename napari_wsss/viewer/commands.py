"""What napari's menus call: the same verbs as the dock's buttons, without the dock."""

from __future__ import annotations

from napari.components import ViewerModel

from napari_wsss.choices import STAGES
from napari_wsss.errors import UsageError
from napari_wsss.session import Session
from napari_wsss.viewer.bound import binding_of


def label(viewer: ViewerModel) -> None:
    """Take the selected image layer (or the topmost) for labelling and give the mouse the point tool."""
    binding = binding_of(viewer)
    if binding.session.project is None:
        binding.adoption.adopt_first()
    else:
        binding.use("point")


def run_stages(viewer: ViewerModel) -> None:
    """Complete this image's labels: compute the stages that are out of date."""
    session = _session(viewer)
    session.working.run(STAGES, [session.name])


def accept_refined(viewer: ViewerModel) -> None:
    """Make the refined mask of this image ground truth."""
    _session(viewer).working.accept_image()


def separate_objects(viewer: ViewerModel) -> None:
    """Give every clicked object a number of its own; touching ones are divided."""
    _session(viewer).reshaping.separate()


def next_image(viewer: ViewerModel) -> None:
    """Open the next image of the project."""
    _session(viewer).go(1)


def _session(viewer: ViewerModel) -> Session:
    session = binding_of(viewer).session
    if session.opened is None:
        raise UsageError("label an image first: Layers > Annotate > Label this image by clicks")
    return session
