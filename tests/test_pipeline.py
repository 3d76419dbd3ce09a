"""Stages compute what is out of date and nothing else, the same every time, and say who made what."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from napari_wsss import __version__
from napari_wsss.errors import Cancelled, UsageError
from napari_wsss.pipeline import Plan, accept, run
from napari_wsss.project import Project
from napari_wsss.types import Box, Class, Classes, Mask, Point, Tags
from napari_wsss.weak_labels import compile_target
from tests.toy_projects import BY, QUICK, accuracy, clicks, draw, make, picture, plan, truth


@pytest.fixture
def project(tmp_path: Path):
    with make(tmp_path) as project:
        yield project


def names(report, stage: str) -> list[str]:
    return report.computed[stage]


def bits(project: Project) -> dict[str, np.ndarray]:
    found = {}
    for r in project.records():
        pseudo, refined = project.result(r.name, "pseudo"), project.result(r.name, "refined")
        found[r.name] = np.concatenate([pseudo.probabilities.ravel(), pseudo.labels.ravel(), refined.labels.ravel()])
    return found


def same(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k]) for k in a)


EVERY = ["0.png", "1.png", "2.png"]


def test_masks_come_from_clicks_also_where_nobody_clicked(project):
    report = run(project, plan())
    assert names(report, "pseudo") == names(report, "refine") == EVERY
    for n in range(3):
        assert accuracy(project.result(f"{n}.png", "refined").labels, truth(n)) > 0.9


def test_a_second_run_computes_nothing(project):
    run(project, plan())
    report = run(project, plan())
    assert report.computed == {"cam": [], "pseudo": [], "refine": []}
    assert report.up_to_date["pseudo"] == report.up_to_date["refine"] == 3
    assert report.used == {}


def test_a_new_click_computes_its_own_image_only(project):
    run(project, plan())
    before = bits(project)
    project.add_marks("1.png", [Point(10, 2, 1)], BY)
    report = run(project, plan())
    assert names(report, "pseudo") == names(report, "refine") == ["1.png"]
    after = bits(project)
    assert [k for k in before if not np.array_equal(before[k], after[k])] == ["1.png"]
    project.remove_marks("1.png", [project.marks("1.png")[-1].id], BY)
    assert names(run(project, plan()), "pseudo") == ["1.png"]
    assert same(bits(project), before)


def test_new_tags_are_new_labels(project):
    run(project, plan())
    project.set_tags("2.png", Tags(frozenset({1}), frozenset({2}), True), BY)
    assert names(run(project, plan()), "pseudo") == ["2.png"]
    assert (project.result("2.png", "refined").labels == 1).all()


@pytest.mark.parametrize(
    ("change", "computed"),
    [
        ({"params": {"pseudo": {**QUICK["pseudo"], "margin": "0.2"}}}, ("pseudo", "refine")),
        ({"params": {**QUICK, "refine": {"edge": "2"}}}, ("refine",)),
        ({"params": {**QUICK, "encoder": {"sigma_max": "4"}}}, ("pseudo", "refine")),
        ({"use": {"refine": "par"}}, ("refine",)),
        ({"again": True}, ("pseudo", "refine")),
    ],
)
def test_another_method_or_parameter_computes_every_image_from_that_stage_on(project, change, computed):
    run(project, plan())
    report = run(project, plan(**change))
    assert {stage for stage, done in report.computed.items() if done == EVERY} == set(computed)


@pytest.mark.parametrize(
    "change", [{"seed": 3}, {"point_radius": 2}, {"rgb_channels": (0, 0, 0)}, {"percentiles": (5.0, 95.0)}]
)
def test_another_setting_of_the_project_computes_every_image(project, change):
    run(project, plan())
    before = bits(project)
    project.save_settings(dataclasses.replace(project.settings, **change))
    report = run(project, plan())
    assert names(report, "pseudo") == EVERY
    assert same(bits(project), before) is (change == {"rgb_channels": (0, 0, 0)})


def test_phrases_of_classes_and_the_users_own_knowledge_count(project):
    run(project, plan())
    items = (*project.classes.items[:1], Class(2, "cell", "#ff0000", ("a bright disc",)))
    project.save_settings(dataclasses.replace(project.settings, classes=Classes(items)))
    assert names(run(project, plan()), "pseudo") == EVERY
    (project.folder / "knowledge.toml").write_text('[cell]\nattributes = ["bright"]\n')
    assert names(run(project, plan()), "pseudo") == EVERY


def test_methods_and_parameters_of_the_project_hold_until_the_plan_says_otherwise(project):
    project.save_settings(
        dataclasses.replace(project.settings, use={"refine": "par"}, params={"pooled": QUICK["pseudo"]})
    )
    run(project, Plan(stages=("pseudo", "refine"), device="cpu"))
    assert project.result_provenance("0.png", "refined").name == "refiners/par"
    assert project.result_provenance("0.png", "pseudo").params["size"] == "small"
    run(project, Plan(stages=("refine",), use={"refine": "walker"}, device="cpu"))
    assert project.result_provenance("0.png", "refined").name == "refiners/walker"


def test_equal_input_and_seed_give_equal_bits_from_cold_and_warm_cache(project, tmp_path):
    run(project, plan())
    before = bits(project)
    run(project, plan(again=True))  # features and what was learnt come from the cache
    assert same(bits(project), before)
    shutil.rmtree(project.folder / "cache")
    run(project, plan(again=True))
    assert same(bits(project), before)
    with make(tmp_path / "other") as other:
        run(other, plan())
        assert same(bits(other), before)


def test_only_the_named_images_are_computed(project):
    assert names(run(project, plan(images=["2", "0.png", "2.png"])), "pseudo") == ["2.png", "0.png"]
    assert names(run(project, plan()), "pseudo") == ["1.png"]


def test_what_the_labels_cannot_feed_is_skipped_with_one_line_each_time(tmp_path):
    with make(tmp_path, clicked=0) as project:
        for _ in range(2):
            report = run(project, Plan(params=QUICK, device="cpu"))
            assert report.computed == {"cam": [], "pseudo": [], "refine": []}
            assert [line.split(":")[0] for line in report.skipped[:2]] == ["cam skipped", "pseudo skipped"]
            assert len(report.skipped) == 5  # and refine of each image
        project.add_marks("0.png", clicks(0), BY)
        assert names(run(project, plan()), "refine") == EVERY


def test_cancelling_keeps_what_was_finished(project):
    def stop_at_the_second(done, total, what):
        if what.startswith("pseudo") and done == 1:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        run(project, plan(), stop_at_the_second)
    assert list(project.result_keys("pseudo")) == ["0.png"]
    kept = project.result("0.png", "pseudo").probabilities
    report = run(project, plan())
    assert names(report, "pseudo") == ["1.png", "2.png"]
    run(project, plan(again=True))
    assert np.array_equal(project.result("0.png", "pseudo").probabilities, kept)


def test_what_was_made_says_by_what_and_from_what(project):
    run(project, plan(params={**QUICK, "refine": {"edge": 2.5}}))
    record = project.record("0.png")
    pseudo, refined = (project.result_provenance("0.png", s) for s in ("pseudo", "refined"))
    assert (pseudo.made_by, pseudo.name, pseudo.version) == ("method", "label_models/pooled", __version__)
    assert pseudo.params["size"] == "small"
    assert refined.params["edge"] == 2.5
    assert refined.name == "refiners/embedded"
    for maker in (pseudo, refined):
        assert f"image {record.sha256}" in maker.sources
        assert f"labels {record.labels_digest}" in maker.sources
        assert maker.when.endswith("Z")
    assert any("encoders/filters" in s for s in pseudo.sources)
    accept(project, ["0.png"])
    (accepted,) = project.accepted_provenance("0.png")
    assert (accepted.made_by, accepted.name) == ("person", "accept refined")
    assert "refiners/embedded" in accepted.sources[0]
    assert __version__ in accepted.sources[0]
    assert project.marks("0.png")[0].by == BY


def test_a_model_with_weights_is_named_with_their_hash(project, shared_weights):
    file = next(iter(sorted(shared_weights.glob("mobilenet_v2_imagenet*"))), None)
    if file is None:
        pytest.skip("no MobileNetV2 among the shared weights")
    run(project, plan(encoder="backbone", params={**QUICK, "encoder": {"weights": str(file)}}, stages=("pseudo",)))
    assert "@" in next(s for s in project.result_provenance("0.png", "pseudo").sources if s.startswith("encoder"))


# --------------------------------------------------------------------------- accepting


def test_accepting_a_region_leaves_the_rest(project):
    run(project, plan())
    accepted, lacking = accept(project, ["0.png"], box=(0, 0, 10, 56))
    assert (accepted, lacking) == (["0.png"], [])
    mask = project.accepted("0.png").labels
    assert (mask[:10] == project.result("0.png", "refined").labels[:10]).all()
    assert not mask[10:].any()
    assert accept(project, None, "pseudo")[0] == EVERY


def test_images_without_a_mask_are_told_and_not_accepted(project):
    run(project, plan(images=["0.png"]))
    assert accept(project, None) == (["0.png"], ["1.png", "2.png"])


def test_what_a_person_said_after_the_run_stands_in_what_is_accepted(project):
    run(project, plan())
    y, x = np.argwhere(truth(2) == 2)[0].tolist()
    project.add_marks("2.png", [Point(y, x, 1), Box(0, 0, 3, 3, 2, fill=True)], BY)
    accept(project, None)
    mask = project.accepted("2.png").labels
    assert mask[y, x] == 1
    assert (mask[:3, :3] == 2).all()


def test_accepting_again_keeps_the_objects_that_a_person_gave(project):
    labels = truth(0).astype(np.uint16)
    project.accept("0.png", Mask(labels, np.where(labels == 2, 7, 0).astype(np.uint32)), BY)
    run(project, plan())
    accept(project, ["0.png"])
    mask = project.accepted("0.png")
    assert np.array_equal(mask.labels, labels)
    assert set(np.unique(mask.instances)) == {0, 7}


# --------------------------------------------------------------------------- pixels that a person gave, and nodata


@pytest.mark.parametrize("method", ["pooled", "agmm"])
@pytest.mark.parametrize("refiner", ["walker", "random_walker", "par"])
def test_what_a_person_gave_is_never_changed(project, method, refiner):
    y, x = np.argwhere(truth(1) == 2)[30].tolist()
    project.add_marks("1.png", [Point(y, x, 1), Box(0, 0, 4, 9, 2, fill=True)], BY)
    params = QUICK if method == "pooled" else {}
    run(project, plan(use={"pseudo": method, "refine": refiner}, params=params))
    seed = compile_target(project.labels("1.png"), project.classes, truth(1).shape).seed
    assert (seed > 0).sum() > 60
    for stage in ("pseudo", "refined"):
        labels = project.result("1.png", stage).labels
        assert (labels == seed)[seed > 0].all()
    accept(project, None)
    assert (project.accepted("1.png").labels == seed)[seed > 0].all()


def test_nodata_is_never_labelled_anywhere(tmp_path):
    folder = draw(tmp_path / "images", 2, channels=3)
    rgba = np.dstack([picture(0, channels=3), np.full(truth(0).shape, 255, np.uint8)])
    rgba[:, 40:, 3] = 0
    Picture.fromarray(rgba).save(folder / "0.png")
    with Project.create(tmp_path / "project", ["background", "cell"]) as project:
        project.add_images([folder])
        for n in range(2):
            project.add_marks(f"{n}.png", [*clicks(n), Point(20, 50, 2)], BY)
        run(project, plan())
        accept(project, None)
        for labels in (
            project.result("0.png", "pseudo").labels,
            project.result("0.png", "refined").labels,
            project.accepted("0.png").labels,
        ):
            assert not labels[:, 40:].any()
            assert labels[:, :40].any()
        assert not project.result("0.png", "pseudo").probabilities[:, :, 40:].any()


# --------------------------------------------------------------------------- unlike images together


def test_images_of_any_size_in_one_project(tmp_path):
    with make(tmp_path, 2, 2) as project:
        shapes = {"wide.png": (33, 90), "small.png": (1, 1), "thin.png": (64, 2)}
        for name, shape in shapes.items():
            values = np.random.default_rng(0).integers(40, 200, shape, dtype=np.uint8)
            Picture.fromarray(values).save(tmp_path / "images" / name)
        assert len(project.add_images([tmp_path / "images"]).added) >= 2
        report = run(project, plan())
        assert not report.failed
        for r in project.records():
            assert project.result(r.name, "refined").labels.shape == r.shape


def test_grey_and_colour_images_are_learnt_each_from_their_like(tmp_path):
    with make(tmp_path, 2, 2) as project:
        draw(tmp_path / "colour", 2, channels=3, first=10)
        project.add_images([tmp_path / "colour"])
        report = run(project, plan())
        assert names(report, "pseudo") == ["0.png", "1.png"]
        assert len([line for line in report.skipped if line.startswith("pseudo skipped")]) == 1
        project.add_marks("10.png", clicks(10), BY)
        report = run(project, plan())
        assert not report.failed
        assert names(report, "pseudo") == ["10.png", "11.png"]
        for n in (0, 1, 10, 11):
            assert accuracy(project.result(f"{n}.png", "refined").labels, truth(n)) > 0.9


def test_tags_of_grey_and_colour_images_feed_the_maps(tmp_path):
    draw(tmp_path / "images", 3)
    draw(tmp_path / "images", 3, channels=3, first=10)
    with Project.create(tmp_path / "project", ["background", "cell"]) as project:
        project.add_images([tmp_path / "images"])
        for n in (0, 1, 2, 10, 11, 12):
            present = frozenset({1, 2} if n % 2 == 0 else {1})
            project.set_tags(f"{n}.png", Tags(present, frozenset(), True), BY)
        report = run(project, Plan(params=QUICK, device="cpu"))
        assert not report.failed
        assert len(names(report, "cam")) == 6


# --------------------------------------------------------------------------- wrong plans


@pytest.mark.parametrize(
    "change",
    [
        {"stages": ("dream",)},
        {"use": {"dream": "agmm"}},
        {"use": {"pseudo": "oracle"}},
        {"encoder": "oracle"},
        {"params": {"dream": {"a": 1}}},
        {"params": {"refine": {"depth": 1}}},
        {"params": {"pseudo": {"margin": "wide"}}},
        {"images": ["nine"]},
    ],
)
def test_a_plan_that_cannot_be_meant_is_refused_before_anything_is_computed(project, change):
    with pytest.raises(UsageError):
        run(project, plan(**change))
    assert project.result_keys("pseudo") == {}


# --------------------------------------------------------------------------- encoders of stages


@pytest.fixture
def tagged(tmp_path: Path):
    """Four pictures with clicks and complete tags, two of them without a cell: every stage can be fed."""
    with make(tmp_path, count=4, clicked=2) as project:
        for n, present in enumerate(({1, 2}, {1, 2}, {1}, {1})):
            project.set_tags(f"{n}.png", Tags(frozenset(present), frozenset(), True), BY)
        yield project


def test_maps_and_pseudo_labels_are_made_from_features_of_their_own(tagged):
    report = run(tagged, Plan(params=QUICK))
    words = report.used["encoder"]
    assert words.startswith("fused (embedded@")
    assert words.endswith(" for cam, else filters")
    made = {stage: tagged.result_provenance("0.png", stage).sources[-1] for stage in ("cam", "pseudo")}
    assert made["cam"].startswith("encoder encoders/fused{} fused (embedded@")
    assert made["pseudo"] == "encoder encoders/filters{} filters"


def test_a_stage_that_could_not_be_fed_is_not_told_as_used(project):
    report = run(project, Plan(params=QUICK))
    assert report.computed["cam"] == []
    assert list(report.used) == ["device", "pseudo", "refine", "encoder"]
    assert report.used["encoder"] == "filters"


def test_one_named_encoder_serves_every_stage(tagged):
    assert run(tagged, Plan(encoder="filters", params=QUICK)).used["encoder"] == "filters"
    again = run(tagged, Plan(encoder="filters", params={**QUICK, "encoder": {"sigma_max": "4"}}))
    assert len(again.computed["cam"]) == len(again.computed["pseudo"]) == 4


def test_another_setting_of_the_pseudo_labels_encoder_leaves_the_maps(tagged):
    run(tagged, Plan(params=QUICK))
    report = run(tagged, Plan(params={**QUICK, "filters": {"sigma_max": "4"}}))
    assert (report.computed["cam"], len(report.computed["pseudo"])) == ([], 4)
    report = run(tagged, Plan(params={**QUICK, "fused": {"stride": "8"}}))
    assert len(report.computed["cam"]) == 4
