"""Dual-threshold seeds from activation maps (methods.md A.7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from napari_wsss.models.pixel_adaptive import refine_maps
from napari_wsss.types import Bool, Float, Labels


def dual_threshold_seeds(
    scores: Float,
    classes: Sequence[int],
    rgb: Float,
    background_id: int | None,
    t_hi: float,
    t_lo: float,
    valid: Bool | None = None,
    device: str = "cpu",
) -> Labels:
    """Seeds: class where the edge-aligned maps reach ``t_hi``, background below ``t_lo``, else 0.

    The rule of ToCo: a pixel is of a class where it wins against a background score of ``t_hi``, background
    where it loses against ``t_hi`` and ``t_lo``. Both runs of the pixel-adaptive refinement are one here:
    it leaves a constant background score as it is and is linear.

    Parameters
    ----------
    scores : float32 (k, h, w) in [0, 1]
    classes : class ids of the maps, never the background's
    rgb : float32 (c, h, w) in [0, 1]
        The picture whose edges the maps follow.
    background_id : int or None
        None: the project has no background; the seed is then the strongest class wherever there is one.
    t_hi, t_lo : float
    valid : bool (h, w) or None
        False = nodata, seed 0.

    Returns
    -------
    uint16 (h, w)
    """
    if not 0 <= t_lo <= t_hi:
        raise ValueError(f"thresholds {t_lo} and {t_hi}: the lower comes first")
    if len(classes) == 0:
        # No class can be here; background everywhere would be a guess that no map supports.
        return np.zeros(scores.shape[1:], np.uint16)
    on = torch.device(device)
    known = None if valid is None else torch.from_numpy(valid).to(on)
    refined = refine_maps(torch.from_numpy(scores).to(on), torch.from_numpy(rgb).to(on), known)
    best, winner = refined.max(0)
    seeds = torch.tensor(list(classes), device=on)[winner]
    if background_id is None:
        seeds[best <= 0] = 0
    else:
        seeds[best < t_hi] = 0
        # An image in which nothing responds holds no evidence of background either.
        if bool((best > t_lo).any()):
            seeds[best <= t_lo] = background_id
    if known is not None:
        seeds[~known] = 0
    return seeds.to(torch.int32).cpu().numpy().astype(np.uint16)
