"""The loop: look at what is labelled, learn, look at the held-out images, keep the best, save, step aside."""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_wsss.device import described, few_threads, torch_threads
from napari_wsss.errors import UsageError, WsssError
from napari_wsss.project import Project
from napari_wsss.protocols import Context
from napari_wsss.trained import Feed, Recipe, Trained, context_for, measured, recipe_for, trained_bytes
from napari_wsss.training.augmentation import Batch
from napari_wsss.training.completing import clock, completed
from napari_wsss.training.gallery import Gallery, Shown, Snapshot, snapshot
from napari_wsss.training.learner import new_learner, restore, to_bytes
from napari_wsss.training.losses.partial import class_weights
from napari_wsss.training.run_folder import CHECKPOINT, WEIGHTS, RunFolder, new_run, run_to_resume
from napari_wsss.training.settings import Training
from napari_wsss.training.step import Teaching, batch_of, do_step, in_half
from napari_wsss.training.team import ALONE, Alone
from napari_wsss.training.tensorboard import Events, check_installed
from napari_wsss.training.tiles import Order, Place, bare_places, cells, cut, window
from napari_wsss.training.validation import look
from napari_wsss.training.yielding import Signals
from napari_wsss.types import Progress, no_progress
from napari_wsss.upright import has_an_up

_MEASURED = 24  # images for mean, deviation, class counts and heights
_LOOKED_AT = 12  # held-out images a look
_SCALES = (0.75, 1.35)  # of a tile's side, so that sizes vary


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What a run did, and on what (``used``). ``miou`` is of the kept weights on held-out images, None without any."""

    run: Path
    weights: Path
    steps: int
    epochs: int
    seconds: float
    images: int
    held_out: int
    miou: float | None
    ended: str
    unreadable: tuple[str, ...] = ()
    used: str = ""


def train(
    project: Project,
    settings: Training,
    *,
    device: str = "auto",
    resume: bool = False,
    progress: Progress = no_progress,
    team: Alone = ALONE,
) -> TrainReport:
    """Fit a segmenter to a project's labels; the newest run's weights are what ``predict`` uses.

    Parameters
    ----------
    resume : bool
        Go on with the newest run from its last checkpoint, with its settings but these limits.
    progress : callable
        May raise Cancelled: the run is saved and can be resumed.
    team : Alone or Together
        The processes that train this network together; each of them calls this, and the first one writes.

    Raises
    ------
    UsageError
        Nothing is labelled, or there is no run to resume.
    """
    run = run_to_resume(project.folder) if resume else None
    if run is not None:
        own = run.settings()
        watched = own.tensorboard or settings.tensorboard
        settings = replace(own, steps=settings.steps, minutes=settings.minutes, tensorboard=watched)
    else:
        recipe = recipe_for(project, settings.segmenter, settings.params, settings.encoder)
    if settings.tensorboard:
        check_installed()
    context = context_for(project, team.device or device, progress)
    with torch_threads(settings.threads) if settings.threads else few_threads(), torch.random.fork_rng(devices=[]):
        spent = 0.0 if resume else team.agree(lambda: completed(project, settings, context, team))
        loop = _Loop(project, settings, context, run, None if resume else recipe, team)
        loop.learner.seconds += spent
        return loop.run_until_done()


class _Loop:
    def __init__(
        self,
        project: Project,
        settings: Training,
        context: Context,
        run: RunFolder | None,
        recipe: Recipe | None,
        team: Alone,
    ) -> None:
        self.project, self.settings, self.context, self.team = project, settings, context, team
        self.seed = project.settings.seed if settings.seed is None else settings.seed
        self.signals = Signals(project.folder)
        self._now = clock(settings)
        self.shot = self._look_around()
        if run is not None:
            self.run = run
            self.learner = restore(run.checkpoint, settings, context)
            if self.learner.recipe.classes != project.classes.names:
                raise UsageError(f"{run.folder}: was begun with other classes; begin a new run")
            if team.leads:
                run.forget_metrics_after(self.learner.step)
            self.gallery = Gallery(project, Feed(self.learner.recipe, project.cache, context), settings.noisy > 0)
            self.teaching = team.agree(self._teaching)
        else:
            assert recipe is not None
            gallery = Gallery(project, Feed(recipe, project.cache, context), settings.noisy > 0)
            fitted, step = team.agree(lambda: _measured(recipe, self._some(gallery), settings))
            self.settings = settings = settings.suited(fitted.inputs == "features", step)
            self.gallery = gallery.fed(Feed(fitted, project.cache, context))
            self.teaching = team.agree(self._teaching)
            self.learner = new_learner(fitted, settings, context, self.seed)
            self.run = team.agree(lambda: new_run(project.folder, settings))
        if team.leads:
            self.signals.begin()
            told = {"device": described(self.context.device), "began": time.time()}
            self.run.add_metrics({"step": self.learner.step, **told})
        if settings.compile:
            self.learner.student.compile()
        self.saved, self.whole, self.empty, self.looked = time.monotonic(), True, 0, -1

    # -------------------------------------------------------------- what there is to learn from

    def _look_around(self) -> Snapshot:
        def look_now() -> Snapshot:
            return snapshot(self.project, self.settings.held_out, self.seed, self.settings.noisy > 0)

        if self.team.nodes > 1 and "shot" in vars(self):
            return self.shot  # the other machines see the labels of the beginning
        found = self.team.agree(look_now)
        if not found.taught:
            raise UsageError("nothing to learn from: label some images, or accept masks, and train again")
        return found

    def _some(self, gallery: Gallery) -> list[Shown]:
        """Some images to measure by: of the taught ones first, the same each time."""
        names = self.shot.everyone
        order = np.random.default_rng([self.seed, 0]).permutation(len(self.shot.taught))
        chosen = [self.shot.taught[i] for i in order[:_MEASURED]]
        chosen += [n for n in names if n not in self.shot.taught][: max(0, _MEASURED - len(chosen))]
        found = [gallery(name, self.shot.labels[name]) for name in chosen]
        readable = [shown for shown in found if shown is not None]
        if not readable:
            raise WsssError(f"no image can be read; the first: {next(iter(gallery.unreadable.values()))}")
        return readable

    def _teaching(self) -> Teaching:
        some = self._some(self.gallery)
        classes = len(self.project.classes)
        counts = sum(np.bincount(_labels(s).ravel(), minlength=classes + 1) for s in some)
        weights = class_weights(torch.from_numpy(np.asarray(counts)[1:])) if self.settings.balance else None
        upright = self.settings.flips == "horizontal" or (self.settings.flips == "auto" and stands_upright(some))
        place = None if weights is None else weights.to(self.context.device)
        return Teaching(self.settings, self.context.device, upright, place)

    # -------------------------------------------------------------- the loop

    def run_until_done(self) -> TrainReport:
        with ExitStack() as leaving:
            if self.settings.tensorboard and self.team.leads:
                events = leaving.enter_context(closing(Events(self.run.folder, self.learner.step)))
                self.run.watcher = events.add
            return self._run_until_done()

    def _run_until_done(self) -> TrainReport:
        try:
            ended = self._steps()
        finally:
            if self.whole:  # a step that was interrupted is done again from the last checkpoint
                self._save()
        if self.learner.best < 0 or not self.run.weights.is_file():
            self._hand_over()
        return self._report(ended)

    def _steps(self) -> str:
        while True:
            done = self.team.agree(self._asked)
            if done is None:
                return "stopped"
            if done >= 1:
                self._validate()
                return "done"
            began = self._now()
            self._one_step(done)
            if self.learner.step % self.settings.check_every == 0:
                self._see_what_is_new()
                self._validate()
            self.learner.seconds += self._now() - began
            if time.monotonic() - self.saved >= self.settings.save_every:
                self._save()

    def _asked(self) -> float | None:
        """How much of the run is done, once nobody asks to wait; None where somebody asks to stop."""
        steps, seconds = self.settings.limits
        if self.signals.stop:
            return None
        done = max(self.learner.step / steps if steps else 0.0, self.learner.seconds / seconds if seconds else 0.0)
        if done < 1:
            self.signals.wait(self._give_back)
        return done

    def _one_step(self, done: float) -> None:
        learner = self.learner
        self.whole = False
        if learner.order is None or learner.order.is_over:
            self.shot = self._look_around()
            epoch = 0 if learner.order is None else learner.order.epoch + 1
            learner.order = Order.of(self.shot, self.settings.tile, epoch, self.seed)
        rng = np.random.default_rng([self.seed, 2, learner.step, *([self.team.rank] if self.team.rank else [])])
        torch.manual_seed(int(rng.integers(2**31)))
        together = learner.order.take(self.settings.batch * self.team.size)
        labelled = self._tiles(together[self.team.rank :: self.team.size], rng)
        if not self.team.total(0 if labelled is None else len(labelled.x)):
            self._nothing_came()
            return
        bare = None if labelled is None else self._bare(done, rng)
        losses = do_step(learner, self.teaching, labelled, bare, done, rng, self.team)
        learner.step += 1
        self.whole, self.empty = True, 0
        self._tell(losses, done)

    def _nothing_came(self) -> None:
        """Count batches of which no image can be had; a whole epoch of them ends the run."""
        self.whole = True
        self.empty += 1
        if self.learner.order is not None and self.empty > len(self.learner.order.places):
            reason = next(iter(self.gallery.unreadable.values()), "all were set aside")
            raise WsssError(f"no labelled image can be had any more; the first: {reason}")

    def _tiles(self, places: list[Place] | tuple[Place, ...], rng: np.random.Generator) -> Batch | None:
        """A batch of these places, all cut at one scale; None if none of them can be had any more."""
        side = self.settings.tile
        if self.learner.recipe.inputs == "image":
            side = round(side * float(np.exp(rng.uniform(*np.log(_SCALES)))) / 8) * 8
        tiles = []
        for place in places:
            if place.name not in self.shot.labels or place.name in self.shot.held_out:
                continue
            shown = self.gallery(place.name, self.shot.labels[place.name])
            if shown is not None:
                tiles.append(cut(shown, window(place, shown, self.settings.tile, side, rng), len(self.project.classes)))
        return batch_of(tiles) if tiles else None

    def _bare(self, done: float, rng: np.random.Generator) -> Batch | None:
        if self.settings.unlabelled == "off" or done < self.settings.unlabelled_from:
            return None
        count = max(2, self.settings.batch // 2)
        return self._tiles(list(bare_places(self.shot, count, self.settings.tile, rng)), rng)

    def _see_what_is_new(self) -> None:
        """Images labelled since the epoch began join it; those whose labels changed are read again."""
        before, self.shot = self.shot, self._look_around()
        new = [name for name in self.shot.taught if name not in before.taught]
        if self.learner.order is not None:
            for name in new:
                self.learner.order.places += cells(name, self.shot.shapes[name], self.settings.tile)

    # -------------------------------------------------------------- looking, telling, saving

    def _validate(self) -> None:
        if self.looked == self.learner.step:
            return
        self.looked = self.learner.step
        if self.team.leads:
            self._look_at_held_out()
        self.learner.gate = self.team.agree(lambda: self.learner.gate)

    def _look_at_held_out(self) -> None:
        names = self.shot.held_out[:_LOOKED_AT]
        images = [s for s in (self.gallery(n, self.shot.labels[n]) for n in names) if s is not None]
        if not images:
            self._hand_over()
            return
        found = look(Trained(self.learner.recipe, self.learner.teacher, ""), images)
        self.learner.gate.right, self.learner.gate.total = found.right, found.sure
        if found.miou > self.learner.best:
            self.learner.best = found.miou
            self._hand_over()
        self.run.add_metrics({"step": self.learner.step, "held_out_miou": found.miou, "held_out_iou": found.iou})

    def _tell(self, losses: dict[str, float], done: float) -> None:
        if not self.team.leads:
            return
        learner = self.learner
        epoch = learner.order.epoch if learner.order else 0
        line: dict[str, Any] = {"step": learner.step, "epoch": epoch, "seconds": round(learner.seconds, 3)}
        self.run.add_metrics({**line, "loss": sum(losses.values()), **losses})
        self.context.progress(round(1000 * done), 1000, f"step {learner.step}, loss {sum(losses.values()):.3f}")

    def _hand_over(self) -> None:
        """Put the teacher's weights where ``predict`` looks, at once and whole."""
        if not self.team.leads:
            return
        told = {"step": self.learner.step, "held_out_miou": self.learner.best, "run": self.run.number}
        self.run.write(WEIGHTS, trained_bytes(self.learner.recipe, self.learner.teacher.state_dict(), told))

    def _save(self) -> None:
        if not self.team.leads:
            return
        self.run.write(CHECKPOINT, to_bytes(self.learner))
        self.saved = time.monotonic()

    def _give_back(self) -> None:
        """Before a pause: save, and let go of the GPU memory that is not in use."""
        self._save()
        if self.context.device.startswith("cuda"):
            torch.cuda.empty_cache()

    def _report(self, ended: str) -> TrainReport:
        learner = self.learner
        return TrainReport(
            self.run.folder,
            self.run.weights,
            learner.step,
            learner.order.epoch if learner.order else 0,
            learner.seconds,
            len(self.shot.taught),
            len(self.shot.held_out),
            learner.best if learner.best >= 0 else None,
            ended,
            tuple(self.gallery.unreadable.values()),
            self._used(),
        )

    def _used(self) -> str:
        """The device and how its time was spent, in words."""
        place = self.context.device
        words = [described(place), "bfloat16" if in_half(place) else "float32", "channels last"]
        words += ["told where pixels lie"] if self.learner.recipe.placed else []
        words += ["compiled"] if self.settings.compile else []
        words += [f"{self.team.size} processes"] if self.team.size > 1 else []
        return ", ".join(words)


def _measured(recipe: Recipe, some: list[Shown], settings: Training) -> tuple[Recipe, int]:
    """Channels by majority, the normalisation over some images that have them, whether places matter; pixels a cell."""
    placed = settings.placed == "yes" or (settings.placed == "auto" and stands_upright(some))
    recipe = replace(recipe, placed=placed)
    widths = [len(s.x) for s in some]
    usual = max(set(widths), key=widths.count)
    step = max(s.step for s in some)
    if settings.tile % step:
        raise UsageError(
            f"training: tile {settings.tile} is no multiple of the features' stride {step}; change one of them"
        )
    inputs = [
        (s.x.astype(np.float32), s.valid[:: s.step, :: s.step][: s.x.shape[1], : s.x.shape[2]])
        for s in some
        if len(s.x) == usual
    ]
    return measured(recipe, inputs), step


def stands_upright(some: list[Shown]) -> bool:
    """Whether the labels of some images say that they have an up."""
    rows, ids, numbers = [], [], []
    for number, shown in enumerate(some):
        labels = _labels(shown)
        y, x = np.nonzero(labels)
        kept = slice(None, None, max(1, len(y) // 2000))
        rows.append((y[kept] + 0.5) / labels.shape[0])
        ids.append(labels[y[kept], x[kept]].astype(np.int64))
        numbers.append(np.full(len(ids[-1]), number))
    return has_an_up(np.concatenate(rows), np.concatenate(ids), np.concatenate(numbers))


def _labels(shown: Shown) -> Any:
    return shown.seed if shown.noisy is None else np.where(shown.seed > 0, shown.seed, shown.noisy)
