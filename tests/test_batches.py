"""Images go through a network together where the device is no plain CPU, and nothing comes out different.

``cpu:0`` is the CPU under a name that makes a run work as on a GPU.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture
from safetensors.torch import save_file

from napari_wsss.choices import Choice, choices
from napari_wsss.dense_features import DenseFeatures
from napari_wsss.encoders import backbone
from napari_wsss.models.mobilenet_v2 import new_mobilenet_v2
from napari_wsss.pipeline import Plan, run
from napari_wsss.project import Cache, Project
from napari_wsss.protocols import Context
from napari_wsss.types import Cam, Class, Classes, Image, Sample, Tags, WeakLabels, WeakTarget
from tests.toy_projects import BY

CLASSES = Classes((Class(1, "background", "#000000"), Class(2, "disc", "#ff0000"), Class(3, "square", "#00ff00")))
SHAPES = ((64, 96), (64, 96), (80, 64), (64, 96), (80, 64), (64, 96))
VIEWS = 4  # two sizes, each with its mirror image
BOTH = pytest.mark.parametrize("cam", ["head", "gradcam"])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("weights") / "small.safetensors"
    save_file(new_mobilenet_v2(10).state_dict(), file)
    return str(file)


@pytest.fixture
def forwards(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each pass through the network took."""
    seen: list[int] = []
    load = backbone.load_backbone

    def watched(*given):
        network = load(*given)
        network.module.features[0].register_forward_hook(lambda _m, _i, out: seen.append(len(out)))
        return network

    monkeypatch.setattr(backbone, "load_backbone", watched)
    return seen


@pytest.fixture
def exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features are not rounded to half precision, where the last bit of a sum can tip a value to its neighbour."""
    monkeypatch.setattr(backbone.Backbone, "faster_than_disk", True, raising=False)


def plan_of(weights: str, cam: str = "head", **changes) -> Plan:
    encoder = {"model": "torchvision/mobilenet_v2", "weights": weights, "levels": "3,6"}
    return Plan(
        **{"stages": ("cam",), "use": {"cam": cam}, "encoder": "backbone", "params": {"encoder": encoder}, **changes}
    )


def drawn(number: int) -> tuple[np.ndarray, int]:
    """A picture (3, h, w) with a red disc or a green square, and the class of it."""
    channels = np.random.default_rng(number).uniform(0.3, 0.7, (3, *SHAPES[number])).astype(np.float32)
    channels[number % 2, 16:40, 20:44] = 1
    return channels, 2 + number % 2


def samples_of(features: DenseFeatures) -> list[Sample]:
    def sample(number: int) -> Sample:
        channels, class_id = drawn(number)
        shape = channels.shape[1:]
        valid = np.ones(shape, bool)
        valid[: 8 * (number == 1)] = False
        image = Image(f"{number}", f"{number}", channels * valid, valid, (0, 1, 2))
        target = WeakTarget(np.zeros(shape, np.uint16), np.zeros(shape, np.int32), np.ones((3, *shape), bool), True)
        labels = WeakLabels(Tags(frozenset({class_id}), frozenset(), True))
        return Sample(image.name, labels, lambda: target, lambda: image, lambda: features(image))

    return [sample(n) for n in range(len(SHAPES))]


def features_in(folder: Path, chosen: Choice, device: str = "cpu") -> DenseFeatures:
    return DenseFeatures(chosen, Context(CLASSES, device), Cache(folder / "cache", folder / "new", 1 << 30))


def method_and_samples(folder: Path, weights: str, cam: str, project_of, device: str = "cpu"):
    plan = plan_of(weights, cam)
    both = choices(plan, project_of(folder).settings)
    features = features_in(folder, both.encoders["cam"], device)
    context = Context(CLASSES, device, encoder=features.encoder, features=features)
    return both.stages["cam"].make(context), samples_of(features)


@pytest.fixture
def project_of():
    opened: list[Project] = []

    def make(folder: Path) -> Project:
        folder.mkdir(parents=True, exist_ok=True)
        opened.append(Project.create(folder / "project", ["background", "disc", "square"]))
        return opened[-1]

    yield make
    for project in opened:
        project.close()


def equal(one: Cam, other: Cam) -> None:
    assert one.classes == other.classes
    np.testing.assert_allclose(one.scores, other.scores, atol=1e-5)
    np.testing.assert_allclose(one.raw_max, other.raw_max, rtol=1e-5)
    assert np.array_equal(one.seeds, other.seeds)


@BOTH
def test_a_batch_gives_what_single_calls_give_in_a_pass_a_view(tmp_path, weights, cam, forwards, project_of, exact):
    alone, samples = method_and_samples(tmp_path / "alone", weights, cam, project_of)
    state = alone.fit(samples)
    single = [alone(s, state) for s in samples]
    together, samples = method_and_samples(tmp_path / "together", weights, cam, project_of)
    forwards.clear()
    batch = together.call_batch(samples, state)
    assert Counter(forwards) == {4: VIEWS, 2: VIEWS}  # four images of one shape, two of the other
    for one, other in zip(single, batch, strict=True):
        equal(one, other)
    assert len({cam.scores.tobytes() for cam in batch}) == len(batch)


@BOTH
def test_training_reads_in_batches_and_learns_the_same(tmp_path, weights, cam, forwards, project_of):
    alone, samples = method_and_samples(tmp_path / "alone", weights, cam, project_of)
    expected = alone.fit(samples)
    assert set(forwards) == {1}
    forwards.clear()
    together, samples = method_and_samples(tmp_path / "together", weights, cam, project_of, "cpu:0")
    state = together.fit(samples)
    assert Counter(forwards) == {4: 2, 2: 2}  # two sizes of each shape; mirror images do not train
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(state[name], value, atol=1e-4)


def test_features_that_are_held_are_not_computed_again(tmp_path, weights, forwards, project_of):
    chosen = choices(plan_of(weights), project_of(tmp_path).settings).encoders["cam"]
    features = features_in(tmp_path, chosen)
    images = [s.image for s in samples_of(features)]
    second = features(images[3])
    forwards.clear()
    found = list(features.several(images))
    assert sorted(forwards) == [2, 3]
    assert np.array_equal(found[3].data, second.data)
    forwards.clear()
    again = list(features_in(tmp_path, chosen).several(images))  # from the disk
    assert not forwards
    assert all(np.array_equal(a.data, b.data) for a, b in zip(found, again, strict=True))


def test_large_images_go_through_the_encoder_alone(tmp_path, weights, forwards, project_of, monkeypatch):
    monkeypatch.setattr("napari_wsss.dense_features._PIXELS_AT_ONCE", 2 * 64 * 96)
    features = features_in(tmp_path, choices(plan_of(weights), project_of(tmp_path).settings).encoders["cam"])
    found = list(features.several([s.image for s in samples_of(features)]))
    assert sorted(forwards) == [2, 2, 2]
    assert [f.data.shape[1:] for f in found] == [(-(-h // 8), -(-w // 8)) for h, w in SHAPES]


class OneByOne:
    """An encoder without ``encode_batch``."""

    model = ""

    def __init__(self):
        self.seen: list[str] = []

    def encode(self, image):
        self.seen.append(image.name)
        return backbone.Features(image.channels[:, ::8, ::8].copy(), 8.0)


def test_an_encoder_without_batches_sees_each_image_once(tmp_path, weights, project_of):
    features = features_in(tmp_path, choices(plan_of(weights), project_of(tmp_path).settings).encoders["cam"])
    features.encoder._made = encoder = OneByOne()
    images = [s.image for s in samples_of(features)]
    found = list(features.several(images))
    assert sorted(encoder.seen) == [image.name for image in images]
    for image, one in zip(images, found, strict=True):
        np.testing.assert_allclose(one.data, image.channels[:, ::8, ::8], atol=1e-3)


def tagged_project(folder: Path) -> Project:
    (folder / "images").mkdir(parents=True)
    for number in range(len(SHAPES)):
        pixels = (drawn(number)[0].transpose(1, 2, 0) * 255).astype(np.uint8)
        Picture.fromarray(pixels).save(folder / "images" / f"{number}.png")
    project = Project.create(folder / "project", ["background", "disc", "square"])
    project.add_images([folder / "images"])
    for number in range(len(SHAPES)):
        if number != 3:
            project.set_tags(f"{number}.png", Tags(frozenset({drawn(number)[1]}), frozenset(), True), BY)
    return project


@BOTH
def test_a_run_takes_a_folder_in_batches(tmp_path, weights, cam, forwards, exact):
    """Image 3 has no tags: it is skipped with one line, and its neighbours still go together."""
    with tagged_project(tmp_path / "a") as project:
        report = run(project, plan_of(weights, cam, device="cpu"))
        single = {name: project.result(name, "cam") for name in report.computed["cam"]}
        assert set(forwards) == {1}
        forwards.clear()
        report = run(project, plan_of(weights, cam, device="cpu:0", again=True))
        assert [line for line in report.skipped if line.startswith("3.png")]
        assert sorted(report.computed["cam"]) == sorted(single)
        assert Counter(forwards) == {3: VIEWS, 2: VIEWS}
        for name, expected in single.items():
            equal(project.result(name, "cam"), expected)


def test_an_image_that_cannot_be_read_does_not_stop_its_batch(tmp_path, weights):
    with tagged_project(tmp_path / "a") as project:
        (tmp_path / "a" / "images" / "1.png").write_bytes(b"no picture")
        report = run(project, plan_of(weights, device="cpu:0"))
        assert sorted(report.computed["cam"]) == ["0.png", "2.png", "4.png", "5.png"]
        assert any("1.png" in line for line in report.failed)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@BOTH
def test_cuda_agrees_with_the_cpu(tmp_path, weights, cam, project_of):
    alone, samples = method_and_samples(tmp_path / "cpu", weights, cam, project_of)
    state = alone.fit(samples)
    on_gpu, others = method_and_samples(tmp_path / "cuda", weights, cam, project_of, "cuda")
    for one, other in zip((alone(s, state) for s in samples), on_gpu.call_batch(others, state), strict=True):
        assert one.classes == other.classes
        np.testing.assert_allclose(one.scores, other.scores, atol=2e-2)
