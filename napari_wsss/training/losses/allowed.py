"""Classes that tags or boxes rule out may not appear (the tag loss of AGMM, gated by what was said)."""

from __future__ import annotations

from torch import Tensor


def ruled_out(logits: Tensor, allow: Tensor, inside: Tensor) -> Tensor:
    """Mean over pixels inside of -sum log(1 - p_k + 1e-6) over the classes k that are not allowed there.

    Parameters
    ----------
    logits : (b, K, h, w)
    allow : bool (b, K, h, w)
        All True where nobody said anything: an incomplete tag list teaches nothing.
    inside : bool (b, h, w)
        False = nodata, or beyond the image.
    """
    p = logits.float().softmax(1)
    against = (-(1 - p + 1e-6).log() * (~allow)).sum(1)
    return (against * inside).sum() / inside.sum().clamp_min(1)
