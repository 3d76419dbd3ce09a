"""``simulate``: learning curves with an annotator that is played from ground truth."""

from __future__ import annotations

import argparse
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from napari_wsss.cli import options
from napari_wsss.errors import UsageError


def add_commands(commands: Any) -> None:
    simulate = commands.add_parser(
        "simulate",
        help="learning curves, the annotator played from ground truth",
        description="Play the annotator from ground truth and report the learning curves; finished plays are kept.",
    )
    simulate.add_argument("project", type=Path, metavar="PROJECT")
    simulate.add_argument(
        "--oracle", type=options.existing, required=True, metavar="DIR", help="STEM.png|tif class ids"
    )
    simulate.add_argument(
        "--strategy",
        action="append",
        metavar="NAME",
        help="may be given several times (default: ripu, entropy, random)",
    )
    simulate.add_argument("--labels", choices=("regions", "class", "points"), default="regions")
    simulate.add_argument("--budget", type=float, default=0.05, metavar="SHARE", help="of all pixels (default: 0.05)")
    simulate.add_argument("--rounds", type=int, default=5, metavar="R")
    simulate.add_argument("--seeds", type=int, default=5, metavar="N")
    simulate.add_argument("--test", type=options.existing, metavar="FILE", help="names of test images, one a line")
    simulate.add_argument(
        "--reach", type=int, default=0, metavar="PIXELS", help="half side of a region (default: a 128th of the image)"
    )
    simulate.add_argument(
        "--explore",
        type=float,
        metavar="SHARE",
        help="of each batch that every strategy draws at random (default: 0.3)",
    )
    simulate.add_argument(
        "--segmenter",
        default="frozen",
        metavar="NAME",
        help="what is refit (default: frozen); none: nothing is trained, the label model answers itself",
    )
    simulate.add_argument("--steps", type=int, default=600, metavar="N", help="of each refit (default: 600)")
    simulate.add_argument("--param", action="append", metavar="training.PARAMETER=VALUE")
    simulate.add_argument("--out", type=Path, metavar="DIR", help="curves as SVG and PNG, rows as JSON")
    options.add_device(simulate)
    options.add_json(simulate)
    simulate.set_defaults(run=_simulate)


def _simulate(arguments: argparse.Namespace) -> int:
    from napari_wsss.project import Project
    from napari_wsss.simulation import Play, simulate, summary
    from napari_wsss.simulation.curve import CEILING
    from napari_wsss.simulation.play import NOTHING, REFIT
    from napari_wsss.training import with_values

    params = options.parameters(arguments.param)
    params_of = params.get("segmenter", {})
    training = replace(REFIT, segmenter=arguments.segmenter, params=params_of, steps=arguments.steps)
    training = with_values(training, params.get("training", {}))
    with Project.open(arguments.project) as project:
        play = Play(
            tuple((s.replace("-", "_") for s in arguments.strategy) if arguments.strategy else Play.strategies),
            arguments.labels,
            arguments.budget,
            arguments.rounds,
            arguments.seeds,
            None if arguments.segmenter == NOTHING else training,
            _test_names(project, arguments.test),
            arguments.reach,
            Play.explore if arguments.explore is None else arguments.explore,
        )
        rows = simulate(
            project, arguments.oracle, play, device=arguments.device, progress=options.progress_bar(arguments.json)
        )
    curves = summary(rows)
    if arguments.out is not None:
        _write(arguments.out, rows, curves)
    if arguments.json:
        options.print_json({"rows": [asdict(r) for r in rows], "curves": [asdict(c) for c in curves]})
        return 0
    ceiling = next((c.miou[-1] for c in curves if c.strategy == CEILING), None)
    for curve in curves:
        of_ceiling = f", {curve.miou[-1] / ceiling:.1%} of the ceiling" if ceiling and curve.strategy != CEILING else ""
        area = "" if curve.area is None else f"  area {curve.area:.3f} ± {curve.area_spread:.3f}"
        print(
            f"{curve.strategy:<14}{curve.labels:<9}{curve.seeds} seeds{area}"
            f"  last mIoU {curve.miou[-1]:.3f} ± {curve.spread[-1]:.3f}{of_ceiling}"
        )
    return 0


def _test_names(project: Any, file: Path | None) -> tuple[str, ...] | None:
    if file is None:
        return None
    words = file.read_text(encoding="utf-8").split()
    if not words:
        raise UsageError(f"{file}: names no image")
    return tuple(project.record(word).name for word in words)


def _write(out: Path, rows: Any, curves: Any) -> None:
    import json

    from napari_wsss.simulation.curve import BUDGETS
    from napari_wsss.simulation.drawing_curves import draw_curves

    out.mkdir(parents=True, exist_ok=True)
    told = {"rows": [asdict(r) for r in rows], "curves": [asdict(c) for c in curves]}
    (out / "curves.json").write_text(json.dumps(told), encoding="utf-8")
    for budget in BUDGETS:
        draw_curves(curves, budget, out / f"curve_{budget}.svg")
