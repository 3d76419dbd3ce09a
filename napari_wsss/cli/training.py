"""``train``, ``predict`` and ``next``: a segmenter from the labels, its masks, and what to label next."""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from napari_wsss.choices import DEFAULT_SEGMENTER
from napari_wsss.cli import options
from napari_wsss.errors import UsageError, WsssError

_NICE = 10  # a person's own programs go first


def add_commands(commands: Any) -> None:
    _add_train(commands)
    _add_predict(commands)
    _add_next(commands)


def _add_train(commands: Any) -> None:
    train = commands.add_parser(
        "train",
        help="fit a segmenter to the labels",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Fit a segmenter to accepted masks, weak labels and unlabelled images, in runs/N of the project.",
        epilog=options.methods("segmenters", "segmenters", {DEFAULT_SEGMENTER: "default"}),
    )
    train.add_argument("project", type=Path, metavar="PROJECT")
    train.add_argument("--steps", type=int, metavar="N", help="end after so many steps")
    train.add_argument("--minutes", type=float, metavar="M", help="end after so many minutes (default: 5)")
    train.add_argument("--resume", action="store_true", help="go on with the newest run from its last checkpoint")
    train.add_argument("--segmenter", default=DEFAULT_SEGMENTER, metavar="NAME", help=f"default: {DEFAULT_SEGMENTER}")
    train.add_argument("--encoder", metavar="NAME", help="encoder of the frozen features")
    train.add_argument(
        "--param",
        action="append",
        metavar="GROUP.PARAMETER=VALUE",
        help="segmenter.width=48, or training.tile=256 (see docs/training.md)",
    )
    options.add_device(train)
    train.add_argument("--devices", type=int, default=1, metavar="N", help="processes here, one a device (default: 1)")
    train.add_argument(
        "--nodes", type=int, default=1, metavar="M", help="machines, each runs this command (default: 1)"
    )
    train.add_argument("--tensorboard", action="store_true", help="also write TensorBoard events into the run's folder")
    options.add_json(train)
    train.set_defaults(run=_train)


def _add_predict(commands: Any) -> None:
    predict = commands.add_parser("predict", help="the trained segmenter's masks")
    predict.add_argument("project", type=Path, metavar="PROJECT")
    predict.add_argument("--images", nargs="+", metavar="NAME", help="names of images, or files outside the project")
    predict.add_argument("--out", type=Path, metavar="DIR", help="also write DIR/STEM.png (and .tif with a CRS)")
    predict.add_argument("--weights", type=options.existing, metavar="FILE", help="default: the newest run's")
    predict.add_argument("--views", type=int, choices=(1, 2, 4), default=1, help="flipped views that are averaged")
    predict.add_argument("--student", action="store_true", help="keep where the run's student disagrees, for `next`")
    options.add_workers(predict)
    predict.add_argument("--again", action="store_true", help="also what is up to date")
    options.add_device(predict)
    options.add_json(predict)
    predict.set_defaults(run=_predict)


def _add_next(commands: Any) -> None:
    following = commands.add_parser(
        "next",
        help="the regions to label next",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="The queue of regions, best first, with reasons; or an answer about one of them.",
        epilog=options.methods("acquisition", "acquisition", {"ripu": "default"}),
    )
    following.add_argument("project", type=Path, metavar="PROJECT")
    following.add_argument("--regions", type=int, default=10, metavar="N", help="length of the queue (default: 10)")
    following.add_argument("--strategy", default="ripu", metavar="NAME", help="default: ripu")
    following.add_argument(
        "--param", action="append", metavar="PARAMETER=VALUE", help="of the strategy, e.g. form=pixels"
    )
    following.add_argument("--reach", type=int, default=0, metavar="PIXELS", help="half side of a region")
    following.add_argument("--plain", action="store_true", help="scores alone: no diversity, no regard to labels in it")
    following.add_argument(
        "--explore", type=float, default=0.0, metavar="SHARE", help="of the regions drawn at random (default: none)"
    )
    following.add_argument("--whole", action="store_true", help="whole images in place of regions, the worst first")
    following.add_argument("--renew", action="store_true", help="forget the open ones and rank anew")
    following.add_argument(
        "--answer", action="append", metavar="ID=accept|skip|CLASS", help="answer a region; labels only its open pixels"
    )
    options.add_json(following)
    following.set_defaults(run=_next)


def _train(arguments: argparse.Namespace) -> int:
    if arguments.own_process and hasattr(os, "nice"):
        os.nice(_NICE)  # before anything heavy is loaded
    from napari_wsss.training import Training, train, with_values
    from napari_wsss.training.team import opened

    params = options.parameters(arguments.param)
    for group in params:
        if group not in ("segmenter", "training"):
            raise UsageError(f"--param {group}: no such group; there are: segmenter, training")
    begun = with_values(
        Training(
            segmenter=arguments.segmenter,
            params=params.get("segmenter", {}),
            encoder=arguments.encoder,
            steps=arguments.steps,
            minutes=arguments.minutes,
            tensorboard=arguments.tensorboard,
        ),
        params.get("training", {}),
    )
    team = _team(arguments)
    with opened(arguments.project, team) as project:
        report = train(
            project,
            begun,
            device=arguments.device,
            resume=arguments.resume,
            progress=options.progress_bar(quiet=not team.leads),
            team=team,
        )
    if not team.leads:
        return 0
    for line in report.unreadable:
        print(line, file=sys.stderr)
    if arguments.json:
        options.print_json({**asdict(report), "run": str(report.run), "weights": str(report.weights)})
        return 0
    found = (
        "no held-out images" if report.miou is None else f"mIoU {report.miou:.3f} on {report.held_out} held-out images"
    )
    print(
        f"{report.run}: {report.ended} after {report.steps} steps ({report.epochs} epochs, {report.seconds:.0f} s)"
        f" on {report.images} images; {found}\nwith {report.used}"
    )
    return 0


def _team(arguments: argparse.Namespace) -> Any:
    """The processes that train together; with several devices this command is begun again for each of the others."""
    from napari_wsss.training.team import ALONE, Together

    if arguments.devices < 1 or arguments.nodes < 1:
        raise UsageError("--devices and --nodes: at least 1")
    if arguments.devices * arguments.nodes == 1:
        return ALONE
    if not arguments.own_process:
        raise UsageError("--devices and --nodes: only from a command line of their own")
    return Together(arguments.device, arguments.devices, arguments.nodes)


def _predict(arguments: argparse.Namespace) -> int:
    from napari_wsss.prediction import predict
    from napari_wsss.prediction_files import split_names, write_masks
    from napari_wsss.project import Project

    with Project.open(arguments.project) as project, options.workers(arguments) as workers:
        names, files = split_names(project, arguments.images)
        if files and arguments.out is None:
            raise UsageError(f"{files[0]} is not in the project; say with --out DIR where its mask goes")
        report = predict(
            project,
            names,
            weights=arguments.weights,
            device=arguments.device,
            views=arguments.views,
            student=arguments.student,
            again=arguments.again,
            workers=workers,
            progress=options.progress_bar(),
        )
        written = 0
        if arguments.out is not None:
            written = write_masks(
                project,
                arguments.out,
                names,
                files,
                arguments.weights,
                arguments.device,
                arguments.views,
                options.progress_bar(),
                report.failed,
                workers,
            )
    for line in report.failed:
        print(line, file=sys.stderr)
    if arguments.json:
        options.print_json({**vars(report), "written": written})
    else:
        wrote = f", {written} masks written to {arguments.out}" if arguments.out is not None else ""
        print(f"{report.model}: {len(report.predicted)} predicted, {report.up_to_date} up to date{wrote}")
    if report.failed and not (report.predicted or report.up_to_date or written):
        raise WsssError(f"no image could be predicted; the first: {report.failed[0]}")
    return 0


def _next(arguments: argparse.Namespace) -> int:
    from napari_wsss.active_learning import Asking, answer, features_of, next_regions
    from napari_wsss.project import Project

    asking = Asking(
        arguments.strategy,
        dict(options.assignments(arguments.param)),
        arguments.reach,
        cost=not arguments.plain,
        diverse=not arguments.plain,
        explore=arguments.explore,
    )
    if arguments.regions < 1:
        raise UsageError("--regions must be at least 1")
    with Project.open(arguments.project) as project:
        if arguments.answer:
            for text in arguments.answer:
                number, said = _said(project.classes, text)
                print(f"region {number}: {answer(project, number, said)} pixels labelled")
            return 0
        if arguments.whole:
            _show_images(project, arguments.regions, arguments.json)
            return 0
        features = features_of(project) if asking.diverse else None
        batch = next_regions(
            project,
            arguments.regions,
            asking,
            renew=arguments.renew,
            features=features,
            progress=options.progress_bar(arguments.json),
        )
        _show(batch, arguments.json, project.classes)
    return 0


def _show_images(project: Any, count: int, as_json: bool) -> None:
    from napari_wsss.quality import ENOUGH, worst_first

    found = worst_first(project, options.progress_bar(as_json))[:count]
    if not found:
        raise UsageError("no predicted image waits for a review; run `napari-wsss predict` first")
    if as_json:
        options.print_json({"images": [asdict(q) for q in found]})
        return
    if found[0].iou is None:
        print(f"fewer than {ENOUGH} images were reviewed: an order by doubt, no predicted IoU", file=sys.stderr)
    for rank, q in enumerate(found, 1):
        told = f"doubt {q.doubt:.2f}" if q.iou is None else f"IoU about {q.iou:.2f} ({q.low:.2f} to {q.high:.2f})"
        print(f"{rank:>3}  {q.image}  {told}")


def _said(classes: Any, text: str) -> tuple[int, Any]:
    number, equals, said = text.partition("=")
    if not equals or not number.isdigit():
        raise UsageError(f"--answer {text!r} is not ID=accept, ID=skip or ID=CLASS")
    if said in ("accept", "skip"):
        return int(number), said
    known = classes.id_of(said)
    if known is None:
        raise UsageError(f"--answer {text!r}: no class {said!r}; there are: {', '.join(classes.names)}")
    return int(number), known


def _show(batch: Any, as_json: bool, classes: Any) -> None:
    for line in batch.notes:
        print(line, file=sys.stderr)
    if as_json:
        rows = [
            {**asdict(r), "box": list(r.box), "classes": [classes[k].name for k in r.classes]} for r in batch.regions
        ]
        options.print_json({"regions": rows})
        return
    for rank, r in enumerate(batch.regions, 1):
        box = ",".join(map(str, r.box))
        print(f"{rank:>3}  id {r.id}  {r.image}  box {box}  score {r.score:.3f}  {r.why}")
