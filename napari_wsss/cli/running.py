"""``run`` and ``segment``: computing masks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_wsss.cli import options
from napari_wsss.errors import UsageError, WsssError


def add_commands(commands: Any) -> None:
    run = commands.add_parser(
        "run",
        help="compute CAMs, pseudo-labels and refined masks",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Compute the stages for every image that lacks them or whose labels or settings changed.",
        epilog=_methods(),
    )
    run.add_argument("project", type=Path, metavar="PROJECT")
    run.add_argument("--stages", type=options.comma_separated, metavar="cam,pseudo,refine", help="default: all three")
    run.add_argument("--use", action="append", metavar="STAGE=METHOD", help="e.g. cam=head,pseudo=agmm,refine=sam")
    run.add_argument("--encoder", metavar="NAME", help="encoder of the dense features, of all stages")
    run.add_argument("--param", action="append", metavar="STAGE.PARAMETER=VALUE", help="e.g. cam.scales=0.5,1")
    options.add_images(run)
    run.add_argument("--again", action="store_true", help="also what is up to date, with all labels of today")
    options.add_device(run)
    options.add_workers(run)
    options.add_json(run)
    run.set_defaults(run=_run)

    segment = commands.add_parser("segment", help="one object by clicks, no project needed")
    segment.add_argument("image", type=options.existing, metavar="IMAGE")
    segment.add_argument("--point", action="append", type=options.point, default=[], metavar="y,x[,0|1]")
    segment.add_argument("--box", action="append", type=options.box, default=[], metavar="y0,x0,y1,x1")
    segment.add_argument("--out", type=Path, required=True, metavar="MASK", help="PNG or TIFF, 0 and 1")
    segment.add_argument("--plane", default="", help="plane of a stack, e.g. z12")
    segment.add_argument(
        "--model",
        metavar="NAME_OR_FILE",
        help="embedded (default; ships with the product), random_walker, or a SAM",
    )
    options.add_device(segment)
    segment.set_defaults(run=_segment)


def _methods() -> str:
    """Every method that is installed, by stage, read without importing one."""
    from napari_wsss.choices import DEFAULT_ENCODER, DEFAULT_ENCODERS, DEFAULTS, KIND

    kinds = [(f"--use {stage}", kind, {DEFAULTS[stage]: "default"}) for stage, kind in KIND.items()]
    encoders = {DEFAULT_ENCODER: "default", DEFAULT_ENCODERS["cam"]: "default of cam"}
    others: list[tuple[str, str, Mapping[str, str]]] = [
        ("--encoder", "encoders", encoders),
        ("export --format", "exporters", {}),
    ]
    return "\n".join(options.methods(*row) for row in (*kinds, *others))


def _run(arguments: argparse.Namespace) -> int:
    from napari_wsss.pipeline import STAGES, Plan, run
    from napari_wsss.project import Project

    plan = Plan(
        stages=list(dict.fromkeys(arguments.stages or STAGES)),
        use=_stages_only(options.assignments(arguments.use)),
        encoder=arguments.encoder,
        params=options.parameters(arguments.param),
        images=arguments.images,
        again=arguments.again,
        device=arguments.device,
    )
    with Project.open(arguments.project) as project, options.workers(arguments) as workers:
        if not project.records():
            raise UsageError(f"{arguments.project} has no images; add some with `napari-wsss add`")
        report = run(project, plan, options.progress_bar(), workers)
    for line in [*report.skipped, *report.failed]:
        print(line, file=sys.stderr)
    if arguments.json:
        options.print_json({**vars(report), "seconds": round(report.seconds, 3)})
    else:
        for stage in plan.stages:
            print(f"{stage}: {len(report.computed[stage])} computed, {report.up_to_date[stage]} up to date")
        if report.used:
            print("with " + ", ".join(f"{k} {v}" for k, v in report.used.items()) + f" in {report.seconds:.1f} s")
    if report.failed and not any(report.computed.values()):
        raise WsssError(f"no image could be computed; the first: {report.failed[0]}")
    return 0


def _stages_only(use: dict[str, str]) -> dict[str, str]:
    from napari_wsss.pipeline import STAGES

    for stage in use:
        if stage not in STAGES:
            raise UsageError(f"--use {stage}: no such stage; there are: {', '.join(STAGES)}")
    return use


def _segment(arguments: argparse.Namespace) -> int:
    if arguments.out.suffix.lower() not in (".png", ".tif", ".tiff"):
        raise UsageError(f"{arguments.out}: write the mask as .png or .tif")
    from napari_wsss.segment import DEFAULT_MODEL, predictor, segment_file

    chosen = predictor(arguments.model or DEFAULT_MODEL, arguments.device)
    pixels = segment_file(arguments.image, arguments.plane, arguments.point, arguments.box, chosen, arguments.out)
    print(f"{arguments.out}: {pixels} pixels, by {chosen.model}")
    return 0
