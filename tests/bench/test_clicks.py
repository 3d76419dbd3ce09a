"""``bench clicks``: which objects, what each method sees, what is stored, and the rows."""

from __future__ import annotations

import json
from importlib.util import find_spec

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Picture

from napari_wsss import pictures, segment
from napari_wsss.bench import Setting, _objects, _worst, clicks, measure
from napari_wsss.bench import _rivals as classical
from napari_wsss.bench._click_store import ClickStore
from napari_wsss.bench._sets import read_set
from napari_wsss.cli import main
from napari_wsss.errors import MissingModel, UsageError, WsssError
from napari_wsss.evaluation.clicks import Click, iou
from napari_wsss.models.prompts import Embedding, Prediction
from napari_wsss.types import Image

CONTRACT = ["set", "what", "method", "value", "unit", "reference", "ratio"]
CLASSICAL = ["random_walker", "watershed", "chan_vese", *(["grabcut"] if find_spec("cv2") else [])]
SIDE = 60


def write_set(folder, classes, mask, instances=None, images=1):
    """A set whose images are bright discs and squares where the mask is not 1."""
    for part in ("images", "masks", *([] if instances is None else ["instances"])):
        (folder / part).mkdir(parents=True)
    for n in range(images):
        grey = np.where(mask == 1, 60, 200) + np.random.default_rng(n).integers(0, 9, mask.shape)
        Picture.fromarray(grey.astype(np.uint8)).save(folder / "images" / f"im{n}.png")
        Picture.fromarray(mask.astype(np.uint8)).save(folder / "masks" / f"im{n}.png")
        if instances is not None:
            Picture.fromarray(instances.astype(np.uint16)).save(folder / "instances" / f"im{n}.png")
    (folder / "classes.txt").write_text("\n".join(classes) + "\n")
    (folder / "test.txt").write_text("\n".join(f"im{n}" for n in range(images)) + "\n")
    return folder


@pytest.fixture
def two_squares():
    mask = np.ones((SIDE, SIDE), np.uint8)
    mask[5:15, 5:15], mask[30:50, 30:50] = 2, 3
    return mask


@pytest.fixture
def small_set(tmp_path, two_squares):
    instances = np.where(two_squares == 2, 1, np.where(two_squares == 3, 2, 0))
    return write_set(tmp_path / "squares", ["background", "small", "large"], two_squares, instances)


def chosen(folder, wanted=None, **more):
    return _objects.choose(read_set(folder, "test"), wanted, **more)


# --------------------------------------------------------------------------- objects


def test_objects_are_those_with_ids(small_set):
    found = chosen(small_set)
    assert [(t.area, t.box) for t in found] == [(100, (5, 5, 15, 15)), (400, (30, 30, 50, 50))]
    assert all(t.truth.sum() == t.area for t in found)
    assert len({t.key for t in found}) == 2


def test_a_class_can_be_asked_for(small_set):
    assert [t.area for t in chosen(small_set, "large")] == [400]
    assert len(chosen(small_set, "elsewhere")) == 2


def test_without_ids_a_set_with_background_has_one_object_an_image_and_unlabelled_pixels_are_not_scored(
    tmp_path, two_squares
):
    two_squares[29, 29:51] = 0
    (target,) = chosen(write_set(tmp_path / "pets", ["background", "cat", "dog"], two_squares))
    assert target.area == 500
    assert target.box == (5, 5, 50, 50)
    assert np.array_equal(target.scored, two_squares > 0)


def test_without_ids_mitochondria_go_before_all_and_else_every_region_is_an_object(tmp_path, two_squares):
    cells = write_set(tmp_path / "em", ["membrane", "mitochondrion", "synapse"], two_squares)
    assert [t.area for t in chosen(cells)] == [100]
    land = write_set(tmp_path / "land", ["field", "water", "road"], two_squares)
    assert sorted(t.area for t in chosen(land)) == [100, 400, SIDE**2 - 500]


def test_objects_under_thirty_pixels_are_left_out(tmp_path):
    mask = np.ones((SIDE, SIDE), np.uint8)
    mask[5:10, 5:10] = 2
    folder = write_set(tmp_path / "tiny", ["background", "spot"], mask)
    with pytest.raises(UsageError, match="no object of at least 30 pixels"):
        chosen(folder)


@given(st.lists(st.integers(30, 5000), min_size=1, max_size=300), st.integers(1, 120), st.integers(0, 9))
def test_as_many_objects_of_each_third_of_the_areas_the_same_each_time(areas, most, seed):
    areas = np.array(areas)
    one, other = (_objects.sample(areas, most, seed) for _ in range(2))
    assert one == other == sorted(set(one))
    assert len(one) == min(most, len(areas))
    thirds = np.array_split(np.argsort(areas, kind="stable"), 3)
    counts = [len(set(third) & set(one)) for third in thirds]
    assert max(counts) - min(counts) <= 1


def test_the_drawn_sets_hold_objects(tmp_path):
    for folder in _objects.write_drawn(tmp_path, count=1):
        assert len(chosen(folder)) > 10


# --------------------------------------------------------------------------- rivals


def disc_image(side=90, radius=12, noise=0.02):
    rows, columns = np.ogrid[:side, :side]
    truth = (rows - side // 2) ** 2 + (columns - side // 2) ** 2 <= radius**2
    grey = np.where(truth, 0.8, 0.3) + np.random.default_rng(0).normal(0, noise, truth.shape)
    channels = np.clip(grey, 0, 1).astype(np.float32)[None]
    return Image("disc", "disc", channels, np.ones(truth.shape, bool), (0, 0, 0)), truth


def test_a_crop_is_three_times_the_box_as_far_as_the_image_goes():
    image, _ = disc_image()
    part = classical.crop(image, (40, 40, 50, 60))
    assert part.box == (30, 20, 60, 80)
    assert part.frame.sum() == 2 * (30 + 60) - 4
    corner = classical.crop(image, (0, 80, 10, 90))
    assert corner.box == (0, 70, 20, 90)
    assert not corner.frame[0, 1:].any()
    assert corner.frame[-1].all()
    assert corner.frame[:, 0].all()
    assert classical.crop(image, (0, 0, 90, 90)).frame.sum() == 4 * 90 - 4


def test_a_large_crop_is_scaled_and_its_mask_scaled_back():
    image, truth = disc_image(600, 90)
    part = classical.crop(image, (210, 210, 391, 391))
    assert max(part.colours.shape[:2]) == classical.LONGEST
    assert part.cells([Click(300, 300, True)])[0][:2] == (79, 79)
    bright = part.colours[..., 0] > 0.55
    assert iou(part.in_image(bright), truth, np.ones_like(truth)) > 0.95


def test_seeds_are_discs_of_the_nearest_click_over_the_frame():
    image, _ = disc_image()
    part = classical.crop(image, (40, 40, 50, 50))
    marks = classical.seeds(part, [Click(45, 45, True), Click(45, 48, False)], 3)
    assert set(np.unique(marks)) == {0, 1, 2}
    assert marks[15, 15] == 1
    assert marks[15, 18] == 2
    assert marks[15, 16] == 1
    assert marks[15, 17] == 2
    assert (marks[part.frame] == 2).all()


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_rival_finds_a_plain_disc_from_one_click_and_the_same_each_time(name):
    image, truth = disc_image()
    method = clicks.Rival(name, classical.rivals()[name])
    one, other = (method.begin(image, (33, 33, 58, 58))([Click(45, 45, True)]) for _ in range(2))
    assert np.array_equal(one, other)
    assert iou(one, truth, np.ones_like(truth)) > 0.9


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_rival_takes_clicks_back_and_never_answers_outside_its_crop(name):
    image, _ = disc_image(noise=0.1)
    answer = clicks.Rival(name, classical.rivals()[name]).begin(image, (33, 33, 58, 58))
    given = [Click(45, 45, True), Click(45, 70, False), Click(30, 45, False), Click(40, 50, True)]
    masks = [answer(given[: n + 1]) for n in range(4)]
    assert not any(mask[:8].any() or mask[:, :8].any() for mask in masks)
    assert masks[-1][45, 45]
    assert not masks[-1][45, 70]


@pytest.mark.parametrize("name", CLASSICAL)
@pytest.mark.parametrize("box", [(0, 0, 3, 4), (44, 44, 46, 46), (0, 0, 90, 90)])
def test_a_rival_stands_tiny_crops_and_clicks_everywhere(name, box):
    image, _ = disc_image()
    answer = clicks.Rival(name, classical.rivals()[name]).begin(image, box)
    y, x = box[0], box[1]
    given = [Click(y + n // 2, x + n % 2, n != 1) for n in range(4)]
    for n in range(4):
        assert answer(given[: n + 1]).shape == image.shape


def test_filling_holes_obeys_a_click_in_the_hole():
    image, _ = disc_image()
    part = classical.crop(image, (40, 40, 50, 50))
    ring = np.zeros(part.frame.shape, bool)
    ring[5:20, 5:20], ring[10:15, 10:15] = True, False
    ring[25:28, 25:28] = True
    on, off = Click(36, 36, True), Click(42, 42, False)
    assert classical.kept(ring, part, [on]).sum() == 225
    assert classical.kept(ring, part, [on, off]).sum() == 200


def test_without_opencv_there_is_no_grabcut_and_one_line_says_so(monkeypatch, small_set, tmp_path):
    monkeypatch.setattr(classical, "find_spec", lambda name: None)
    said: list[str] = []
    rows = list(measured(small_set, tmp_path, note=said.append))
    assert "grabcut" not in {row.method for row in rows}
    assert [line for line in said if "grabcut" in line and "OpenCV is not installed" in line]


# --------------------------------------------------------------------------- ours


class Echo:
    """A predictor that proposes nothing, the clicked square, and everything; remembers what it was asked."""

    model, side, second_look = "echo@1", 8, None

    def __init__(self):
        self.prompts, self.embedded = [], []

    def embed(self, image):
        self.embedded.append(image)
        return Embedding(image.channels, image.shape)

    def predict(self, embedding, prompt):
        self.prompts.append(prompt)
        masks = np.zeros((3, *embedding.shape), bool)
        for y, x in prompt.points[prompt.positive]:
            masks[1, max(0, y - 3) : y + 4, max(0, x - 3) : x + 4] = True
        masks[2] = True
        lowres = np.stack([np.full((8, 8), n, np.float32) for n in range(3)])
        return Prediction(masks, np.array([0.9, 0.5, 0.7], np.float32), lowres)


def test_of_the_proposals_the_most_obedient_one_is_taken_then_the_best_and_its_logits_go_on():
    image, _ = disc_image()
    predictor = Echo()
    embedding = predictor.embed(image)
    first = segment.next_answer(predictor, embedding, [(45, 45, True)])
    assert first.mask.all()
    assert first.logits[0, 0] == 2
    second = segment.next_answer(predictor, embedding, [(45, 45, True), (5, 5, False)], None, first)
    assert second.mask.sum() == 49
    assert second.logits[0, 0] == 1
    assert predictor.prompts[0].mask_logits is None
    assert predictor.prompts[1].mask_logits[0, 0] == 2
    assert predictor.prompts[1].points.tolist() == [[45, 45], [5, 5]]
    assert predictor.prompts[1].positive.tolist() == [True, False]


def test_it_is_the_mask_that_segment_makes():
    image, _ = disc_image()
    predictor = segment.predictor("random_walker", "cpu")
    said = [Click(45, 45, True), Click(5, 5, False), Click(47, 45, True)]
    answer = clicks.Prompted("ours", predictor).begin(image, (40, 40, 50, 50))
    for n in range(1, 4):
        assert np.array_equal(answer(said[:n]), segment.segment(image, [tuple(c) for c in said[:n]], [], predictor))


def test_a_model_embeds_an_image_once_and_sees_all_of_it(small_set):
    predictor = Echo()
    method = clicks.Prompted("ours", predictor)
    image, other = disc_image()[0], disc_image(80)[0]
    for shown in (image, image, other):
        method.begin(shown, (40, 40, 50, 50))([Click(45, 45, True)])
    assert predictor.embedded == [image, other]
    assert all(prompt.mask_logits is None for prompt in predictor.prompts)
    assert method.embedding_seconds() is not None


def test_the_version_of_a_model_tells_its_weights_and_its_code(monkeypatch):
    one = clicks.Prompted("ours", Echo()).version
    monkeypatch.setattr(Echo, "model", "echo@2")
    assert clicks.Prompted("ours", Echo()).version != one
    assert classical.settings(classical.Watershed()) != classical.settings(classical.Watershed(sigma=3))


# --------------------------------------------------------------------------- the table


def measured(folder, out, **more):
    return measure("clicks", Setting(sets=(folder,), model="random_walker", results=out, **more))


@pytest.fixture(autouse=True)
def no_sam(monkeypatch, tmp_path):
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path / "home"))


def test_rows_of_the_contract_and_the_best_rival_is_the_reference(small_set, tmp_path):
    rows = list(measured(small_set, tmp_path))
    assert all(list(row.as_json()) == CONTRACT for row in rows)
    assert {row.method for row in rows} == {"ours", *CLASSICAL}
    by = {(row.method, row.what): row for row in rows}
    for what, best in (("iou@1", max), ("iou@3", max), ("iou@5", max), ("noc@85", min), ("noc@90", min)):
        theirs = best(by[name, what].value for name in CLASSICAL)
        own = by["ours", what]
        assert own.reference == theirs
        assert own.ratio == pytest.approx(own.value / theirs if best is max else theirs / own.value)
    assert by["ours", "objects"].value == 2
    assert {"failures@85", "failures@90", "click_seconds", "embedding_seconds"} <= {row.what for row in rows}


def test_what_was_simulated_is_not_simulated_again(small_set, tmp_path, monkeypatch):
    first = list(measured(small_set, tmp_path))
    monkeypatch.setattr(clicks, "simulate", lambda *a, **k: pytest.fail("simulated again"))
    assert list(measured(small_set, tmp_path)) == first


def test_an_interrupted_table_goes_on_and_a_line_that_was_cut_off_is_made_again(small_set, tmp_path, monkeypatch):
    first = list(measured(small_set, tmp_path))
    file = tmp_path / "clicks.jsonl"
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:3]) + lines[3][:40])
    calls, simulate = [], clicks.simulate
    monkeypatch.setattr(clicks, "simulate", lambda *a, **k: calls.append(1) or simulate(*a, **k))
    again = list(measured(small_set, tmp_path))
    assert len(calls) == len(lines) - 3
    timeless = [[row for row in rows if "seconds" not in row.what] for rows in (first, again)]
    assert timeless[0] == timeless[1]
    assert len(file.read_text().splitlines()) == len(lines)


def test_other_settings_of_a_rival_are_simulated_anew(small_set, tmp_path, monkeypatch):
    list(measured(small_set, tmp_path))
    count = len((tmp_path / "clicks.jsonl").read_text().splitlines())
    changed = {**classical.rivals(), "watershed": classical.Watershed(sigma=2.5)}
    monkeypatch.setattr(clicks, "rivals", lambda: changed)
    list(measured(small_set, tmp_path))
    assert len((tmp_path / "clicks.jsonl").read_text().splitlines()) == count + 2


def test_a_file_of_something_else_is_refused(tmp_path):
    (tmp_path / "clicks.jsonl").write_text('{"answer": 42}\n')
    with pytest.raises(WsssError, match=r"clicks\.jsonl, line 1: is no result"):
        ClickStore(tmp_path)


def test_jittered_annotators_give_mean_and_deviation(small_set, tmp_path):
    rows = {(row.method, row.what): row for row in measured(small_set, tmp_path, jitter=2)}
    file = [json.loads(line) for line in (tmp_path / "clicks.jsonl").read_text().splitlines()]
    own = [np.mean([s["ious"][0] for s in file if s["method"] == "watershed" and s["annotator"] == n]) for n in (0, 1)]
    assert rows["watershed", "iou@1_jittered"].value == pytest.approx(np.mean(own))
    assert rows["watershed", "std_of_iou@1_jittered"].value == pytest.approx(np.std(own))


def test_the_command_prints_the_rows_and_what_is_left_out(small_set, tmp_path, capsys):
    command = ["bench", "clicks", "--set", str(small_set), "--model", "random_walker", "--class", "large"]
    assert main([*command, "--out", str(tmp_path / "out"), "--json"]) == 0
    said = capsys.readouterr()
    rows = json.loads(said.out)["rows"]
    assert {row["set"] for row in rows} == {"squares"}
    assert next(row["value"] for row in rows if row["what"] == "objects") == 1
    assert "no rows of a SAM" in said.err


def test_a_class_of_no_set_and_a_model_that_is_not_there_are_one_line(small_set, tmp_path):
    with pytest.raises(UsageError, match=r"no set has a class 'whale'; they have: background, large, small"):
        list(measured(small_set, tmp_path, of_class="whale"))
    with pytest.raises(MissingModel, match="mobile_sam"):
        list(measure("clicks", Setting(sets=(small_set,), model="mobile_sam", results=tmp_path)))


def test_real_nuclei_cost_a_rival_fewer_clicks_than_the_cap(shared_data):
    found = chosen(shared_data / "nuclei_fluo", most=6)
    method = clicks.Rival("watershed", classical.Watershed())
    for target in found:
        answer = method.begin(_objects.load_image(target.image), target.box)
        ious = clicks.simulate(target.truth, target.scored, answer)
        assert max(ious) > 0.6


# --------------------------------------------------------------------------- what fails


def test_the_hardest_objects_are_those_with_the_least_mean_over_the_first_clicks():
    simulations = [(0.9,), (0.1, 0.2, 0.9, 0.9, 0.9), (0.1, 0.1, 0.1, 0.1, 0.1, 0.95), (0.5, 0.8, 0.9)]
    assert _worst.hardest(simulations, 3) == [2, 1, 3]
    assert len(_worst.hardest(simulations, 9)) == 4


def test_the_hardest_objects_are_drawn_beside_the_stored_rows(small_set, tmp_path, capsys):
    out = tmp_path / "results"
    assert main(["bench", "clicks", "--set", str(small_set), "--out", str(out), "--worst", "1", "--json"]) == 0
    assert "the 1 hardest objects" in capsys.readouterr().err
    (file,) = (out / "worst").iterdir()
    sheet = np.asarray(Picture.open(file)).astype(int)
    assert file.name == "squares.png"
    assert sheet.shape[1] > 2 * sheet.shape[0]  # truth and two answers side by side
    outline = np.abs(sheet - np.array(pictures.CHANGED)).max(2) < 40
    thirds = np.array_split(outline, 3, axis=1)
    assert all(third.any() for third in thirds)
