"""``export`` and ``evaluate``: masks out, and how good they are."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from napari_wsss import registry
from napari_wsss.cli import options
from napari_wsss.errors import UsageError


def add_commands(commands: Any) -> None:
    formats = [n.replace("_", "-") for n in registry.names("exporters")]
    export = commands.add_parser(
        "export",
        help="write masks as a dataset",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Write masks as a dataset with a manifest.",
        epilog="formats:\n"
        + "\n".join(f"  {n:<10}{options.summary('exporters', n.replace('-', '_'))}" for n in formats),
    )
    export.add_argument("project", type=Path, metavar="PROJECT")
    export.add_argument("out", type=Path, metavar="OUT", help="a folder that is empty, new, or an earlier export")
    export.add_argument("--format", required=True, choices=formats, metavar="F", help=", ".join(formats))
    export.add_argument("--what", choices=("accepted", "refined", "pseudo", "predicted"), default="accepted")
    export.add_argument("--polygons", action="store_true", help="coco: polygons in place of RLE")
    export.add_argument("--background", action="store_true", help="also the class named background")
    export.add_argument("--param", action="append", metavar="PARAMETER=VALUE", help="a parameter of the format")
    export.add_argument("--split", default="0.8,0.1,0.1", metavar="TRAIN,VAL,TEST", help="shares (default 0.8,0.1,0.1)")
    export.add_argument("--split-seed", type=int, default=0, metavar="N")
    export.add_argument(
        "--split-by",
        default="image",
        metavar="RULE",
        help="what stays on one side: image (default), folder, or a regular expression for part of the name",
    )
    options.add_images(export)
    export.set_defaults(run=_export)

    evaluate = commands.add_parser("evaluate", help="figures against ground truth")
    evaluate.add_argument("project", type=Path, metavar="PROJECT")
    evaluate.add_argument("--truth", type=options.existing, required=True, metavar="DIR", help="STEM.png|tif class ids")
    evaluate.add_argument(
        "--what", type=options.comma_separated, metavar="KIND", help="cam,pseudo,refined,predicted,accepted"
    )
    evaluate.add_argument("--without-hints", action="store_true", help="leave out pixels that bear a stroke or point")
    options.add_json(evaluate)
    evaluate.set_defaults(run=_evaluate)


def _export(arguments: argparse.Namespace) -> int:
    from napari_wsss.curation import SplitRule
    from napari_wsss.datasets import export
    from napari_wsss.project import Project

    params: dict[str, Any] = dict(options.assignments(arguments.param))
    params.update({name: True for name in ("polygons", "background") if getattr(arguments, name)})
    rule = SplitRule(_ratios(arguments.split), arguments.split_seed, arguments.split_by)
    with Project.open(arguments.project) as project:
        n = export(
            project,
            arguments.out,
            arguments.format,
            what=arguments.what,
            params=params,
            rule=rule,
            images=arguments.images,
            progress=options.progress_bar(),
        )
    print(f"{arguments.out}: {n} {arguments.what} masks as {arguments.format}")
    return 0


def _ratios(text: str) -> tuple[float, float, float]:
    try:
        train, val, test = (float(v) for v in text.split(","))
    except ValueError:
        raise UsageError(f"--split {text!r} is not three shares, e.g. 0.8,0.1,0.1") from None
    return train, val, test


def _evaluate(arguments: argparse.Namespace) -> int:
    from napari_wsss.assess import figures
    from napari_wsss.project import Project

    with Project.open(arguments.project) as project:
        found = figures(project, arguments.truth, arguments.what, arguments.without_hints)
    if arguments.json:
        options.print_json(found)
        return 0
    for kind, values in found.items():
        print(kind)
        for name, value in values.items():
            print(f"  {name:<20}{value:.4f}" if isinstance(value, float) else f"  {name:<20}{value}")
    return 0
