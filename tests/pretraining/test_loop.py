"""The training loop learns, goes on exactly where it was left, and never leaves half a checkpoint."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch

from napari_wsss.models.embedded.network import EmbeddedNetwork
from napari_wsss.models.embedded.predictor import is_embedded, load_embedded
from napari_wsss.pretraining import loop
from napari_wsss.pretraining.__main__ import main
from napari_wsss.pretraining.batches import Batch
from napari_wsss.pretraining.loop import Learner, Schedule, train
from napari_wsss.pretraining.weights import export
from tests.pretraining.toy_scenes import batch


@pytest.fixture(scope="module")
def two_scenes() -> Batch:
    return batch()


@pytest.fixture
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    """No rounds of clicks before the one that is learnt from, and no windows (the pictures are small)."""
    monkeypatch.setattr(loop, "AT_LEAST", ())
    monkeypatch.setattr(loop, "_WINDOWED", 0.0)


def same(one: EmbeddedNetwork, other: EmbeddedNetwork) -> bool:
    return all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), other.state_dict().values()))


def learner(minutes: float = 60.0, seed: int = 0) -> Learner:
    return Learner(Schedule(minutes, rate=2e-3, warm_up=1), "cpu", seed)


# --------------------------------------------------------------------------- learning


def test_ten_steps_on_two_scenes_reduce_the_loss(plain: None, two_scenes: Batch) -> None:
    made = learner()
    losses = [float(made.learn(two_scenes)[0]) for _ in range(10)]
    assert made.step == 10
    assert all(math.isfinite(value) for value in losses)
    assert losses[-1] < 0.8 * losses[0]


def test_rounds_of_clicks_come_with_the_last_answer_as_a_guess(
    monkeypatch: pytest.MonkeyPatch, two_scenes: Batch
) -> None:
    monkeypatch.setattr(loop, "AT_LEAST", (1.0, 0.5))
    monkeypatch.setattr(loop, "_WINDOWED", 0.0)
    monkeypatch.setattr(loop, "_KEEP_GUESS", 1.1)
    monkeypatch.setattr(loop, "_SAME_CLICKS", 0.0)
    made = learner()
    asked: list[tuple[list[int], int, bool]] = []
    decode = made._decode

    def noted(network, embedding, owner, sparse, former, guessed):
        clicks = (sparse[:, 3:, 2] >= 0).sum(1).tolist()
        asked.append((sorted(clicks), int(guessed.sum()), network.mask_decoder.training))
        return decode(network, embedding, owner, sparse, former, guessed)

    monkeypatch.setattr(made, "_decode", noted)
    made.learn(two_scenes)
    assert [(len(clicks), used) for clicks, _, used in asked] == [(4, False), (2, False), (4, True)]
    assert [clicks for clicks, _, _ in asked] == [[0] * 4, [1] * 2, [1, 1, 2, 2]]
    assert [guessed for _, guessed, _ in asked][1:] == [2, 4]


def test_a_second_look_has_a_guess_and_no_new_click(monkeypatch: pytest.MonkeyPatch, two_scenes: Batch) -> None:
    monkeypatch.setattr(loop, "AT_LEAST", (1.0,))
    monkeypatch.setattr(loop, "_SAME_CLICKS", 1.1)
    monkeypatch.setattr(loop, "_KEEP_GUESS", 0.0)
    monkeypatch.setattr(loop, "_WINDOWED", 0.0)
    made, seen = learner(), []
    decode = made._decode

    def noted(network, embedding, owner, sparse, former, guessed):
        seen.append(((sparse[:, 3:, 2] >= 0).any(), guessed.all()))
        return decode(network, embedding, owner, sparse, former, guessed)

    monkeypatch.setattr(made, "_decode", noted)
    made.learn(two_scenes)
    assert [bool(clicked) for clicked, _ in seen] == [False, False]
    assert bool(seen[-1][1])


def test_batch_normalisation_keeps_its_statistics_in_the_last_part(plain: None, two_scenes: Batch) -> None:
    made = learner(minutes=1.0)

    def moved() -> bool:
        before = [b.clone() for b in made.network.buffers() if b.is_floating_point()]
        made.learn(two_scenes)
        return any(
            not torch.equal(a, b) for a, b in zip(before, (x for x in made.network.buffers() if x.is_floating_point()))
        )

    assert moved()
    made.seconds = 60 * made.schedule.settle_after
    assert not moved()


def test_the_average_lies_between_what_was_and_what_is(plain: None, two_scenes: Batch) -> None:
    made = learner()
    before = made.average.mask_decoder.masks.weight.clone()
    made.learn(two_scenes)
    now, kept = made.network.mask_decoder.masks.weight.detach(), made.average.mask_decoder.masks.weight
    moved = (now - before).abs() > 1e-6
    assert moved.any()
    share = ((kept - before) / (now - before))[moved]
    assert torch.allclose(share, torch.full_like(share, 0.9), atol=0.02)  # its memory grows with the steps


def test_a_look_at_held_out_crops_is_repeatable_and_changes_nothing(two_scenes: Batch) -> None:
    made = learner()
    before = {k: v.clone() for k, v in made.average.state_dict().items()}
    first, again = made.check([two_scenes]), made.check([two_scenes])
    assert first == again
    assert len(first) == 3
    assert all(0 <= value <= 1 for value in first)
    assert all(torch.equal(v, before[k]) for k, v in made.average.state_dict().items())


def test_the_rate_rises_then_falls_as_a_cosine_and_never_to_nothing() -> None:
    schedule = Schedule(10, rate=1.0, warm_up=100)
    assert schedule.rate_at(0, 0) == pytest.approx(0.01)
    assert schedule.rate_at(49, 0) == pytest.approx(0.5)
    assert schedule.rate_at(1000, 0) == pytest.approx(1)
    assert schedule.rate_at(1000, 300) == pytest.approx(0.5)
    rates = [schedule.rate_at(1000, seconds) for seconds in range(0, 900, 30)]
    assert rates == sorted(rates, reverse=True)
    assert rates[-1] == pytest.approx(0.01)


# --------------------------------------------------------------------------- going on


def test_a_run_goes_on_exactly_where_it_was_left(plain: None, two_scenes: Batch, tmp_path: Path) -> None:
    left = learner()
    left.learn(two_scenes)
    left.seconds = 12.5
    left.save(tmp_path / "checkpoint.pt")
    one, other = learner(seed=1), learner(seed=2)
    for again in (one, other):
        again.load(tmp_path / "checkpoint.pt")
        assert (again.step, again.seconds) == (1, 12.5)
        assert same(again.network, left.network)
        assert same(again.average, left.average)
        moments = zip(again.optimiser.state_dict()["state"].values(), left.optimiser.state_dict()["state"].values())
        assert all(torch.equal(a["exp_avg"], b["exp_avg"]) for a, b in moments)
        again.learn(two_scenes)
    left.learn(two_scenes)
    assert same(one.network, other.network)
    assert same(one.network, left.network)
    assert list(tmp_path.iterdir()) == [tmp_path / "checkpoint.pt"]


def test_a_kill_while_saving_leaves_the_former_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file, made = tmp_path / "checkpoint.pt", learner()
    made.save(file)
    before = file.read_bytes()

    def half(state: object, place: Path) -> None:
        place.write_bytes(before[: len(before) // 2])
        raise KeyboardInterrupt

    def killed(*places: object) -> None:
        raise KeyboardInterrupt

    made.step = 7
    for name, what in (("loop.torch.save", half), ("loop.os.replace", killed)):
        with monkeypatch.context() as patched:
            patched.setattr(f"napari_wsss.pretraining.{name}", what)
            with pytest.raises(KeyboardInterrupt):
                made.save(file)
        assert file.read_bytes() == before
        again = learner(seed=3)
        again.load(file)
        assert again.step == 0
    made.save(file)
    again.load(file)
    assert again.step == 7


def test_another_runs_weights_are_the_averaged_ones_and_the_rest_begins_anew(tmp_path: Path) -> None:
    other = learner(seed=1)
    other.average.mask_decoder.masks.weight += 1
    other.step = 50
    other.save(tmp_path / "checkpoint.pt")
    made = learner(seed=2)
    made.start_from(tmp_path / "checkpoint.pt")
    assert made.step == 0
    assert same(made.network, other.average)
    assert same(made.average, other.average)
    exported = tmp_path / "exported.safetensors"
    export(tmp_path / "checkpoint.pt", exported)
    made.start_from(exported)
    weights = made.network.mask_decoder.masks.weight
    assert torch.equal(weights, other.average.mask_decoder.masks.weight.half().float())


def test_training_stops_when_its_minutes_are_over_and_leaves_metrics(
    plain: None, two_scenes: Batch, tmp_path: Path
) -> None:
    said: list[str] = []
    made = learner(minutes=1e-6)
    train(made, iter([two_scenes] * 5), {"nuclei_fluo": [two_scenes]}, tmp_path / "run", said.append)
    assert made.step == 1
    assert (tmp_path / "run" / "checkpoint.pt").is_file()
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert rows[-1]["step"] == 1
    assert len(rows[-1]["held out nuclei_fluo"]) == 3
    assert said
    assert json.loads((tmp_path / "run" / "schedule.json").read_text())["rate"] == 2e-3


def test_an_interrupted_training_is_saved_and_says_so(plain: None, two_scenes: Batch, tmp_path: Path) -> None:
    def interrupted():
        yield two_scenes
        raise KeyboardInterrupt

    said: list[str] = []
    train(learner(), interrupted(), {}, tmp_path / "run", said.append)
    again = learner(seed=5)
    again.load(tmp_path / "run" / "checkpoint.pt")
    assert again.step == 1
    assert "interrupted at step 1" in said[-1]


# --------------------------------------------------------------------------- the file that ships


def test_the_exported_file_is_half_precision_small_and_loads(tmp_path: Path) -> None:
    from safetensors.torch import load_file

    made = learner()
    made.save(tmp_path / "checkpoint.pt")
    line = export(tmp_path / "checkpoint.pt", tmp_path / "out" / "own.safetensors")
    file = tmp_path / "out" / "own.safetensors"
    assert str(file) in line
    assert file.stat().st_size <= 16e6
    weights = load_file(file)
    assert {v.dtype for v in weights.values()} == {torch.float16}
    state = made.average.state_dict()
    assert all(torch.equal(v, state[k].half()) for k, v in weights.items())
    assert is_embedded(file)
    assert load_embedded(str(file)).model.startswith("embedded@")


# --------------------------------------------------------------------------- the command


def test_draw_train_go_on_and_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scenes, run = str(tmp_path / "bank"), str(tmp_path / "run")
    only = ["--only", "fluorescent nuclei", "--side", "96"]
    assert main(["draw", scenes, "--count", "1", "--free", "0", *only]) == 0
    command = ["train", run, "--bank", scenes, "--minutes", "1e-6", "--batch", "1", "--workers", "0", "--device", "cpu"]
    assert main(command) == 0
    assert "1 specimens to train on, 0 held out" in capsys.readouterr().out
    assert main(command) == 0
    assert "going on at step 1" in capsys.readouterr().out
    assert main(["export", run, str(tmp_path / "own.safetensors")]) == 0
    assert "after 2 steps" in capsys.readouterr().out


def test_what_may_not_be_trained_on_is_one_line_and_no_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scenes = str(tmp_path / "bank")
    assert main(["draw", scenes, "--count", "1", "--free", "0", "--side", "64", "--only", "rods"]) == 0
    command = ["train", str(tmp_path / "run"), "--bank", scenes, "--data", str(tmp_path), "--sets", "em_vnc"]
    assert main(command) == 2
    said = capsys.readouterr().err
    assert "may not be shipped" in said
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()
