"""Segment Anything's checkpoints: recognised by their shapes, equal in every number to its own predictor."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from segment_anything import SamPredictor, sam_model_registry
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer

from napari_wsss.errors import MissingModel, UsageError, WsssError
from napari_wsss.models import sam as sam_module
from napari_wsss.models.prompts import Prompt, lowres_extent, stability, to_lowres
from napari_wsss.models.sam import LoadedSam, build_sam, load_sam, sam_weights
from napari_wsss.models.tiny_vit_sam import TinyVitEncoder, from_published
from napari_wsss.types import Image
from tests.models import published_tiny_vit


def small_sam(seed: int = 0, img_size: int = 128, encoder: torch.nn.Module | None = None) -> Sam:
    """segment-anything's own model with an encoder of depth 2 and random weights."""
    grid = img_size // 16
    torch.manual_seed(seed)
    if encoder is None:
        encoder = ImageEncoderViT(
            img_size=img_size,
            embed_dim=32,
            depth=2,
            num_heads=2,
            out_chans=256,
            norm_layer=partial(torch.nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=3,
            global_attn_indexes=(1,),
        )
    made = Sam(
        encoder,
        PromptEncoder(256, (grid, grid), (img_size, img_size), 16),
        MaskDecoder(transformer_dim=256, transformer=TwoWayTransformer(2, 256, 8, 2048)),
    )
    for parameter in made.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    return made.eval()


@pytest.fixture
def written(tmp_path):
    """``written(state) -> path`` of a checkpoint."""

    def write(state, name="checkpoint.pt"):
        torch.save(state, tmp_path / name)
        return str(tmp_path / name)

    yield write
    sam_module._loaded.cache_clear()


def picture(shape: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def prompt_of(points=(), positive=(), box=None, mask=None) -> Prompt:
    return Prompt(np.array(points, np.int64).reshape(-1, 2), np.array(positive, bool), box, mask)


def assert_equal_to_theirs(loaded: LoadedSam, theirs: SamPredictor, shape: tuple[int, int]) -> None:
    """Masks, IoU and low-resolution logits for points, boxes, mask inputs and their mixtures."""
    rgb, side = picture(shape), loaded.side
    theirs.set_image(rgb)
    embedding = loaded.embed_rgb(rgb)
    np.testing.assert_allclose(embedding.data, theirs.get_image_embedding()[0].numpy(), atol=1e-5)
    h, w = shape
    guess = np.random.default_rng(1).normal(size=(side, side)).astype(np.float32)
    points, positive = [(h // 2, w // 3), (h // 4, w // 2), (h - 1, 0)], [True, True, False]
    box = (h // 8, w // 8, h // 2, w // 2)
    for prompt in (
        prompt_of(points[:1], positive[:1]),
        prompt_of(points, positive),
        prompt_of(box=box),
        prompt_of(points, positive, box),
        prompt_of(mask=guess),
        prompt_of(points, positive, box, guess),
    ):
        for multimask in (True, False):
            ours = loaded.predict_masks(embedding, prompt, multimask)
            some = bool(len(prompt.points))
            masks, iou, lowres = theirs.predict(
                point_coords=prompt.points[:, ::-1] if some else None,
                point_labels=prompt.positive.astype(int) if some else None,
                box=np.array([box[1], box[0], box[3] - 1, box[2] - 1]) if prompt.box else None,
                mask_input=None if prompt.mask_logits is None else prompt.mask_logits[None],
                multimask_output=multimask,
            )
            np.testing.assert_array_equal(ours.masks, masks)
            np.testing.assert_allclose(ours.iou, iou, atol=1e-5)
            np.testing.assert_allclose(ours.lowres, lowres, atol=1e-5)
            assert ours.masks.shape == (3 if multimask else 1, *shape)


@pytest.mark.parametrize("shape", [(96, 96), (150, 60), (50, 170), (128, 128)])
def test_equal_to_segment_anythings_own_predictor(written, shape):
    reference = small_sam()
    loaded = load_sam(written(reference.state_dict()))
    assert_equal_to_theirs(loaded, SamPredictor(reference), shape)


def test_equal_at_the_published_frame_of_1024_pixels(written):
    reference = small_sam(img_size=1024)
    loaded = load_sam(written(reference.state_dict()))
    assert loaded.side == 256
    rgb = picture((60, 110))
    theirs = SamPredictor(reference)
    theirs.set_image(rgb)
    embedding = loaded.embed_rgb(rgb)
    np.testing.assert_allclose(embedding.data, theirs.get_image_embedding()[0].numpy(), atol=1e-5)
    masks, iou, lowres = theirs.predict(np.array([[70, 20]]), np.array([1]))
    ours = loaded.predict(embedding, prompt_of([(20, 70)], [True]))
    np.testing.assert_array_equal(ours.masks, masks)
    np.testing.assert_allclose(ours.iou, iou, atol=1e-5)
    np.testing.assert_allclose(ours.lowres, lowres, atol=1e-5)


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_published_architectures_by_keys_and_shapes(name):
    with torch.device("meta"):
        published = sam_model_registry[name]()
        weights, notes = sam_weights(published.state_dict(), "file")
        built, recognised = build_sam(weights)
    assert recognised == name
    assert notes == ()
    shapes = {k: v.shape for k, v in published.state_dict().items()}
    assert {k: v.shape for k, v in built.state_dict().items()} == shapes
    theirs, ours = published.image_encoder, built.image_encoder
    assert ours.img_size == theirs.img_size
    for a, b in zip(ours.blocks, theirs.blocks):
        assert (a.window_size, a.attn.num_heads, a.attn.scale) == (b.window_size, b.attn.num_heads, b.attn.scale)


# --------------------------------------------------------------------------- MobileSAM


def mobile_state(seed: int = 0) -> dict[str, torch.Tensor]:
    decoder = small_sam(seed, 1024, torch.nn.Identity()).state_dict()
    encoder = published_tiny_vit.tensors(seed)
    return {**{f"image_encoder.{k}": v for k, v in encoder.items()}, **decoder}


def test_mobile_sam_has_no_missing_and_no_extra_key():
    own = {f"image_encoder.{k}": v.shape for k, v in TinyVitEncoder().state_dict().items()}
    mapped = from_published({f"image_encoder.{k}": v for k, v in published_tiny_vit.tensors().items()})
    assert {k: v.shape for k, v in mapped.items()} == own


def test_mobile_sams_encoder_equals_one_written_from_the_published_names():
    state = published_tiny_vit.tensors(3)
    encoder = TinyVitEncoder().eval()
    mapped = from_published({f"image_encoder.{k}": v for k, v in state.items()})
    encoder.load_state_dict({k.removeprefix("image_encoder."): v for k, v in mapped.items()})
    frame = torch.randn(1, 3, 160, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(encoder(frame), published_tiny_vit.forward(state, frame), atol=2e-4, rtol=1e-4)


def test_mobile_sam_predicts_as_segment_anything_does_around_its_encoder(written):
    state = mobile_state()
    loaded = load_sam(written(state))
    assert (loaded.name, loaded.side) == ("vit_t", 256)
    encoder = TinyVitEncoder()
    reference = small_sam(9, 1024, encoder)
    reference.load_state_dict(from_published(state))
    rgb = picture((60, 90))
    theirs = SamPredictor(reference.eval())
    theirs.set_image(rgb)
    masks, iou, lowres = theirs.predict(np.array([[40, 20], [3, 3]]), np.array([1, 0]))
    ours = loaded.predict(loaded.embed_rgb(rgb), prompt_of([(20, 40), (3, 3)], [True, False]))
    np.testing.assert_array_equal(ours.masks, masks)
    np.testing.assert_allclose(ours.iou, iou, atol=1e-5)
    np.testing.assert_allclose(ours.lowres, lowres, atol=1e-4)


# --------------------------------------------------------------------------- fine-tuned checkpoints


def test_micro_sams_nesting_prefix_and_decoder_are_understood_and_told(written):
    reference = small_sam()
    state = {f"sam.{k}": v for k, v in reference.state_dict().items()}
    state["decoder.base.conv.weight"] = torch.zeros(2, 2)
    loaded = load_sam(written({"model_state": state, "epoch": 3}))
    assert len(loaded.notes) == 1
    assert "left aside: decoder (1 tensors)" in loaded.notes[0]
    assert_equal_to_theirs(loaded, SamPredictor(reference), (40, 90))


def test_a_fine_tuned_checkpoint_in_half_precision_loads_as_float32(written):
    loaded = load_sam(written({k: v.half() for k, v in small_sam().state_dict().items()}))
    assert {p.dtype for p in loaded.sam.parameters()} == {torch.float32}


def test_a_missing_tensor_is_named(written):
    state = small_sam().state_dict()
    del state["mask_decoder.mask_tokens.weight"]
    with pytest.raises(WsssError, match=r"mask_decoder\.mask_tokens\.weight"):
        load_sam(written(state))


def test_another_networks_checkpoint_is_refused(written):
    with pytest.raises(WsssError, match="no checkpoint of Segment Anything"):
        load_sam(written({"features.0.weight": torch.zeros(3)}))


def test_absent_weights_name_the_command_or_the_file(tmp_path, monkeypatch):
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path))
    with pytest.raises(UsageError, match="no such file"):
        load_sam(str(tmp_path / "nowhere.pt"))
    from napari_wsss.models.catalogue import entries

    name = next(n for n in entries() if "sam" in n.lower())
    with pytest.raises(MissingModel, match="models fetch"):
        load_sam(name)


# --------------------------------------------------------------------------- embeddings, frames


def an_image(key: str, shape=(40, 60), seed=0) -> Image:
    rgb = picture(shape, seed).transpose(2, 0, 1) / np.float32(255)
    return Image("a", key, rgb.astype(np.float32), np.ones(shape, bool), (0, 1, 2))


def test_an_embedding_is_computed_once_for_an_image():
    loaded = LoadedSam(small_sam(), "small")
    first = loaded.embed(an_image("k"))
    assert loaded.embed(an_image("k")) is first
    assert loaded.embed(an_image("other", seed=1)) is not first
    np.testing.assert_array_equal(first.data, loaded.embed_rgb(picture((40, 60))).data)


@pytest.mark.parametrize("shape", [(600, 300), (300, 600), (200, 200)])
def test_mask_logits_lie_where_the_image_lies_in_the_padded_frame(shape):
    """Oracle C.0 (c): alignment error of at most one low-resolution pixel."""
    logits = np.full(shape, -4, np.float32)
    y, x = int(shape[0] * 0.7), int(shape[1] * 0.8)
    logits[y - 10 : y + 11, x - 10 : x + 11] = 4
    frame = to_lowres(logits, 256)
    scale = 256 / max(shape)
    rows, columns = lowres_extent(shape, 256)
    assert (rows, columns) == (round(shape[0] * scale), round(shape[1] * scale))
    found = np.argwhere(frame > 0).mean(0)
    assert np.abs(found - ((np.array([y, x]) + 0.5) * scale - 0.5)).max() <= 1
    assert (frame[rows:] == -10).all()
    assert (frame[:, columns:] == -10).all()


def test_stability_is_the_iou_of_two_cuts_without_the_padding():
    lowres = np.full((1, 8, 8), 5, np.float32)
    lowres[0, :4] = -5
    lowres[0, 3] = 0.5
    assert stability(lowres, (100, 100))[0] == pytest.approx(32 / 40)
    assert stability(lowres, (50, 100))[0] == 0  # below row 4 lies only padding
    assert stability(np.full((1, 8, 8), -5, np.float32), (9, 9))[0] == 0


# --------------------------------------------------------------------------- the encoder and the refiner share


def test_the_encoder_gives_the_refiners_own_embedding(written, monkeypatch):
    from napari_wsss.encoders.sam import METHOD as ENCODER
    from napari_wsss.protocols import Context
    from napari_wsss.refiners.sam import METHOD as REFINER
    from napari_wsss.types import Class, Classes

    path = written(small_sam().state_dict())
    context = Context(Classes((Class(1, "background", "#000000"), Class(2, "thing", "#ff0000"))))
    encoder = ENCODER(ENCODER.Params(weights=path), context)
    refiner = REFINER(REFINER.Params(weights=path), context)
    image = an_image("shared", (40, 60))
    features = encoder.encode(image)
    monkeypatch.setattr(refiner.predictor, "embed_rgb", lambda rgb: pytest.fail("embedded a second time"))
    embedding = refiner.predictor.embed(image)
    rows, columns = features.data.shape[1:]
    np.testing.assert_array_equal(features.data, embedding.data[:, :rows, :columns])
    assert (rows, columns) == (6, 8)  # 40 rows are 85 pixels of the frame of 128, that is 5.3 tokens
    assert features.stride == 60 / 8
    assert encoder.model == refiner.model
    assert encoder.model.startswith("vit_32x2@")
