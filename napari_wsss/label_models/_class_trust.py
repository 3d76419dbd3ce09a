"""How far each class's probabilities are to be believed, told by hints on images that the head did not see."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls

from napari_wsss.label_models._pixel_head import HeadSettings, LabelledPixels, fit_head
from napari_wsss.types import Progress, no_progress

_SUM = 10.0  # weight of "shares sum to one" among the equations of the shares
_LEAST = 0.05  # of the average class: nothing is to be believed not at all
_ENOUGH = 20_000  # labelled pixels that are believed as much as the guess, that classes are alike, which they replace


def class_trust(
    pixels: LabelledPixels, n_classes: int, settings: HeadSettings, seed: int, progress: Progress = no_progress
) -> NDArray[np.float64]:
    """Precision of each class's probability mass, over the mean of the classes'; nearer to 1 the fewer hints tell it.

    Hints tell how what is of class k is answered, not how much of an image it covers. That follows from how much is
    answered as what anywhere: shares s with ``answered = s @ hinted`` (the adjusted count of quantification; Forman,
    Data Mining and Knowledge Discovery 2008). Both together are Bayes' precision: a rare class that common ones are
    mistaken for is answered far more often than it is there.

    Returns
    -------
    float64 (K,); all 1 where fewer than two images bear hints, or classes are hinted on one of them alone
    """
    everyone = np.ones(n_classes)
    images = torch.unique(pixels.images)
    if len(images) < 2 or len(torch.unique(pixels.classes)) < 2:
        return everyone
    answered, hinted = np.zeros(n_classes), np.zeros((n_classes, n_classes))
    for half in (images[::2], images[1::2]):
        held = torch.isin(pixels.images, half)
        learnt = pixels.part(~held)
        if len(torch.unique(learnt.classes)) < 2:
            return everyone
        head = fit_head(learnt, n_classes, settings, seed, progress)
        with torch.inference_mode():
            answers = head(pixels.features[held]).softmax(1).double().cpu().numpy()
            np.add.at(hinted, pixels.classes[held].cpu().numpy(), answers)
            answered += head(pixels.anywhere).softmax(1).double().mean(0).cpu().numpy() / 2
    seen = hinted.sum(1) > 0
    hinted[seen] /= hinted[seen].sum(1, keepdims=True)
    shares = _shares(hinted, answered)
    mass = shares @ hinted
    precision = shares * hinted.diagonal() / np.maximum(mass, 1e-9)
    known = seen & (mass > 0)
    if not precision[known].any():
        return everyone
    trust = np.where(known, precision / precision[known].mean(), 1.0)
    labelled = int((~pixels.guessed).sum())
    return np.asarray(np.maximum(trust, _LEAST) ** (labelled / (labelled + _ENOUGH)))


def _shares(hinted: NDArray[np.float64], answered: NDArray[np.float64]) -> NDArray[np.float64]:
    """Non-negative shares (K,) of the classes that explain best how often each is answered."""
    equations = np.vstack([hinted.T, np.full(len(hinted), _SUM)])
    found, _ = nnls(equations, np.append(answered, _SUM))
    return np.asarray(found, np.float64)
