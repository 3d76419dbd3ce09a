"""Backbones: weights find their network, dilation keeps what was learnt, the real ones see cats and dogs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from PIL import Image
from safetensors.torch import save_file

from napari_wsss.errors import MissingModel, UsageError, WsssError
from napari_wsss.models.backbones import load_backbone
from napari_wsss.models.catalogue import entry
from napari_wsss.models.checkpoint import load_weights
from napari_wsss.models.mobilenet_v2 import DeepLabV3MobileNetV2, dilate, new_mobilenet_v2


def saved(network: torch.nn.Module, path: Path) -> Path:
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, path)
    return path


@pytest.fixture(scope="module")
def mobilenet_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    return saved(new_mobilenet_v2(11), tmp_path_factory.mktemp("weights") / "mobilenet.safetensors")


def test_mobilenet_gives_the_levels_of_its_own_blocks(mobilenet_file: Path) -> None:
    backbone = load_backbone("torchvision/mobilenet_v2", weights=mobilenet_file)
    rgb = torch.rand(2, 3, 65, 97, generator=torch.Generator().manual_seed(1))
    maps = backbone.features(rgb, ("17", "3", 6))
    assert [tuple(m.shape) for m in maps] == [(2, 320, 3, 4), (2, 24, 17, 25), (2, 32, 9, 13)]
    x = backbone.preprocess(rgb)
    for i, block in enumerate(backbone.module.features[:4]):
        x = block(x)
        assert i == 3 or not torch.equal(x, maps[1])
    assert torch.equal(x, maps[1])
    assert backbone.name.startswith("mobilenet@")
    assert backbone.head is not None
    assert backbone.head.out_features == 11
    probabilities = backbone.classify(rgb)
    assert torch.allclose(probabilities.sum(1), torch.ones(2))
    assert not any(p.requires_grad for p in backbone.module.parameters())
    assert not backbone.module.training


@pytest.mark.parametrize(("output_stride", "size"), [(32, 3), (16, 5), (8, 9)])
def test_output_stride_sets_the_grid(mobilenet_file: Path, output_stride: int, size: int) -> None:
    backbone = load_backbone("torchvision/mobilenet_v2", weights=mobilenet_file)
    (last,) = backbone.features(torch.rand(1, 3, 65, 65), ("17",), output_stride)
    assert last.shape[-1] == size


def test_dilated_tokens_are_the_trained_ones_where_both_exist(mobilenet_file: Path) -> None:
    """Dilation instead of stride (a trous): every second token is, away from borders, the one of the strided net."""
    backbone = load_backbone("torchvision/mobilenet_v2", weights=mobilenet_file)
    rgb = torch.rand(1, 3, 513, 513, generator=torch.Generator().manual_seed(1))
    for level, inner in (("14", 3), ("17", 5)):
        (plain,) = backbone.features(rgb, (level,))
        (dense,) = backbone.features(rgb, (level,), 16)
        assert torch.allclose(
            plain[..., inner:-inner, inner:-inner], dense[..., ::2, ::2][..., inner:-inner, inner:-inner], atol=1e-4
        )
    probabilities = backbone.classify(rgb[..., :65, :65])
    assert torch.equal(
        probabilities, load_backbone("torchvision/mobilenet_v2", weights=mobilenet_file).classify(rgb[..., :65, :65])
    )


def test_deeplab_dilation_is_that_of_its_checkpoint() -> None:
    features = DeepLabV3MobileNetV2().backbone["features"]
    spatial = [m for b in features for m in b.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3)]
    assert [m.stride[0] for m in spatial] == [2, 1, 2, 1, 2, 1, 1, 2, *[1] * 10]
    assert [m.dilation[0] for m in spatial] == [1] * 15 + [2] * 3
    dilate(features, 8)
    assert [m.dilation[0] for m in spatial] == [1] * 8 + [2] * 7 + [4] * 3
    dilate(features, 32)
    assert [m.dilation[0] for m in spatial] == [1] * 18


def test_a_torchvision_network_by_module_names(tmp_path: Path) -> None:
    network = torchvision.models.resnet18(num_classes=5)
    backbone = load_backbone("torchvision/resnet18", weights=saved(network, tmp_path / "r.safetensors"))
    assert backbone.default_levels == ("layer1", "layer2", "layer3", "layer4")
    maps = backbone.features(torch.rand(1, 3, 65, 65), ("layer3", "layer1"))
    assert [tuple(m.shape[1:]) for m in maps] == [(256, 5, 5), (64, 17, 17)]
    assert backbone.classify(torch.rand(1, 3, 64, 64)).shape == (1, 5)
    with pytest.raises(UsageError, match="layer1"):
        backbone.features(torch.rand(1, 3, 65, 65), ("nonsense",))
    with pytest.raises(UsageError, match="no feature map"):
        backbone.features(torch.rand(1, 3, 65, 65), ("fc",))
    with pytest.raises(UsageError, match="output stride"):
        backbone.features(torch.rand(1, 3, 65, 65), ("layer1",), 8)


@pytest.mark.parametrize(
    ("name", "given", "corner", "shapes"),
    [
        ("test_resnet", {}, True, 4),
        ("test_vit", {"dynamic_img_size": True}, False, 3),
        ("convnext_atto", {}, False, 4),
    ],
)
def test_timm_networks(tmp_path: Path, name: str, given: dict, corner: bool, shapes: int) -> None:
    torch.manual_seed(0)
    network = timm.create_model(name, pretrained=False, num_classes=4, **given)
    backbone = load_backbone(f"timm/{name}", weights=saved(network, tmp_path / "t.safetensors"))
    assert backbone.corner is corner
    maps = backbone.features(torch.rand(1, 3, 96, 128))
    assert len(maps) == shapes
    assert all(m.ndim == 4 and torch.isfinite(m).all() for m in maps)
    assert backbone.classify(torch.rand(1, 3, *network.pretrained_cfg["input_size"][1:])).shape == (1, 4)


def test_wrong_requests_are_one_line(tmp_path: Path, mobilenet_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path / "empty"))
    with pytest.raises(MissingModel, match="napari-wsss models fetch mobilenet_v2_imagenet --from FILE"):
        load_backbone("mobilenet_v2_imagenet")
    with pytest.raises(UsageError, match="known architecture"):
        load_backbone(mobilenet_file)
    with pytest.raises(UsageError, match="known architecture"):
        load_backbone("sam/vit_b", weights=mobilenet_file)
    with pytest.raises(UsageError, match="name its weights"):
        load_backbone("timm/resnet18")
    with pytest.raises(UsageError, match="timm has no model"):
        load_backbone("timm/nonsense", weights=mobilenet_file)
    with pytest.raises(UsageError, match="torchvision has no"):
        load_backbone("torchvision/nonsense", weights=mobilenet_file)
    with pytest.raises(UsageError, match="no level '19'"):
        load_backbone("torchvision/mobilenet_v2", weights=mobilenet_file).features(torch.rand(1, 3, 33, 33), ("19",))
    with pytest.raises(WsssError, match="do not fit"):
        load_backbone("torchvision/resnet18", weights=mobilenet_file)


# --------------------------------------------------------------------------- the two real ones


def pets(folder: Path, count: int) -> list[tuple[torch.Tensor, np.ndarray]]:
    stems = (folder / "pets" / "train.txt").read_text().split()
    found = []
    for stem in stems[:: len(stems) // count][:count]:
        with Image.open(folder / "pets" / "images" / f"{stem}.png") as file:
            rgb = torch.from_numpy(np.array(file.convert("RGB"))).permute(2, 0, 1)[None] / 255
        with Image.open(folder / "pets" / "masks" / f"{stem}.png") as file:
            found.append((rgb, np.array(file)))
    return found


def resized(rgb: torch.Tensor, side: int) -> torch.Tensor:
    return F.interpolate(rgb, (side, side), mode="bilinear", align_corners=False, antialias=True)


def test_the_imagenet_file_tells_cats_from_dogs(shared_weights: Path, shared_data: Path) -> None:
    """Its README: 0.906 of the pets by the summed probabilities of ImageNet's cats and dogs."""
    path = shared_weights / entry("mobilenet_v2_imagenet").file
    backbone = load_backbone(path)
    assert backbone.name == "mobilenet_v2_imagenet@3acafc4b"
    right = 0
    images = pets(shared_data, 14)
    with torch.inference_mode():
        for rgb, mask in images:
            probability = backbone.classify(resized(rgb, 224))[0]
            says_cat = probability[281:286].sum() > probability[151:269].sum()
            right += bool(says_cat) == ((mask == 2).sum() > (mask == 3).sum())
    assert right >= 11
    kept = load_weights(path)["features.0.0.weight"].float()
    assert torch.equal(backbone.module.state_dict()["features.0.0.weight"], kept)


def test_the_deeplab_file_segments_cats_and_dogs(shared_weights: Path, shared_data: Path) -> None:
    """Its README: IoU of cats 0.906, of dogs 0.878 over all 138 images; here the median image."""
    backbone = load_backbone(shared_weights / entry("deeplabv3_mobilenet_v2_voc").file)
    voc = (shared_weights / "voc_classes.txt").read_text().split()
    overlaps = []
    with torch.inference_mode():
        for rgb, mask in pets(shared_data, 7):
            logits = backbone.module(backbone.preprocess(resized(rgb, 513)))
            winner = F.interpolate(logits, mask.shape, mode="bilinear", align_corners=False).argmax(1)[0].numpy()
            animal, truth = np.isin(winner, (voc.index("cat"), voc.index("dog"))), mask > 1
            overlaps.append((animal & truth).sum() / ((animal | truth) & (mask > 0)).sum())
    assert np.median(overlaps) > 0.9, overlaps
    with pytest.raises(UsageError, match="no image classifier"):
        backbone.classify(torch.rand(1, 3, 33, 33))
