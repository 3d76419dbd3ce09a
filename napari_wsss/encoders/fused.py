"""Two encoders' features side by side on one grid: what pixels look like, and what they belong to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_wsss import registry
from napari_wsss.errors import UsageError
from napari_wsss.models.grids import on_grid
from napari_wsss.protocols import Context, Encoder
from napari_wsss.types import Features, Image


class Fused:
    """The features of a fine and of a coarse encoder, each with its default parameters.

    Parameters
    ----------
    fine, coarse : str
        Names of encoders.
    stride : int
        Grid step in pixels: 1, 2, 4 or 8.
    """

    @dataclass(frozen=True)
    class Params:
        fine: str = "filters"
        coarse: str = "embedded"
        stride: int = 4

        def __post_init__(self) -> None:
            if self.stride not in (1, 2, 4, 8):
                raise ValueError("stride must be 1, 2, 4 or 8")
            if "fused" in (self.fine, self.coarse):
                raise ValueError("fine and coarse must be other encoders")

    def __init__(self, params: Params, context: Context) -> None:
        self.params = params
        self._fine = _made(params.fine, params.stride, context)
        self._coarse = _made(params.coarse, params.stride, context)

    @property
    def model(self) -> str:
        """Names and hashes of the networks' weights."""
        return "+".join(model for model in (self._fine.model, self._coarse.model) if model)

    def encode(self, image: Image) -> Features:
        """Features float32 (d, h', w'): those of ``fine``, then those of ``coarse``."""
        parts = [on_grid(e.encode(image), self.params.stride, image.shape) for e in (self._fine, self._coarse)]
        return Features(np.concatenate(parts), float(self.params.stride))


def _made(name: str, stride: int, context: Context) -> Encoder:
    """An encoder on the wanted grid, where it can be told which."""
    method = registry.load("encoders", name.replace("-", "_"))
    given = {"stride": stride} if hasattr(method.Params, "stride") else {}
    made: Encoder = method(registry.parameters(method, given, name), context)
    if not hasattr(made, "encode"):
        raise UsageError(f"fused: {name} gives no dense features")
    return made


METHOD = Fused
