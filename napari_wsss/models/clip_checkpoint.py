"""A CLIP checkpoint to one of open_clip's networks: which architecture it is, and whether it will do.

The architecture comes from, in this order: what the person names; ``open_clip_config.json`` beside the
weights (as published on the Hugging Face hub); the weights' own shapes. Nothing is ever downloaded.
"""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import open_clip
from open_clip.constants import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from torch import Tensor

from napari_wsss.errors import UsageError, WsssError
from napari_wsss.models.checkpoint import fit_weights, load_weights

CONFIG_FILE = "open_clip_config.json"
OPENAI_MARKS = ("input_resolution", "context_length", "vocab_size")
"""Entries that only OpenAI's own checkpoints have: they were trained with QuickGELU."""

_HEAD_WIDTH = 64  # of every model of the first CLIP paper; assumed where shapes match no known model
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Architecture:
    """An open_clip model configuration, and how its pictures are normalised."""

    name: str
    config: dict[str, Any]
    mean: tuple[float, ...] = OPENAI_DATASET_MEAN
    std: tuple[float, ...] = OPENAI_DATASET_STD


def build(path: Path, architecture: str = "auto") -> tuple[Any, Architecture]:
    """The network with its weights, float32, in evaluation mode, on the CPU.

    Raises
    ------
    UsageError
        For an architecture whose image tower gives no tokens in the space of its text, or whose text
        needs files that only the Hugging Face hub has.
    WsssError
        If the weights do not fit.
    """
    weights = load_weights(path)
    marked = any(mark in weights for mark in OPENAI_MARKS)
    weights = {k: v for k, v in weights.items() if k not in OPENAI_MARKS}
    found = _named(architecture) if architecture != "auto" else _beside(path) or _from_shapes(weights, marked, path)
    refuse_unfit(found)
    if "visual.conv1.weight" not in weights or "visual.positional_embedding" not in weights:
        raise WsssError(
            f"{path}: holds no CLIP vision transformer (no visual.conv1.weight); it does not fit {found.name}"
        )
    model = _network(found, weights)
    if not hasattr(model, "positional_embedding") and "positional_embedding" in weights:
        weights = open_clip.model.convert_to_custom_text_state_dict(dict(weights))
    own = model.state_dict()
    scalars: dict[str, Tensor] = {
        k: weights[k].reshape(own[k].shape) for k in ("logit_scale", "logit_bias") if k in own and k in weights
    }
    weights.update(scalars)
    fit_weights(model, weights, f"{path} as {found.name}")
    return model.eval().requires_grad_(False), found


def refuse_unfit(architecture: Architecture) -> None:
    """Say in one line why an architecture cannot serve, if it cannot.

    Dense text-aligned tokens come from open_clip's own vision transformers. Not from: ResNets (an attention
    pool makes the only text-aligned vector), towers built by timm (SigLIP, EVA, ViTamin, ConvNeXt, MobileCLIP,
    PE: their heads project the pooled vector only, or their blocks are others) and CoCa (attentional pool).

    Raises
    ------
    UsageError
    """
    name, vision = architecture.name, architecture.config["vision_cfg"]
    text = architecture.config["text_cfg"]
    cure = "; models that do: ViT-B-32, ViT-B-16, ViT-L-14, ViT-H-14, ViT-bigG-14 and their kin"
    if vision.get("timm_model_name"):
        raise UsageError(f"{name}: its image tower ({vision['timm_model_name']} of timm) gives no dense tokens{cure}")
    if isinstance(vision.get("layers"), list | tuple):
        raise UsageError(f"{name}: its image tower is a ResNet, which gives no dense tokens{cure}")
    if vision.get("attentional_pool") or "multimodal_cfg" in architecture.config:
        raise UsageError(f"{name}: its image tower pools by attention (CoCa) and gives no dense tokens{cure}")
    special = ("qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc")
    if vision.get("block_type") == "custom" or any(vision.get(s) for s in special):
        raise UsageError(f"{name}: its image tower has custom attention blocks, which are not supported{cure}")
    if text.get("hf_model_name") or text.get("hf_tokenizer_name"):
        needed = text.get("hf_model_name") or text.get("hf_tokenizer_name")
        raise UsageError(f"{name}: its text needs {needed} from the Hugging Face hub, which is never asked{cure}")


def _named(name: str) -> Architecture:
    config = open_clip.get_model_config(name)
    if config is None:
        raise UsageError(f"open_clip has no model named {name!r}; it has: {', '.join(open_clip.list_models())}")
    return Architecture(name, copy.deepcopy(config))


def _beside(path: Path) -> Architecture | None:
    file = path.with_name(CONFIG_FILE)
    if not file.is_file():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        config, pictures = content["model_cfg"], content.get("preprocess_cfg", {})
        architecture = Architecture(
            path.stem if path.stem != "open_clip_model" else path.parent.name,
            {"vision_cfg": dict(config["vision_cfg"]), "text_cfg": dict(config["text_cfg"]), **_rest(config)},
            tuple(pictures.get("mean", OPENAI_DATASET_MEAN)),
            tuple(pictures.get("std", OPENAI_DATASET_STD)),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise WsssError(f"{file}: is no open_clip configuration: {type(error).__name__}: {error}") from error
    return architecture


def _rest(config: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in config.items() if k not in ("vision_cfg", "text_cfg")}


def _from_shapes(weights: Mapping[str, Tensor], openai: bool, path: Path) -> Architecture:
    """The open_clip model with these shapes; where a QuickGELU twin exists, OpenAI's marks decide."""
    try:
        shapes = _shapes(weights)
    except KeyError as error:
        raise WsssError(
            f"{path}: not a CLIP with an open_clip vision transformer (no {error.args[0]}); name its architecture, "
            f"or put its {CONFIG_FILE} beside it"
        ) from error
    matches = [a for a in map(_named, open_clip.list_models()) if _suits(a) and _claims(a) == shapes]
    quick = openai or any(word in path.name.lower() for word in ("openai", "quickgelu"))
    twins = sorted(matches, key=lambda a: (a.config.get("quick_gelu", False) != quick, len(a.name)))
    if not twins:
        return _generic(shapes, quick, path)
    if len({bool(a.config.get("quick_gelu")) for a in twins}) > 1 and not quick:
        other = next(a.name for a in twins if a.config.get("quick_gelu"))
        _log.info(
            "%s taken as %s; if it was trained with QuickGELU, name the architecture %s", path, twins[0].name, other
        )
    return twins[0]


def _generic(shapes: Mapping[str, int], quick: bool, path: Path) -> Architecture:
    width, text_width = shapes["width"], shapes["text_width"]
    if width % _HEAD_WIDTH or text_width % _HEAD_WIDTH:
        raise UsageError(
            f"{path}: its shapes are those of no open_clip model; name its architecture, "
            f"or put its {CONFIG_FILE} beside it"
        )
    _log.info("%s: its shapes are those of no open_clip model; heads %d wide are assumed", path, _HEAD_WIDTH)
    vision = {"layers": shapes["layers"], "width": width, "patch_size": shapes["patch"], "image_size": shapes["patch"]}
    vision["mlp_ratio"] = shapes["mlp"] / width  # type: ignore[assignment]
    text = {
        "context_length": shapes["context"],
        "vocab_size": shapes["vocabulary"],
        "width": text_width,
        "heads": text_width // _HEAD_WIDTH,
        "layers": shapes["text_layers"],
    }
    config = {"embed_dim": shapes["embedding"], "vision_cfg": vision, "text_cfg": text, "quick_gelu": quick}
    return Architecture(path.stem, config)


def _suits(architecture: Architecture) -> bool:
    try:
        refuse_unfit(architecture)
    except UsageError:
        return False
    return True


def _shapes(weights: Mapping[str, Tensor]) -> dict[str, int]:
    blocks = {k.split(".")[3] for k in weights if k.startswith("visual.transformer.resblocks.")}
    text_blocks = {k.split(".")[2] for k in weights if k.startswith("transformer.resblocks.")}
    conv = weights["visual.conv1.weight"].shape
    return {
        "width": conv[0],
        "patch": conv[-1],
        "layers": len(blocks),
        "mlp": weights["visual.transformer.resblocks.0.mlp.c_fc.weight"].shape[0],
        "embedding": weights["visual.proj"].shape[1],
        "text_width": weights["token_embedding.weight"].shape[1],
        "vocabulary": weights["token_embedding.weight"].shape[0],
        "context": weights["positional_embedding"].shape[0],
        "text_layers": len(text_blocks),
    }


def _claims(architecture: Architecture) -> dict[str, int]:
    vision = open_clip.CLIPVisionCfg(**architecture.config["vision_cfg"])
    text = open_clip.CLIPTextCfg(**architecture.config["text_cfg"])
    return {
        "width": vision.width,
        "patch": vision.patch_size,
        "layers": vision.layers,
        "mlp": int(vision.width * vision.mlp_ratio),
        "embedding": architecture.config["embed_dim"],
        "text_width": text.width,
        "vocabulary": text.vocab_size,
        "context": text.context_length,
        "text_layers": text.layers,
    }


def _network(architecture: Architecture, weights: Mapping[str, Tensor]) -> Any:
    """The untrained network, its position grid as large as the weights' (interpolated when it runs)."""
    config = copy.deepcopy(architecture.config)
    places = weights["visual.positional_embedding"].shape[0] - 1
    side = round(places**0.5)
    if side * side != places:
        raise UsageError(f"{architecture.name}: position embeddings of a grid that is not square are not supported")
    config["vision_cfg"]["image_size"] = side * config["vision_cfg"]["patch_size"]
    config["vision_cfg"]["patch_dropout"] = 0.0  # of training only
    custom = config.pop("custom_text", False)
    return (open_clip.CustomTextCLIP if custom else open_clip.CLIP)(**config)
