"""A segmenter's recipe and its weights in one file: what a trained network needs to give the same pixels elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from napari_wsss import __version__, device, registry
from napari_wsss.choices import DEFAULT_ENCODER, Choice
from napari_wsss.dense_features import DenseFeatures
from napari_wsss.errors import UsageError, WsssError
from napari_wsss.models.checkpoint import fit_weights
from napari_wsss.models.grids import on_grid, whole_step
from napari_wsss.models.placed import Placed
from napari_wsss.project import Cache, Project
from napari_wsss.protocols import Context
from napari_wsss.types import Bool, Classes, Features, Float, Image, Progress, digest, no_progress

_COARSEST = 32
"""Step of features in pixels: sides of tiles are multiples of it."""

KIND = "napari-wsss segmenter 1"


@dataclass(frozen=True)
class Recipe:
    """All that is needed to build a network and to feed it.

    Attributes
    ----------
    segmenter, params : name of the method and its parameters
    inputs : ``image`` or ``features``
    encoder, encoder_params : where ``inputs`` is ``features``
    channels : of the input
    classes : names in id order
    mean, std : of each input channel over the training images
    percentiles : contrast limits of the project, in percent
    placed : whether the network is told where in the image a pixel lies
    """

    segmenter: str
    params: Mapping[str, Any]
    inputs: Literal["image", "features"]
    channels: int
    classes: tuple[str, ...]
    encoder: str = ""
    encoder_params: Mapping[str, Any] = field(default_factory=dict)
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    percentiles: tuple[float, float] = (1.0, 99.0)
    placed: bool = False

    def network(self, context: Context, *, begun: bool = False) -> nn.Module:
        """A new network with random weights or, ``begun``, with those that training starts from."""
        segmenter = Choice("segmenters", self.segmenter, dict(self.params), "segmenter").make(context)
        made: nn.Module = segmenter.network(self.channels, len(self.classes))
        if begun and hasattr(segmenter, "begin"):
            segmenter.begin(made)
        return Placed(made, len(self.classes)) if self.placed else made

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe whose ``asdict`` went through JSON."""
        tuples = {name: tuple(values[name]) for name in ("classes", "mean", "std", "percentiles")}
        rest = {name: value for name, value in values.items() if name != "tile"}  # told by older files, used by none
        return cls(**{**rest, **tuples})


def recipe_for(project: Project, segmenter: str, params: Mapping[str, Any], encoder: str | None) -> Recipe:
    """The recipe of a project's next network; channels and normalisation are still to be measured.

    Raises
    ------
    UsageError
        No such segmenter, encoder or parameter.
    """
    name = segmenter.replace("-", "_")
    given = {**project.settings.params.get(name, {}), **params}
    Choice("segmenters", name, given, "segmenter").parameters()
    inputs = registry.load("segmenters", name).inputs
    chosen = (encoder or project.settings.encoder or DEFAULT_ENCODER).replace("-", "_") if inputs == "features" else ""
    told = dict(project.settings.params.get(chosen, {})) if chosen else {}
    if chosen == "filters":
        told.setdefault("stride", 2)  # a head learns as well from every second pixel, in a quarter of the time
    if chosen:
        Choice("encoders", chosen, told, "encoder").parameters()
    return Recipe(name, given, inputs, 0, project.classes.names, chosen, told, percentiles=project.settings.percentiles)


# --------------------------------------------------------------------------- what goes in


class Feed:
    """Images to the input of a network.

    Parameters
    ----------
    cache : Cache
        Of a project; keeps features.
    """

    def __init__(self, recipe: Recipe, cache: Cache, context: Context) -> None:
        self.recipe = recipe
        self._features: Callable[[Image], Features] | None = None
        if recipe.inputs == "features":
            choice = Choice("encoders", recipe.encoder, dict(recipe.encoder_params), "encoder")
            self._features = DenseFeatures(choice, context, cache)

    def __call__(self, image: Image) -> tuple[Float, int]:
        """float32 (c, h', w') and the step of its grid in image pixels, not yet normalised.

        Raises
        ------
        UsageError
            An image whose channels do not fit the network.
        """
        if self._features is None:
            return with_channels(image.channels, self.recipe.channels, image.name), 1
        found = self._features(image)
        if self.recipe.channels and len(found.data) != self.recipe.channels:
            raise UsageError(
                f"{image.name}: its features have {len(found.data)} planes, the network was trained on"
                f" {self.recipe.channels}; train on images with as many channels"
            )
        step = whole_step(found.stride, _COARSEST)
        return on_grid(found, step, image.shape), step


def with_channels(channels: Float, wanted: int, name: str) -> Float:
    """Channels for a network of ``wanted`` (0 = any): grey is repeated, colours are averaged for a grey network."""
    if wanted in (0, len(channels)):
        return channels
    if len(channels) == 1:
        return np.repeat(channels, wanted, 0)
    if wanted == 1:
        grey: Float = channels.mean(0, keepdims=True, dtype=np.float32)
        return grey
    raise UsageError(f"{name}: has {len(channels)} channels, the network was trained on {wanted}")


# --------------------------------------------------------------------------- the file


@dataclass(frozen=True, eq=False)
class Trained:
    """A network with its recipe, ready to predict: in evaluation mode, on its device."""

    recipe: Recipe
    network: nn.Module
    model: str
    """Name and hash of the weights, e.g. ``plain@1a2b3c4d``."""
    student: nn.Module | None = None
    """The network that this one taught; where both differ they are unsure."""
    hardness: Callable[[Tensor, tuple[int, int]], Tensor] | None = None
    """From fused features and a size to how hard pixels are (b, h, w), in [0, 1]."""

    def input_of(self, x: Float, places: Float) -> Tensor:
        """What the network is given for (c, h, w) of an image and the places (3, h, w) of its cells: (1, c', h, w)."""
        device = next(self.network.parameters()).device
        here, where = (torch.from_numpy(np.ascontiguousarray(a))[None].to(device) for a in (x, places))
        return located(normalise(here, self.recipe), where, self.recipe)


def normalise(x: Tensor, recipe: Recipe) -> Tensor:
    """(x - mean) / std of each channel."""
    return (x - x.new_tensor(recipe.mean).view(-1, 1, 1)) / x.new_tensor(recipe.std).view(-1, 1, 1)


def located(x: Tensor, places: Tensor, recipe: Recipe) -> Tensor:
    """A network's normalised input (b, c, h, w) with the places (b, 3, h, w) behind, where it is told of them."""
    return torch.cat([x, places], 1) if recipe.placed else x


def trained_bytes(recipe: Recipe, weights: Mapping[str, Tensor], told: Mapping[str, Any]) -> bytes:
    """Weights and recipe as one safetensors file; ``told`` is anything a reader may want to know (JSON)."""
    plain = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    metadata = {
        "kind": KIND,
        "recipe": json.dumps(asdict(recipe)),
        "told": json.dumps(dict(told)),
        "version": __version__,
    }
    return save(plain, metadata)


def read_marked(path: Path, kind: str, remedy: str, otherwise: str) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Metadata and tensors of a safetensors file whose metadata name this kind.

    Raises
    ------
    WsssError
        The file is damaged (with the remedy), or of another kind (``otherwise`` says so).
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    except SafetensorError as error:
        raise WsssError(f"{path}: is damaged ({error}); {remedy}") from error
    if metadata.get("kind") != kind:
        raise WsssError(f"{path}: {otherwise}")
    return metadata, tensors


def read_trained(path: Path, where: str = "cpu", seed: int = 0) -> Trained:
    """The network in a file whose content :func:`trained_bytes` made.

    Raises
    ------
    WsssError
        No such file, or not one of ours; names it.
    """
    if not path.is_file():
        raise WsssError(f"{path}: there is no such segmenter; train one with `napari-wsss train`")
    metadata, weights = read_marked(path, KIND, "train again or copy it again", "holds no segmenter of this product")
    recipe = Recipe.from_json(json.loads(metadata["recipe"]))
    network = recipe.network(Context(Classes(()), where, seed))
    fit_weights(network, weights, str(path))
    network = network.to(where, memory_format=torch.channels_last).eval().requires_grad_(False)  # type: ignore[call-overload]
    return Trained(recipe, network, f"{recipe.segmenter}@{digest(path.read_bytes())[:8]}")


def measured(recipe: Recipe, samples: list[tuple[Float, Bool]]) -> Recipe:
    """The recipe with the mean and deviation of each input channel over the valid cells of some inputs."""
    total = sum(int(valid.sum()) for _, valid in samples)
    if not total:
        raise UsageError("no valid pixel to train on; check the images")
    channels = len(samples[0][0])
    fixed = getattr(registry.load("segmenters", recipe.segmenter), "normalisation", None)
    if fixed is not None:
        return replace(recipe, channels=channels, mean=(fixed[0],) * channels, std=(fixed[1],) * channels)
    sums = np.sum([x[:, v].sum(1, dtype=np.float64) for x, v in samples], 0)
    squares = np.sum([(x[:, v].astype(np.float64) ** 2).sum(1) for x, v in samples], 0)
    mean = sums / total
    std = np.sqrt(np.maximum(squares / total - mean**2, 0))
    std = np.where(std < 1e-4, 1.0, std)
    return replace(recipe, channels=len(mean), mean=tuple(mean.tolist()), std=tuple(std.tolist()))


def context_for(project: Project, wanted: str, progress: Progress = no_progress) -> Context:
    """Classes, device and seed of a project."""
    return Context(project.classes, device.choose(wanted), project.settings.seed, progress)


__all__ = [
    "Feed",
    "Recipe",
    "Trained",
    "context_for",
    "located",
    "measured",
    "normalise",
    "read_trained",
    "recipe_for",
    "trained_bytes",
    "with_channels",
]
