"""CLIP for dense work: equality with open_clip's own forward pass, checkpoints, and the oracles of methods.md A.4."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from napari_wsss.errors import UsageError, WsssError
from napari_wsss.models import clip_checkpoint
from napari_wsss.models.clip import Clip, clip_name, load_clip, starts, templates_of, token_grid
from napari_wsss.models.clip_attention import PUBLISHED, Proxy, Switches, attend, mixed, projections
from napari_wsss.models.clip_checkpoint import Architecture, build

VISION = {"layers": 3, "width": 64, "head_width": 32, "patch_size": 8, "image_size": 32}
TEXT = {"width": 64, "heads": 2, "layers": 2}
VARIANTS = {
    "plain": {},
    "average pool": {"pool_type": "avg"},
    "norm after pool": {"pool_type": "avg", "final_ln_after_pool": True, "no_ln_pre": True},
    "layer scale": {"ls_init_value": 0.1},
}


def network(seed: int = 0, custom: bool = False, quick_gelu: bool = False, **vision):
    torch.manual_seed(seed)
    kind = open_clip.CustomTextCLIP if custom else open_clip.CLIP
    return kind(32, {**VISION, **vision}, dict(TEXT), quick_gelu=quick_gelu).eval().requires_grad_(False)


def wrapped(model) -> Clip:
    return Clip(model, Architecture("small", {"vision_cfg": VISION, "text_cfg": TEXT}), "0" * 64)


@pytest.fixture(scope="module")
def small():
    return network()


@pytest.fixture(scope="module")
def pictures():
    return torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))


# ---------------------------------------------------------------------- equality with open_clip


@pytest.mark.parametrize("variant", VARIANTS)
def test_vanilla_pooled_is_open_clips_encode_image(variant, pictures):
    model = network(**VARIANTS[variant])
    vector, _ = wrapped(model).dense(pictures, PUBLISHED["vanilla"])
    torch.testing.assert_close(vector, model.encode_image(pictures), atol=1e-5, rtol=1e-5)


def test_vanilla_patches_are_open_clips_tokens(pictures):
    model = network(output_tokens=True)
    _, tokens = model.visual(pictures)
    _, patches = wrapped(model).dense(pictures, PUBLISHED["vanilla"])
    expected = (tokens @ model.visual.proj).transpose(1, 2).reshape(2, 32, 4, 4)
    torch.testing.assert_close(patches, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", [k for k in PUBLISHED if k != "proxyclip"])
def test_no_switch_changes_the_pictures_vector(kind, small, pictures):
    vector, patches = wrapped(small).dense(pictures, PUBLISHED[kind])
    torch.testing.assert_close(vector, small.encode_image(pictures), atol=1e-5, rtol=1e-5)
    vanilla = wrapped(small).dense(pictures, PUBLISHED["vanilla"])[1]
    assert (kind == "vanilla") == torch.allclose(patches, vanilla, atol=1e-4)


def test_text_is_open_clips_encode_text(small):
    phrases = ["a nucleus", "two words, and a comma"]
    expected = F.normalize(small.encode_text(open_clip.tokenize(phrases)), dim=-1)
    torch.testing.assert_close(wrapped(small).encode_text(phrases), expected, atol=1e-5, rtol=1e-5)


def test_text_over_templates_is_the_normalised_mean_of_normalised_vectors(small):
    templates = templates_of("simple")
    filled = [t("cell") for t in open_clip.SIMPLE_IMAGENET_TEMPLATES]
    vectors = F.normalize(small.encode_text(open_clip.tokenize(filled)), dim=-1)
    expected = F.normalize(vectors.mean(0), dim=0)
    torch.testing.assert_close(wrapped(small).encode_text(["cell"], templates)[0], expected, atol=1e-5, rtol=1e-5)


def test_a_template_without_a_place_for_the_phrase_is_refused():
    with pytest.raises(UsageError, match="a photo"):
        templates_of("a photo")


def _with_projection(block, x, sources: str):
    """The block's attention by torch's own module, its q and k projections replaced: an independent reference."""
    parts = dict(zip("qkv", zip(block.attn.in_proj_weight.chunk(3), block.attn.in_proj_bias.chunk(3)), strict=True))
    own = torch.nn.MultiheadAttention(64, 2, batch_first=True).eval().requires_grad_(False)
    own.load_state_dict(block.attn.state_dict())
    own.in_proj_weight.copy_(torch.cat([parts[s][0] for s in (*sources, "v")]))
    own.in_proj_bias.copy_(torch.cat([parts[s][1] for s in (*sources, "v")]))
    a = block.ln_1(x)
    return own(a, a, a, need_weights=False)[0]


def test_attention_kinds_against_torchs_own_module(small):
    block, x = small.visual.transformer.resblocks[1], torch.randn(2, 7, 64)
    qq, kk = _with_projection(block, x, "qq"), _with_projection(block, x, "kk")
    torch.testing.assert_close(mixed(block, x, "vanilla"), _with_projection(block, x, "qk"), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mixed(block, x, "clearclip"), qq, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mixed(block, x, "surgery"), kk, atol=1e-5, rtol=1e-5)
    summed = qq + kk - block.attn.out_proj.bias  # the bias would count twice
    torch.testing.assert_close(mixed(block, x, "sclip"), summed, atol=1e-5, rtol=1e-5)


# ---------------------------------------------------------------------- oracles of methods.md A.4


def _two_groups():
    """Codes (1, 1, 6, 2) of two groups of tokens: 0, 0, 0, 1, 1, 0."""
    return F.one_hot(torch.tensor([0, 0, 0, 1, 1, 0]), 2).float()[None, None]


@pytest.mark.parametrize("kind", ["sclip", "clearclip"])
def test_oracle_i_outputs_are_constant_inside_a_group_and_positions_commute(kind):
    codes = _two_groups()
    out = attend(codes, codes, codes, kind)
    for group in ([0, 1, 2, 5], [3, 4]):
        torch.testing.assert_close(out[0, 0, group], out[0, 0, group[:1]].expand(len(group), -1))
    assert not torch.allclose(out[0, 0, 0], out[0, 0, 3])
    order = [3, 0, 5, 2, 1, 4]
    moved = codes[:, :, order]
    torch.testing.assert_close(attend(moved, moved, moved, kind), out[:, :, order])


def test_sclip_rows_sum_to_two():
    q, k = torch.randn(1, 2, 5, 4), torch.randn(1, 2, 5, 4)
    torch.testing.assert_close(attend(q, k, torch.ones(1, 2, 5, 4), "sclip"), torch.full((1, 2, 5, 4), 2.0))


@pytest.mark.parametrize("flags", [(False, False), (True, True)])
def test_oracle_ii_maskclip_tokens_are_independent_and_clearclips_are_not(small, flags):
    x = torch.randn(1, 17, 64)
    changed = x.clone()
    changed[0, 5] = torch.randn(64)
    last = small.visual.transformer.resblocks[-1:]
    outs = {}
    for kind in ("maskclip", "clearclip"):
        switches = Switches(kind, *flags)
        outs[kind] = [clip_attention_patches(last, t, switches) for t in (x, changed)]
    others = [i for i in range(16) if i != 4]  # patch 4 is token 5
    assert torch.equal(outs["maskclip"][0][:, others], outs["maskclip"][1][:, others])
    assert not torch.allclose(outs["maskclip"][0][:, 4], outs["maskclip"][1][:, 4])
    assert (outs["clearclip"][0][:, others] - outs["clearclip"][1][:, others]).abs().max() > 1e-4


def clip_attention_patches(blocks, tokens, switches, proxy=None):
    from napari_wsss.models.clip_attention import dense_tokens

    return dense_tokens(blocks, tokens, (4, 4), switches, proxy)[1]


def test_oracle_iii_proxyclip_never_mixes_orthogonal_clusters():
    cluster = torch.tensor([0, 0, 1, 1, 1, 0, 0, 1, 0])
    features = F.one_hot(cluster, 2).float().T.reshape(1, 2, 3, 3)
    values = F.one_hot(cluster, 2).float()[None, None]
    out = attend(values, values, values, "proxyclip", Proxy(features))[0, 0]
    assert torch.equal(out, F.one_hot(cluster, 2).float())  # the other cluster's channel is exactly 0


def test_proxyclip_on_equal_features_stays_finite_and_works_on_the_proxys_grid(small, pictures):
    clip = wrapped(small)
    _, patches = clip.dense(pictures, PUBLISHED["proxyclip"], Proxy(torch.ones(2, 5, 6, 3)))
    assert patches.shape == (2, 32, 6, 3)
    assert patches.isfinite().all()


def test_proxyclip_at_its_own_grid_is_the_mean_of_values_where_all_is_alike(small, pictures):
    """beta below 1 keeps everything above the average: uniform weights, one vector everywhere."""
    _, patches = wrapped(small).dense(pictures, PUBLISHED["proxyclip"], Proxy(torch.ones(2, 5, 4, 4), beta=0.5))
    torch.testing.assert_close(patches, patches.mean((2, 3), keepdim=True).expand_as(patches), atol=1e-5, rtol=1e-5)


def test_parallel_kinds_add_to_their_own_path(small, pictures):
    """CLIP Surgery over two blocks, written out: x + attention of each untouched block input."""
    clip = wrapped(small)
    x = clip.blocks[0](clip.embedded(pictures))
    path = x + mixed(clip.blocks[1], x, "surgery")
    path = path + mixed(clip.blocks[2], clip.blocks[1](x), "surgery")
    _, patches = clip.dense(pictures, Switches("surgery", last_n=2))
    expected = clip.projected(path[:, 1:]).transpose(1, 2).reshape(2, 32, 4, 4)
    torch.testing.assert_close(patches, expected, atol=1e-5, rtol=1e-5)


# ---------------------------------------------------------------------- sizes


def test_positions_are_the_learnt_ones_on_their_own_grid_and_bicubic_elsewhere(small):
    clip = wrapped(small)
    assert torch.equal(clip.positions((4, 4)), small.visual.positional_embedding)
    finer = clip.positions((8, 6))
    assert finer.shape == (49, 64)
    assert torch.equal(finer[0], small.visual.positional_embedding[0])
    plane = small.visual.positional_embedding[1:].reshape(4, 4, 64).permute(2, 0, 1)[None]
    expected = F.interpolate(plane, size=(8, 6), mode="bicubic", align_corners=False)[0].reshape(64, -1).T
    torch.testing.assert_close(finer[1:], expected)


@given(st.integers(1, 200), st.integers(1, 64), st.integers(1, 64))
def test_windows_cover_every_token_and_stay_inside(length, window, step):
    window = min(window, length)
    step = min(step, window)
    first = starts(length, window, step)
    covered = np.zeros(length, int)
    for start in first:
        assert 0 <= start <= length - window
        covered[start : start + window] += 1
    assert covered.min() >= 1


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([8, 14, 16, 32]))
def test_the_grid_is_the_next_multiple_of_the_patch(height, width, patch):
    rows, columns = token_grid((height, width), patch)
    assert 0 <= rows * patch - height < patch
    assert 0 <= columns * patch - width < patch
    rows, columns = token_grid((height, width), patch, longest=512)
    assert max(rows, columns) <= -(-512 // patch)


def test_windows_equal_the_whole_where_tokens_are_independent():
    """One block of MaskCLIP and one position for all: what a token says does not depend on its window."""
    model = network(layers=1)
    model.visual.positional_embedding[1:] = model.visual.positional_embedding[1]
    clip = wrapped(model)
    picture = torch.randn(3, 80, 56, generator=torch.Generator().manual_seed(2))
    whole = clip.dense_features(picture, PUBLISHED["maskclip"], 0, 0)
    cut = clip.dense_features(picture, PUBLISHED["maskclip"], 4, 3)
    assert whole.shape == (32, 10, 7)
    torch.testing.assert_close(cut, whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(whole.norm(dim=0), torch.ones(10, 7))


# ---------------------------------------------------------------------- checkpoints


def _config_beside(folder: Path, quick_gelu: bool = False) -> None:
    content = {"model_cfg": {"embed_dim": 32, "quick_gelu": quick_gelu, "vision_cfg": VISION, "text_cfg": TEXT}}
    content["preprocess_cfg"] = {"mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}
    (folder / "open_clip_config.json").write_text(json.dumps(content))


def _state(model, dtype=torch.float32):
    return {k: v.to(dtype).contiguous() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("form", ["safetensors", "pt", "nested pt", "half pt"])
def test_checkpoints_as_published_give_open_clips_numbers(tmp_path, form, small, pictures):
    path = tmp_path / ("open_clip_model.safetensors" if form == "safetensors" else "open_clip_pytorch_model.bin")
    if form == "safetensors":
        save_file(_state(small), path)
    elif form == "nested pt":
        torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in _state(small).items()}}, path)
    else:
        torch.save(_state(small, torch.float16 if form == "half pt" else torch.float32), path)
    _config_beside(tmp_path)
    clip = load_clip(str(path), "auto", "cpu")
    tolerance = 2e-2 if form == "half pt" else 1e-5
    torch.testing.assert_close(clip.pooled_of(pictures), small.encode_image(pictures), atol=tolerance, rtol=tolerance)
    assert clip.architecture.mean == (0.5, 0.5, 0.5)
    assert clip_name(str(path)) == f"{path.stem}@{clip.digest[:8]}"


def test_openai_marks_mean_quickgelu(tmp_path, pictures):
    model = network(quick_gelu=True, head_width=64)
    torch.manual_seed(0)
    model = open_clip.CLIP(32, {**VISION, "head_width": 64}, {**TEXT, "heads": 1}, quick_gelu=True).eval()
    marks = {
        "input_resolution": torch.tensor(32),
        "context_length": torch.tensor(77),
        "vocab_size": torch.tensor(49408),
    }
    torch.save({**_state(model), **marks}, tmp_path / "openai.pt")
    loaded, found = build(tmp_path / "openai.pt")
    assert found.config["quick_gelu"]
    with torch.no_grad():
        torch.testing.assert_close(loaded.encode_image(pictures), model.encode_image(pictures), atol=1e-5, rtol=1e-5)


def test_custom_text_towers_load_too(tmp_path, pictures):
    model = network(custom=True)
    save_file(_state(model), tmp_path / "w.safetensors")
    config = {"embed_dim": 32, "custom_text": True, "vision_cfg": VISION, "text_cfg": TEXT}
    (tmp_path / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    loaded, _ = build(tmp_path / "w.safetensors")
    torch.testing.assert_close(loaded.encode_image(pictures), model.encode_image(pictures), atol=1e-5, rtol=1e-5)


def _servable() -> list[str]:
    def serves(name: str) -> bool:
        try:
            clip_checkpoint.refuse_unfit(clip_checkpoint._named(name))
        except UsageError:
            return False
        return True

    return [n for n in open_clip.list_models() if serves(n)]


def test_every_open_clip_vision_transformer_is_known_by_its_shapes(count):
    """Published shapes, on the meta device: the shapes alone give the model back (or its QuickGELU twin)."""
    names = _servable()
    assert len(names) >= 25
    assert {"ViT-B-32", "ViT-B-16-quickgelu", "ViT-L-14-336", "ViT-H-14", "ViT-g-14", "ViT-bigG-14"} <= set(names)
    for name in names[:: count(6, 1)]:
        config = clip_checkpoint._named(name).config
        with torch.device("meta"):
            model = open_clip.CLIP(**config)
        quick = config.get("quick_gelu", False)
        found = clip_checkpoint._from_shapes(model.state_dict(), quick, Path("weights.pt"))
        assert bool(found.config.get("quick_gelu", False)) == quick
        same = [{k: v for k, v in c["vision_cfg"].items() if k != "image_size"} for c in (found.config, config)]
        assert same[0] == same[1], (name, found.name)
        assert found.config["text_cfg"] == config["text_cfg"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("RN50", "ResNet"),
        ("ViT-B-16-SigLIP", "timm"),
        ("EVA02-B-16", "timm"),
        ("convnext_base", "timm"),
        ("coca_ViT-B-32", "CoCa"),
        ("roberta-ViT-B-32", "Hugging Face"),
        ("ViT-H-14-CLIPA", "Hugging Face"),
    ],
)
def test_towers_without_dense_tokens_say_so(tmp_path, name, why):
    save_file({"x": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match=why) as error:
        build(tmp_path / "w.safetensors", name)
    assert "\n" not in str(error.value)
    assert "ViT-B-16" in str(error.value)


def test_what_is_wrong_with_weights_is_one_line(tmp_path, small):
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(WsssError, match="not a CLIP"):
        build(tmp_path / "other.safetensors")
    with pytest.raises(WsssError, match="holds no CLIP"):
        build(tmp_path / "other.safetensors", "ViT-B-32")
    with pytest.raises(UsageError, match="no model named"):
        build(tmp_path / "other.safetensors", "ViT-Z-99")
    save_file(_state(small), tmp_path / "small.safetensors")
    with pytest.raises(WsssError, match="do not fit") as error:
        build(tmp_path / "small.safetensors", "ViT-B-32")
    assert "\n" not in str(error.value)
    (tmp_path / "open_clip_config.json").write_text("{}")
    with pytest.raises(WsssError, match="open_clip_config"):
        build(tmp_path / "small.safetensors")
    with pytest.raises(UsageError, match="models list"):
        load_clip("", "auto", "cpu")
    with pytest.raises(UsageError, match="no such file"):
        load_clip(str(tmp_path / "absent.pt"), "auto", "cpu")


def test_projections_have_one_slice_a_head(small):
    q, k, v = projections(small.visual.transformer.resblocks[0], torch.randn(2, 5, 64))
    assert q.shape == k.shape == v.shape == (2, 2, 5, 32)
