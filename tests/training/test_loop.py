"""The loop: learns, resumes to the same bits, picks up masks, keeps held-out images out, steps aside."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Picture

from napari_wsss.errors import Cancelled, UsageError, WsssError
from napari_wsss.prediction import predict
from napari_wsss.project import Project
from napari_wsss.trained import read_marked, read_trained
from napari_wsss.training.gallery import Gallery
from napari_wsss.training.learner import KIND as CHECKPOINT_KIND
from napari_wsss.training.loop import train
from napari_wsss.training.run_folder import RunFolder, runs
from napari_wsss.types import Mask
from tests.toy_projects import BY, truth
from tests.training.toy import QUICK, accepted, clicked, squares_and_discs

ROOT = Path(__file__).parents[2]


def weights(run: RunFolder) -> dict[str, torch.Tensor]:
    return read_trained(run.weights).network.state_dict()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_an_image_is_loaded_once_unless_it_has_other_channels_than_most(tmp_path, monkeypatch):
    loaded: list[str] = []
    load = Gallery._load
    monkeypatch.setattr(Gallery, "_load", lambda self, name: loaded.append(name) or load(self, name))
    with accepted(tmp_path, count=5) as project:
        odd = "odd.png"
        file = Path(project.record("4.png").file)
        Picture.open(file).convert("RGB").save(file.with_name(odd))
        project.add_images([file.with_name(odd)])
        project.accept(odd, Mask(truth(4).astype(np.uint16)), BY)
        train(project, replace(QUICK, steps=8), device="cpu")
        usual = [name for name in loaded if name != odd]
        assert len(usual) == len(set(usual))
        assert loaded.count(odd) == 2


def test_a_run_interrupted_and_resumed_ends_with_the_same_weights(tmp_path):
    with accepted(tmp_path / "a") as project:
        train(project, replace(QUICK, unlabelled="cw-bass", unlabelled_from=0.2, gaussian=0.1), device="cpu")
        whole = weights(runs(project.folder)[0])
    with accepted(tmp_path / "b") as project:

        def stop(done: int, total: int, what: str) -> None:
            if what.startswith("step 3"):
                raise Cancelled("enough")

        settings = replace(QUICK, unlabelled="cw-bass", unlabelled_from=0.2, gaussian=0.1)
        with pytest.raises(Cancelled):
            train(project, settings, device="cpu", progress=stop)
        report = train(project, QUICK, device="cpu", resume=True)
        assert report.steps == 6
        assert len(runs(project.folder)) == 1
        assert same(whole, weights(runs(project.folder)[0]))
        steps = [line["step"] for line in runs(project.folder)[0].metrics() if "loss" in line]
        assert steps == [1, 2, 3, 4, 5, 6]


def test_a_step_that_was_interrupted_is_done_again(tmp_path, monkeypatch):
    from napari_wsss.training import loop

    with accepted(tmp_path / "a") as project:
        train(project, replace(QUICK, save_every=0.0), device="cpu")
        whole = weights(runs(project.folder)[0])
    real, calls = loop.do_step, []

    def interrupted(*arguments):
        losses = real(*arguments)
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return losses

    with accepted(tmp_path / "b") as project:
        monkeypatch.setattr(loop, "do_step", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train(project, replace(QUICK, save_every=0.0), device="cpu")
        monkeypatch.setattr(loop, "do_step", real)
        assert train(project, replace(QUICK, save_every=0.0), device="cpu", resume=True).steps == 6
        assert same(whole, weights(runs(project.folder)[0]))


@pytest.mark.parametrize(
    "changes",
    [
        {"unlabelled": "unimatch", "unlabelled_from": 0.0},
        {"unlabelled": "cw-bass", "unlabelled_from": 0.0, "content_check": False},
        {"hardness": True, "gaussian": 0.1},
        {"dice": 0.0, "balance": False, "allowed": 0.0, "noisy": 0.0},
        {"segmenter": "frozen", "unlabelled": "unimatch", "unlabelled_from": 0.0},
    ],
)
def test_every_part_can_be_switched_and_gives_finite_losses(tmp_path, changes):
    with accepted(tmp_path, accept=3) as project:
        train(project, replace(QUICK, steps=2, **changes), device="cpu")
        lines = [line for line in runs(project.folder)[0].metrics() if "loss" in line]
        assert all(np.isfinite(value) for line in lines for value in line.values())
        named = set().union(*lines)
        assert ("consistency" in named) == (changes.get("unlabelled") == "unimatch")
        assert ("self_training" in named) == (changes.get("unlabelled") == "cw-bass")
        assert ("hardness" in named) == changes.get("hardness", False)
        assert ("dice" in named) == (changes.get("dice", 1) > 0)


def test_a_compiled_student_learns_the_same_and_its_weights_are_like_any_others(tmp_path, monkeypatch, count):
    """The whole way of torch.compile takes minutes on a CPU; its tracing alone shows that the networks can go it."""
    real, backends = torch.nn.Module.compile, []

    def traced(module, **options):
        backends.append(count("eager", "inductor"))
        return real(module, backend=backends[-1], **options)

    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    found = []
    for compiled in (False, True):
        with accepted(tmp_path / str(compiled), 2, 2) as project:
            report = train(project, replace(QUICK, steps=2, compile=compiled), device="cpu")
            assert ("compiled" in report.used) == compiled
            assert report.used.startswith("cpu (")
            found.append(weights(runs(project.folder)[0]))
            assert train(project, replace(QUICK, steps=3), device="cpu", resume=True).steps == 3
    assert len(backends) == 2  # the one that was asked for it, and where it went on
    assert found[0].keys() == found[1].keys()
    assert all(torch.allclose(found[0][name], found[1][name], atol=1e-2) for name in found[0])


def test_without_a_rate_nothing_changes(tmp_path):
    with accepted(tmp_path) as project:
        train(project, replace(QUICK, steps=1, rate=0.0, decay=0.0), device="cpu")
        train(project, replace(QUICK, steps=4, rate=0.0, decay=0.0), device="cpu")
        first, second = runs(project.folder)
        assert same(weights(first), weights(second))


def test_shapes_are_learnt_where_colour_is_useless_and_not_from_shuffled_masks(tmp_path, count):
    """Against the best that a pixel's own brightness can tell, which is one shape for both."""
    steps = count(500, 800)  # half precision, where the processor has it, needs more than 300
    found = {}
    for shuffled in (False, True):
        project, truths = squares_and_discs(tmp_path / str(shuffled), 24, shuffled)
        with project:
            settings = replace(QUICK, steps=steps, tile=64, batch=4, check_every=1000, rate=1e-2)
            train(project, settings, device="cpu")
            predict(project, device="cpu")
            hits = [
                (project.result(name, "predicted").labels == k)[labels == k].mean()
                for name, labels in truths.items()
                for k in (2, 3)
            ]
        found[shuffled] = float(np.mean(hits))
    assert found[False] > by_colour(tmp_path / "False", truths) + 0.2
    assert found[True] < found[False] - 0.2


def test_scenes_that_have_an_up_are_learnt_by_height_alone(tmp_path, count):
    """Noise over noise, the upper class always above: only where a pixel lies tells its class.

    The head sees a few pixels at a time: what sees more would know the height by the distance to the sides.
    """
    truths = {}
    (tmp_path / "images").mkdir()
    for n in range(6):
        values = np.random.default_rng(n).integers(0, 255, (96, 128)).astype(np.uint8)
        Picture.fromarray(values).save(tmp_path / "images" / f"{n}.png")
        truths[f"{n}.png"] = np.where(np.arange(96)[:, None] < 40 + 3 * n, 1, 2).repeat(128, 1).astype(np.uint16)
    right, steps = {}, count(120, 300)
    for placed in ("auto", "no"):
        with Project.create(tmp_path / placed, ["above", "below"]) as project:
            project.add_images([tmp_path / "images"])
            for name, labels in list(truths.items())[:5]:
                project.accept(name, Mask(labels), BY)
            train(project, replace(QUICK, segmenter="frozen", steps=steps, placed=placed, flips="auto"), device="cpu")
            predict(project, ["5.png"], device="cpu", views=2)
            right[placed] = float((project.result("5.png", "predicted").labels == truths["5.png"]).mean())
    assert right["auto"] > 0.85
    assert right["no"] < right["auto"] - 0.1


def by_colour(folder: Path, truths: dict[str, np.ndarray]) -> float:
    """Recall of both shapes by the most frequent class of each grey value, on the very pixels it was counted on."""
    grey = np.concatenate([np.array(Picture.open(folder / "images" / n)).ravel() // 4 for n in truths])
    ids = np.concatenate([labels.ravel() for labels in truths.values()])
    counts = np.zeros((64, 4))
    np.add.at(counts, (grey, ids), 1)
    answer = counts.argmax(1)[grey]
    return float(np.mean([(answer[ids == k] == k).mean() for k in (2, 3)]))


def test_pixels_that_nobody_labelled_are_never_background(tmp_path, monkeypatch):
    """What reaches the losses holds the click and nothing else; the losses' own tests show that 0 teaches nothing."""
    from napari_wsss.training import loop

    tiles = []
    cut_tiles = loop.cut

    def watched(*arguments):
        tiles.append(cut_tiles(*arguments))
        return tiles[-1]

    monkeypatch.setattr(loop, "cut", watched)
    with clicked(tmp_path) as project:
        train(project, replace(QUICK, steps=4), device="cpu")
    assert len(tiles) >= 4
    assert {int(v) for tile in tiles for v in np.unique(tile.seed)} == {0, 2}
    assert all((tile.seed > 0).any() for tile in tiles)  # and no tile is cut for nothing
    assert not any(tile.noisy.any() for tile in tiles)
    assert all(tile.allow.all() for tile in tiles)


def test_held_out_images_choose_the_weights_and_are_never_trained_on(tmp_path, monkeypatch):
    from napari_wsss.training import loop

    seen: set[str] = set()
    cut_tiles = loop.cut

    def watched(shown, box, classes):
        seen.add(shown.name)
        return cut_tiles(shown, box, classes)

    monkeypatch.setattr(loop, "cut", watched)
    with accepted(tmp_path, 8, 8) as project:
        report = train(project, replace(QUICK, held_out=0.3, unlabelled="cw-bass", unlabelled_from=0.0), device="cpu")
        held = loop.snapshot(project, 0.3, 0, True).held_out
    assert report.held_out == len(held) > 0
    assert not seen & set(held)
    assert seen | set(held) == {f"{n}.png" for n in range(8)}
    assert 0 < report.miou <= 1


def test_masks_accepted_meanwhile_join_without_a_restart(tmp_path):
    with accepted(tmp_path, 6, 2) as project:
        accepted_then = []

        def person(done: int, total: int, what: str) -> None:
            if what.startswith("step 2") and not accepted_then:
                accepted_then.append(1)
                with Project.open(project.folder) as window:
                    window.accept("5.png", Mask(truth(5).astype(np.uint16)), BY)

        report = train(project, replace(QUICK, steps=12), device="cpu", progress=person)
        assert report.images == 3


def test_a_stop_file_ends_the_run_after_a_checkpoint(tmp_path):
    with accepted(tmp_path) as project:

        def asked(done: int, total: int, what: str) -> None:
            if what.startswith("step 2"):
                (project.folder / "runs" / "stop").touch()

        report = train(project, QUICK, device="cpu", progress=asked)
        assert (report.ended, report.steps) == ("stopped", 2)
        assert report.weights.is_file()
        assert train(project, QUICK, device="cpu", resume=True).steps == 6


def test_what_cannot_be_done_is_said_in_one_line(tmp_path):
    with accepted(tmp_path, 2, 0) as project:
        with pytest.raises(UsageError, match="nothing to learn from"):
            train(project, QUICK, device="cpu")
        with pytest.raises(UsageError, match="no run to resume"):
            train(project, QUICK, device="cpu", resume=True)
        with pytest.raises(UsageError, match="no trained segmenter"):
            predict(project, device="cpu")
        with pytest.raises(UsageError, match="no segmenter named 'dreams'"):
            train(project, replace(QUICK, segmenter="dreams"), device="cpu")
        project.accept("0.png", Mask(truth(0).astype(np.uint16)), BY)
        train(project, replace(QUICK, steps=1), device="cpu")
        run = runs(project.folder)[0]
        run.checkpoint.write_bytes(run.checkpoint.read_bytes()[:100])
        with pytest.raises(WsssError, match="damaged"):
            train(project, QUICK, device="cpu", resume=True)
        run.weights.write_bytes(b"text")
        with pytest.raises(WsssError, match="damaged"):
            predict(project, device="cpu")


@pytest.mark.timeout(3600)
def test_kill_9_at_random_moments_loses_no_epoch_no_mask_and_leaves_no_half_checkpoint(tmp_path, count):
    """The same weights as an uninterrupted run, whenever the process was killed; a person labels meanwhile."""
    chance, kills = random.Random(5), count(2, 30)
    settings = replace(QUICK, steps=count(20, 90), save_every=0.0)
    with accepted(tmp_path / "whole") as project:
        project.skip("5.png")
        train(project, settings, device="cpu")
        wanted = weights(runs(project.folder)[0])
    with accepted(tmp_path / "killed") as project:
        project.skip("5.png")  # labelled meanwhile and not learnt from, so that both runs see the same
        folder = project.folder
    code = (
        "import json, sys; from pathlib import Path; import torch;"
        "torch.set_num_threads(1); from napari_wsss.project import Project;"
        "from napari_wsss.training import Training; from napari_wsss.training.loop import train;"
        "p = Project.open(Path(sys.argv[1]));"
        "train(p, Training.from_json(sys.argv[3]), device='cpu', resume=sys.argv[2] == 'yes')"
    )
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    resumable, killed, mask = False, 0, np.zeros(truth(5).shape, np.uint16)
    for number in range(kills):
        told = [str(folder), "yes" if resumable else "no", settings.to_json()]
        child = subprocess.Popen([sys.executable, "-c", code, *told], env=env)
        step, wait_for = _steps_of(folder), chance.randint(1, 4)
        while child.poll() is None and _steps_of(folder) < step + wait_for:
            time.sleep(0.01)
        mask[number] = 2
        with Project.open(folder) as window:
            window.accept("5.png", Mask(mask), BY)
        time.sleep(chance.uniform(0.0, 0.05))
        killed += child.poll() is None
        child.send_signal(signal.SIGKILL)
        child.wait()
        written = [run.checkpoint for run in runs(folder) if run.checkpoint.is_file()]
        for checkpoint in written:
            read_marked(checkpoint, CHECKPOINT_KIND, "", "")  # whole: raises if it is not
        resumable = bool(written)
    print(f"{killed} of {kills} were killed in the middle")
    assert killed > kills / 2
    with Project.open(folder) as project:
        assert project.check() == []
        assert np.array_equal(project.accepted("5.png").labels, mask)
        assert all(np.array_equal(project.accepted(f"{n}.png").labels, truth(n)) for n in range(5))
        train(project, settings, device="cpu", resume=resumable)
        run = runs(folder)[-1]
        steps = [line["step"] for line in run.metrics() if "loss" in line]
        assert steps == list(range(1, settings.steps + 1))
        assert same(wanted, weights(run))


def _steps_of(folder: Path) -> int:
    found = runs(folder)
    return len([line for line in found[-1].metrics() if "loss" in line]) if found else 0
