"""Segment Anything's image embedding as dense features, the one that the refiner sam uses."""

from __future__ import annotations

import math
from dataclasses import dataclass

from napari_wsss.models.sam import load_sam
from napari_wsss.protocols import Context
from napari_wsss.types import Features, Image


@dataclass(frozen=True)
class SamEncoderParams:
    """Settings; see `SamEncoder`."""

    weights: str = "mobile_sam"


class SamEncoder:
    """Image to 256 features, one token for 16 pixels of the image scaled to a longer side of 1024.

    The embedding is computed once: the loaded model remembers the latest images', and the refiner
    ``sam`` with the same weights takes them from there.

    Parameters
    ----------
    params : SamEncoderParams
        weights : name in the catalogue or path of a checkpoint of Segment Anything or MobileSAM.
    context : Context
    """

    Params = SamEncoderParams

    def __init__(self, params: SamEncoderParams, context: Context) -> None:
        self.params, self.context = params, context
        self._sam = load_sam(params.weights, context.device)

    @property
    def model(self) -> str:
        return self._sam.model

    def encode(self, image: Image) -> Features:
        """Features float32 (256, h, w) of the part of the frame that the image covers.

        A shorter side that ends within a token has that token too, so the grid may reach up to one
        token beyond the image there.
        """
        data = self._sam.embed(image).data
        token = self._sam.sam.image_encoder.img_size / data.shape[1]
        rows, columns = (math.ceil(n / token) for n in self._sam.frame(image.shape))
        return Features(data[:, :rows, :columns], max(image.shape) / data.shape[1])


METHOD = SamEncoder
