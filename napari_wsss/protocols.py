"""What a method looks like: one class a file, with a frozen ``Params`` and one verb.

Every method class takes ``(params, context)``. Its parameters are a frozen dataclass ``Params``
(fields: bool, int, float, str or a ``Literal`` of str, each documented in the class docstring);
the command line's ``--param cam.layers=3``, the project's settings and the window's forms are made
from it. A method file ends with ``METHOD = TheClass``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from napari_wsss.types import (
    Cam,
    Classes,
    Dataset,
    Features,
    Image,
    Mask,
    Progress,
    PseudoLabels,
    Sample,
    State,
    no_progress,
)


@dataclass(frozen=True, eq=False, slots=True)
class Doubt:
    """What an acquisition strategy may look at.

    Attributes
    ----------
    probabilities : float32 (K, h, w)
    disagreement : float32 (h, w) or None
        Between views or networks, in [0, 1].
    hardness : float32 (h, w) or None
        As the network's hardness head says it, in [0, 1].
    name : str
        Of the image, so that what is random differs between images and is the same twice.
    reach : int
        Half side of a region in cells of this map.
    """

    probabilities: NDArray[np.float32]
    name: str
    reach: int
    disagreement: NDArray[np.float32] | None = None
    hardness: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Context:
    """What surrounds a method: classes, device, seed, where models lie, and who watches.

    ``encoder`` is the encoder that the run chose (None for encoders themselves); dense features
    come through ``Sample.features``, which caches them. ``knowledge`` is the path of the user's own
    attribute file, or None.
    """

    classes: Classes
    device: str = "cpu"
    seed: int = 0
    progress: Progress = no_progress
    encoder: Encoder | None = None
    knowledge: Path | None = None
    features: Callable[[Image], Features] | None = None


class Method(Protocol):
    """The part that all kinds share."""

    Params: ClassVar[type[Any]]

    def __init__(self, params: Any, context: Context) -> None: ...

    @property
    def model(self) -> str:
        """Name and hash of the weights in use, e.g. ``mobilenet_v2@3acafc4b``; '' if there are none."""
        ...


class Encoder(Method, Protocol):
    """Image to dense features. Deterministic: equal image, parameters and weights, equal features."""

    def encode(self, image: Image) -> Features: ...


@runtime_checkable
class BatchEncoder(Protocol):
    """An encoder that takes several images at once; on a GPU a folder goes through it in batches."""

    def encode_batch(self, images: Sequence[Image]) -> list[Features]:
        """What `Encoder.encode` gives of each; the images have equal channels and shape."""
        ...


@runtime_checkable
class TextEncoder(Protocol):
    """An encoder that also embeds text into the space of its features."""

    def encode_text(self, phrases: Sequence[str]) -> NDArray[np.float32]:
        """float32 (n, d), L2-normalised."""
        ...


class CamMethod(Method, Protocol):
    """Tags (or class names) to activation maps. Raises CannotFeed where the labels are not enough.

    ``fit`` is optional: a method that learns from the whole project returns what it learnt, and the
    pipeline stores it and hands it to every call; a method without it gets an empty state. A method whose
    calls share nothing that changes may say ``parallel = True``: on a CPU several images are then in work.
    ``call_batch(samples, state)`` is optional too: on another device it is called with several images, and gives
    for each what a call gives, or the CannotFeed that a call would raise.
    """

    def __call__(self, sample: Sample, state: State) -> Cam: ...


class LabelModel(Method, Protocol):
    """Activation maps and weak labels to pseudo-labels. ``fit`` is optional, as for CamMethod."""

    def __call__(self, sample: Sample, state: State) -> PseudoLabels: ...


class Refiner(Method, Protocol):
    """Pseudo-labels (``sample.pseudo``) to a finished mask. Never changes a pixel that a person labelled."""

    def __call__(self, sample: Sample, state: State) -> Mask: ...


@runtime_checkable
class Fits(Protocol):
    """A method that learns from the whole project before it is called on one image."""

    def fit(self, samples: Sequence[Sample]) -> State: ...


class Segmenter(Method, Protocol):
    """A network that is trained on a project, as a recipe: it makes new networks, the trainer fits them.

    ``inputs`` says what goes in: ``image`` (the image's own channels) or ``features`` (dense features of the
    chosen encoder, on their grid). The network is a torch module ``net(x, size=None, drop=None)`` that returns
    an object with ``logits`` (b, K, *size) and ``fused`` (b, d, h', w'), the features that its last layer reads;
    ``drop`` (b, d) multiplies the channels of the features between its encoder and its head. If the network has
    ``pace``, the layers of its ``encoder`` learn at so much of the rate.

    Optional: ``begin(net)`` puts in the weights that training starts from (it is not called where a trained network
    is read), and ``normalisation`` is a mean and a deviation for every channel in place of the measured ones.
    """

    inputs: ClassVar[Literal["image", "features"]]

    def network(self, channels: int, classes: int) -> Any: ...


class Acquisition(Method, Protocol):
    """Probabilities to a score a pixel: where to ask next. Sees no label and no truth."""

    def __call__(self, doubt: Doubt) -> NDArray[np.float64]:
        """float64 (h, w): the higher the more worth asking; all equal = nothing to tell the places apart."""
        ...


class Exporter(Protocol):
    """Accepted masks to a dataset in one format; writes below ``folder`` only."""

    Params: ClassVar[type[Any]]

    def __init__(self, params: Any) -> None: ...

    def __call__(self, dataset: Dataset, folder: Path, progress: Progress) -> None: ...
