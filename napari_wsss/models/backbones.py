"""Pretrained convolutional networks and transformers as frozen feature extractors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import timm
import torch
import torchvision
from torch import Tensor, nn

from napari_wsss.errors import UsageError, WsssError
from napari_wsss.models import store
from napari_wsss.models.catalogue import Entry, entries, entry_of_hash
from napari_wsss.models.checkpoint import fit_weights, load_weights
from napari_wsss.models.mobilenet_v2 import DeepLabV3MobileNetV2, dilate, new_mobilenet_v2

OutputStride = Literal[8, 16, 32]

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_FAMILIES = "torchvision/NAME, timm/NAME or deeplab/mobilenet_v2"


@dataclass(eq=False)
class Backbone:
    """A network with weights, in evaluation mode, and what is needed to take features from it.

    Attributes
    ----------
    name : str
        Name and hash of the weights, ``mobilenet_v2_imagenet@3acafc4b``.
    module : nn.Module
        The whole network; its parameters do not require gradients.
    mean, std : tuple of 3 float
        Normalisation of RGB in 0..1.
    default_levels : tuple of str
        Levels for dense features, fine to coarse.
    corner : bool
        Where tokens lie in an input of size n * stride + 1: at pixel i * stride (convolutions padded on both
        sides) if True, else at (i + 0.5) * stride - 0.5 (patches without padding).
    multiple : int
        Inputs must have sides of this multiple (plus 1 if ``corner``).
    """

    name: str
    module: nn.Module
    mean: tuple[float, ...]
    std: tuple[float, ...]
    default_levels: tuple[str, ...]
    corner: bool
    multiple: int
    _take: Callable[[Tensor, Sequence[str]], list[Tensor]] = field(repr=False)
    _dilate: Callable[[int], None] | None = field(default=None, repr=False)
    _head: nn.Linear | None = None

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    def preprocess(self, rgb: Tensor) -> Tensor:
        """float (b, 3, h, w) in [0, 1] to the network's input, on its device."""
        rgb = rgb.to(self.device, torch.float32)
        return (rgb - rgb.new_tensor(self.mean).view(3, 1, 1)) / rgb.new_tensor(self.std).view(3, 1, 1)

    def features(
        self, rgb: Tensor, levels: Sequence[str | int] = (), output_stride: OutputStride | None = None
    ) -> list[Tensor]:
        """Feature maps of the chosen levels.

        Gradients flow to ``rgb`` and through the frozen network if the caller has them enabled.

        Parameters
        ----------
        rgb : float (b, 3, h, w) in [0, 1]
        levels : sequence of str or int
            Indices or module names as the network counts them; empty = `default_levels`.
        output_stride : 8, 16 or 32, optional
            Only for MobileNetV2, whose strides become dilation; None = as trained.

        Returns
        -------
        list of float (b, d, h', w'), in the order of ``levels``

        Raises
        ------
        UsageError
            For a level that the network has not, or an output stride that it cannot have.
        """
        if self._dilate is not None:
            self._dilate(output_stride or 0)
        elif output_stride is not None:
            raise UsageError(f"{self.name}: its output stride is fixed")
        return self._take(self.preprocess(rgb), [str(level) for level in levels] or self.default_levels)

    @property
    def dilates(self) -> bool:
        """Whether `features` takes an output stride."""
        return self._dilate is not None

    @property
    def head(self) -> nn.Linear | None:
        """The classifier over the spatial mean of the last level, or None if the weights have none."""
        return self._head

    def classify(self, rgb: Tensor) -> Tensor:
        """Class probabilities (b, classes) of images (b, 3, h, w) in [0, 1], at the size they have.

        Raises
        ------
        UsageError
            If the network has no classifier.
        """
        if self._head is None:
            raise UsageError(f"{self.name}: these weights have no image classifier")
        if self._dilate is not None:
            self._dilate(0)
        logits: Tensor = self.module(self.preprocess(rgb))
        return logits.softmax(1)


def load_backbone(model: str | Path, device: str | torch.device = "cpu", weights: str | Path = "") -> Backbone:
    """A backbone with its weights, frozen and in evaluation mode.

    Parameters
    ----------
    model : str or Path
        A name of the catalogue, ``torchvision/NAME``, ``timm/NAME`` or ``deeplab/mobilenet_v2``; or a path to a
        file that the catalogue knows by its hash.
    device : str or torch.device
    weights : str or Path
        A file or a name of the catalogue; '' = what ``model`` names.

    Raises
    ------
    MissingModel
        If the weights are not on this machine.
    UsageError
        If there is no such architecture, or a file's architecture is not known.
    WsssError
        If the weights do not fit.
    """
    found = _found(model, weights)
    family, _, network = found.architecture.partition("/")
    if family not in _BUILDERS:
        raise UsageError(
            f"{model}: no backbone of a known architecture; give model={_FAMILIES}, and the file as weights"
        )
    backbone = _BUILDERS[family](network, load_weights(found.path), str(found.path))
    backbone.name = found.name
    _normalise_as(backbone, found.entry)
    backbone.module.to(device).eval().requires_grad_(False)
    return backbone


def backbone_name(model: str | Path, weights: str | Path = "") -> str:
    """Name and hash of a backbone's weights, ``mobilenet_v2_imagenet@3acafc4b``, without loading them.

    Raises
    ------
    MissingModel, UsageError
        As `load_backbone`.
    """
    return _found(model, weights).name


@dataclass(frozen=True, slots=True)
class _Found:
    path: Path
    architecture: str
    entry: Entry | None
    name: str


def _found(model: str | Path, weights: str | Path) -> _Found:
    """Where a backbone's weights lie and what network they are for."""
    is_architecture = str(model).partition("/")[0] in _BUILDERS
    if is_architecture and not str(weights):
        raise UsageError(f"{model}: name its weights too, a file or a model of the catalogue")
    path, sha256 = store.resolve(weights if str(weights) else model)
    known = entries().get(str(model)) or entry_of_hash(sha256)
    architecture = str(model) if is_architecture else known.architecture if known else ""
    return _Found(path, architecture, known, f"{known.name if known else path.stem}@{sha256[:8]}")


def _normalise_as(backbone: Backbone, known: Entry | None) -> None:
    if known is not None and known.mean:
        backbone.mean, backbone.std = known.mean, known.std


# --------------------------------------------------------------------------- MobileNetV2


def _mobilenet_v2(tensors: dict[str, Tensor], source: str) -> Backbone:
    head_weight = tensors.get("classifier.1.weight")
    network: Any = new_mobilenet_v2(1000 if head_weight is None else len(head_weight))
    fit_weights(network, tensors, source)
    return _sequential_backbone(network, network.features, 32, network.classifier[1])


def _deeplab(name: str, tensors: dict[str, Tensor], source: str) -> Backbone:
    if name != "mobilenet_v2":
        raise UsageError(f"no backbone deeplab/{name}; there is: deeplab/mobilenet_v2")
    logits = tensors.get("head.logits.weight")
    network = DeepLabV3MobileNetV2(21 if logits is None else len(logits))
    fit_weights(network, tensors, source)
    features: Any = network.backbone["features"]
    return _sequential_backbone(network, features, 16, None)


def _sequential_backbone(module: nn.Module, features: nn.Sequential, trained: int, head: nn.Linear | None) -> Backbone:
    def take(x: Tensor, levels: Sequence[str]) -> list[Tensor]:
        wanted = [_index_of(level, len(features)) for level in levels]
        found: dict[int, Tensor] = {}
        for i, block in enumerate(features[: max(wanted) + 1]):
            x = block(x)
            found[i] = x
        return [found[i] for i in wanted]

    return Backbone(
        name="",
        module=module,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        default_levels=("3", "6", "13", "17"),
        corner=True,
        multiple=32,
        _take=take,
        _dilate=lambda stride: dilate(features, stride or trained),
        _head=head,
    )


def _index_of(level: str, count: int) -> int:
    number = level.removeprefix("features.")
    if not number.isdigit() or int(number) >= count:
        raise UsageError(f"no level {level!r}; there are 0 to {count - 1}")
    return int(number)


# --------------------------------------------------------------------------- torchvision, timm


def _torchvision(name: str, tensors: dict[str, Tensor], source: str) -> Backbone:
    if name == "mobilenet_v2":
        return _mobilenet_v2(tensors, source)
    if name not in torchvision.models.list_models(module=torchvision.models):
        raise UsageError(f"torchvision has no classification model {name!r}")
    head_name, classes = _head_of(tensors)
    network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=classes)
    fit_weights(network, tensors, source)
    head = network.get_submodule(head_name) if head_name else None
    return Backbone(
        name="",
        module=network,
        mean=_IMAGENET_MEAN,
        std=_IMAGENET_STD,
        default_levels=_stages(network),
        corner=_pads(network),
        multiple=32,
        _take=lambda x, levels: _hooked(network, x, levels),
        _head=head if isinstance(head, nn.Linear) else None,
    )


def _head_of(tensors: dict[str, Tensor]) -> tuple[str, int]:
    """Name and number of classes of the last matrix in a checkpoint: torchvision's classifiers come last."""
    matrices = [k for k, v in tensors.items() if v.ndim == 2 and k.endswith(".weight")]
    return (matrices[-1].removesuffix(".weight"), len(tensors[matrices[-1]])) if matrices else ("", 1000)


def _stages(network: nn.Module) -> tuple[str, ...]:
    """``layer1`` to ``layer4`` of a residual network, else four of the modules in ``features``."""
    names = [n for n, _ in network.named_children()]
    if "layer4" in names:
        return ("layer1", "layer2", "layer3", "layer4")
    inner = network.get_submodule("features") if "features" in names else network
    blocks = [f"features.{n}" if inner is not network else n for n, _ in inner.named_children()]
    return tuple(blocks[round(i * (len(blocks) - 1) / 4)] for i in range(1, 5))


def _pads(network: nn.Module) -> bool:
    """Whether the first convolution is padded (tokens at i * stride) or cuts patches (tokens at their middle)."""
    first = next((m for m in network.modules() if isinstance(m, nn.Conv2d)), None)
    return first is not None and any(p != 0 for p in first.padding)


def _hooked(network: nn.Module, x: Tensor, levels: Sequence[str]) -> list[Tensor]:
    found: dict[str, Tensor] = {}
    hooks = []
    try:
        for level in levels:
            try:
                module = network.get_submodule(level)
            except AttributeError:
                known = ", ".join(n for n, _ in network.named_modules() if n.count(".") == 0 and n)
                raise UsageError(f"no level {level!r}; modules are, for example: {known}") from None
            hooks.append(module.register_forward_hook(lambda _m, _i, out, level=level: found.update({level: out})))
        network(x)
    finally:
        for hook in hooks:
            hook.remove()
    for level in levels:
        if level not in found or not isinstance(found[level], Tensor) or found[level].ndim != 4:
            raise UsageError(f"level {level!r} gives no feature map (b, d, h, w)")
    return [found[level] for level in levels]


def _timm(name: str, tensors: dict[str, Tensor], source: str) -> Backbone:
    if not timm.is_model(name):
        raise UsageError(f"timm has no model {name!r}")
    network, head_name = _timm_network(name, tensors)
    fit_weights(network, tensors, source)
    config = network.pretrained_cfg
    reductions = [int(info["reduction"]) for info in network.feature_info]
    count = len(reductions)
    head = network.get_submodule(head_name) if head_name and f"{head_name}.weight" in tensors else None

    def take(x: Tensor, levels: Sequence[str]) -> list[Tensor]:
        wanted = [_index_of(level, count) for level in levels]
        ordered = sorted(set(wanted))
        maps = network.forward_intermediates(x, indices=ordered, intermediates_only=True, output_fmt="NCHW")
        return [maps[ordered.index(i)] for i in wanted]

    last = (
        range(max(0, count - 4), count) if len(set(reductions)) > 1 else [round(count * q) - 1 for q in (0.5, 0.75, 1)]
    )
    return Backbone(
        name="",
        module=network,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        default_levels=tuple(str(i) for i in last),
        corner=_pads(network),
        multiple=max(reductions),
        _take=take,
        _head=head if isinstance(head, nn.Linear) else None,
    )


def _timm_network(name: str, tensors: dict[str, Tensor]) -> tuple[Any, str]:
    """The network with as many classes as the weights have, and the name of its classifier."""
    sample = timm.get_pretrained_cfg(name)
    head_name = str(sample.classifier) if sample is not None and isinstance(sample.classifier, str) else ""
    weight = tensors.get(f"{head_name}.weight")
    given: dict[str, Any] = {"pretrained": False, "num_classes": 0 if weight is None else len(weight)}
    try:
        network = timm.create_model(name, dynamic_img_size=True, **given)  # transformers: any image size
    except TypeError:
        network = timm.create_model(name, **given)
    if not hasattr(network, "forward_intermediates"):
        raise WsssError(f"timm's {name} does not give intermediate feature maps; choose another model")
    return network, head_name


_BUILDERS: dict[str, Callable[[str, dict[str, Tensor], str], Backbone]] = {
    "torchvision": _torchvision,
    "timm": _timm,
    "deeplab": _deeplab,
}
