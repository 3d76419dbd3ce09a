"""What is taught in each round of a play: a segmenter as `train` fits it, or the label model alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from napari_wsss.pipeline import Plan, run
from napari_wsss.prediction import predict
from napari_wsss.project import Project
from napari_wsss.tiled_prediction import from_probabilities
from napari_wsss.training import Training, train
from napari_wsss.training.completing import complete
from napari_wsss.types import Provenance, PseudoLabels, no_progress

_BY = Provenance("method", "label_models", "1970-01-01T00:00:00Z")


def teach(scratch: Project, training: Training | None, names: Sequence[str], seed: int, device: str) -> None:
    """Predictions of these images, learnt from what the project holds.

    Answered images are completed before a training's clock runs: completing grows with every answer, and would leave
    the less time to learn the more there is to learn from.

    Parameters
    ----------
    training : Training or None
        None = the project's label model answers itself.
    """
    if training is None:
        _answered_by_label_model(scratch, names, device)
        return
    if training.complete and training.noisy > 0:
        complete(scratch, device, no_progress)
    train(scratch, replace(training, seed=seed), device=device)
    predict(scratch, names, device=device)


def _answered_by_label_model(scratch: Project, names: Sequence[str], device: str) -> None:
    # Again: an image's own labels may be what they were, but those of the others have taught something since.
    run(scratch, Plan(stages=("pseudo",), images=tuple(names), device=device, again=True))
    keys = scratch.result_keys("pseudo")
    for name in names:
        found = scratch.result(name, "pseudo")
        if isinstance(found, PseudoLabels):
            p = found.probabilities.astype("float32")
            scratch.put_result(name, "predicted", from_probabilities(p, p.sum(0) > 0), keys[name], _BY)
