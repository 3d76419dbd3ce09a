"""The tokens of the promptable model that ships with the product."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from napari_wsss.models.embedded.encoder import STRIDE, TOKENS
from napari_wsss.models.embedded.frames import frames
from napari_wsss.models.embedded.predictor import load_embedded
from napari_wsss.protocols import Context
from napari_wsss.types import Features, Image


@dataclass(frozen=True)
class EmbeddedEncoderParams:
    """Settings; see `EmbeddedEncoder`."""

    weights: str = "embedded"


class EmbeddedEncoder:
    """Image to 128 features, one token for 8 x 8 pixels of the model's frame.

    The embedding is computed once: the loaded model remembers the latest images', and the refiner
    ``embedded`` takes them from there.

    Parameters
    ----------
    params : EmbeddedEncoderParams
        weights : ``embedded``, or a file that the model's own program wrote.
    context : Context
    """

    Params = EmbeddedEncoderParams

    def __init__(self, params: EmbeddedEncoderParams, context: Context) -> None:
        self.params, self.context = params, context
        self._predictor = load_embedded(params.weights, context.device)

    @property
    def model(self) -> str:
        return self._predictor.model

    def encode(self, image: Image) -> Features:
        """Features float32 (128, h, w) of the part of the frame that the image covers."""
        data = self._predictor.embed(image).data[:TOKENS]
        frame = frames(image.shape)[0]
        rows, columns = -(-frame.rows // STRIDE), -(-frame.columns // STRIDE)
        stride = STRIDE * max(image.shape) / max(frame.rows, frame.columns)  # of the longer side: the exact one
        return Features(np.ascontiguousarray(data[:, :rows, :columns]), stride)


METHOD = EmbeddedEncoder
