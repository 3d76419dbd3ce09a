"""Draw the scenes, train the embedded model, write its weights: ``python -m napari_wsss.pretraining``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

from napari_wsss.errors import WsssError
from napari_wsss.pretraining import bank
from napari_wsss.pretraining.batches import Batch, Crops, collate, loader
from napari_wsss.pretraining.loop import Learner, Schedule, train
from napari_wsss.pretraining.mixture import HELD_OUT, STAINED, is_held_out, weights_of
from napari_wsss.pretraining.specimens import SHIPPABLE, Specimen, drawn, families, oversegmented, real
from napari_wsss.pretraining.weights import export

_PROMPTS = 4


def main(arguments: list[str] | None = None) -> int:
    """The command; exit status as napari-wsss has it."""
    given = _parser().parse_args(arguments)
    torch.set_num_threads(given.threads)
    try:
        given.do(given)
    except WsssError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m napari_wsss.pretraining", description=__doc__)
    parser.add_argument("--threads", type=int, default=1, help="torch's threads; one is best beside other work")
    commands = parser.add_subparsers(required=True)

    scenes = commands.add_parser("draw", help="draw scenes and over-segment free pictures into a folder")
    scenes.add_argument("bank", type=Path)
    scenes.add_argument("--count", type=int, default=3000)
    scenes.add_argument("--free", type=int, default=12, help="times that each free picture is over-segmented")
    scenes.add_argument("--first", type=int, default=0, help="first seed")
    scenes.add_argument("--side", type=int, default=320, help="rows and columns")
    scenes.add_argument("--only", default="", help="names of scenes, separated by commas")
    scenes.set_defaults(do=_draw)

    fit = commands.add_parser("train", help="train on real sets and drawn scenes; goes on where a run was left")
    fit.add_argument("run", type=Path, help="folder of checkpoints and metrics")
    fit.add_argument("--bank", type=Path, required=True)
    fit.add_argument("--data", type=Path, help="folder of the real sets")
    fit.add_argument("--sets", default=",".join(SHIPPABLE), help="real sets, separated by commas")
    fit.add_argument("--without-stained", action="store_true", help="leave out every picture of stained tissue")
    fit.add_argument("--minutes", type=float, default=90)
    fit.add_argument("--rate", type=float, default=1.5e-3)
    fit.add_argument(
        "--settle-after", type=float, default=0.7, help="share of the minutes after which batch normalisation is kept"
    )
    fit.add_argument("--batch", type=int, default=8)
    fit.add_argument("--workers", type=int, default=1)
    fit.add_argument("--seed", type=int, default=0)
    fit.add_argument("--start", type=Path, help="checkpoint of another run, or exported weights, to start from")
    fit.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    fit.set_defaults(do=_train)

    write = commands.add_parser("export", help="write a run's averaged weights as half-precision safetensors")
    write.add_argument("run", type=Path)
    write.add_argument("out", type=Path)
    write.set_defaults(do=lambda given: print(export(given.run / "checkpoint.pt", given.out)))
    return parser


def _draw(given: argparse.Namespace) -> None:
    names = tuple(given.only.split(",")) if given.only else tuple(families())
    made = bank.write(drawn(names, given.first, given.count, (given.side, given.side)), given.bank)
    made += bank.write(oversegmented(given.first, given.free), given.bank)
    print(f"{made} specimens in {given.bank}")


def _train(given: argparse.Namespace) -> None:
    specimens = bank.read(given.bank)
    if given.without_stained:
        specimens = [s for s in specimens if s.family not in STAINED]
    if given.data:
        names = tuple(given.sets.split(","))
        specimens += real(given.data, names, stained=not given.without_stained)
    learner = Learner(Schedule(given.minutes, given.rate, settle_after=given.settle_after), given.device, given.seed)
    checkpoint = given.run / "checkpoint.pt"
    if checkpoint.is_file():
        learner.load(checkpoint)
        print(f"going on at step {learner.step}, {learner.seconds / 60:.1f} minutes in")
    elif given.start:
        learner.start_from(given.start)
    trained = [s for s in specimens if not is_held_out(s)]
    print(f"{len(trained)} specimens to train on, {len(specimens) - len(trained)} held out")
    crops = Crops(trained, weights_of({s.family for s in trained}), given.batch, _PROMPTS, given.seed + learner.step)
    batches = iter(loader(crops, given.workers, pinned=learner.device.type == "cuda"))
    train(learner, batches, _held_out(specimens), given.run, lambda line: print(line, flush=True))


def _held_out(specimens: list[Specimen]) -> dict[str, list[Batch]]:
    """The same crops of held-out pictures at every look, a few batches a real set."""
    batches = {}
    for family in HELD_OUT:
        kept = [s for s in specimens if s.family == family and is_held_out(s)]
        if kept:
            rng = np.random.default_rng(0)
            crops = Crops(kept, {}, 16, 2, 0)
            batches[family] = [collate([crops.one(rng) for _ in range(16)]) for _ in range(6)]
    return batches


if __name__ == "__main__":
    sys.exit(main())
