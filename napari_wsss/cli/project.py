"""``init`` and ``add``: a project and its images."""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path
from typing import Any

from napari_wsss.cli.options import comma_separated, progress_bar
from napari_wsss.errors import UsageError, WsssError


def add_commands(commands: Any) -> None:
    init = commands.add_parser("init", help="make a new project folder")
    init.add_argument("project", type=Path, metavar="PROJECT", help="a folder that does not exist yet or is empty")
    init.add_argument(
        "--classes", required=True, type=comma_separated, metavar="a,b,c", help="class names, each perhaps name#rrggbb"
    )
    init.add_argument("--images", nargs="+", type=Path, metavar="DIR_OR_FILE", help="images to add")
    _add_how(init)
    init.set_defaults(run=_init)

    add = commands.add_parser("add", help="add images to a project")
    add.add_argument("project", type=Path, metavar="PROJECT")
    add.add_argument("images", nargs="+", type=Path, metavar="IMAGES", help="files or folders")
    _add_how(add)
    add.set_defaults(run=_add)


def _add_how(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--copy", action="store_true", help="copy the images into the project (default: refer to them)")
    channels = "channels (from 0) that an RGB encoder sees, e.g. 2,1,0"
    parser.add_argument("--rgb", type=_three, metavar="R,G,B", help=channels)


def _three(text: str) -> tuple[int, int, int]:
    try:
        r, g, b = (int(v) for v in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not three channel numbers") from None
    return r, g, b


def _init(arguments: argparse.Namespace) -> int:
    from napari_wsss.project import Project

    missing = [p for p in arguments.images or [] if not p.exists()]
    if missing:
        raise UsageError(f"{missing[0]} does not exist")
    there_before = arguments.project.exists()
    project = Project.create(arguments.project, arguments.classes, rgb_channels=arguments.rgb)
    with project:
        try:
            if arguments.images:
                _take_in(project, arguments)
        except (WsssError, KeyboardInterrupt):
            project.close()
            if not there_before:
                shutil.rmtree(arguments.project, ignore_errors=True)
            raise
        print(f"{arguments.project}: {len(project.classes)} classes, {len(project.records())} images")
    return 0


def _add(arguments: argparse.Namespace) -> int:
    import dataclasses

    from napari_wsss.project import Project

    missing = [p for p in arguments.images if not p.exists()]
    if missing:
        raise UsageError(f"{missing[0]} does not exist")
    with Project.open(arguments.project) as project:
        if arguments.rgb:
            project.save_settings(dataclasses.replace(project.settings, rgb_channels=arguments.rgb))
        _take_in(project, arguments)
        print(f"{arguments.project}: {len(project.records())} images")
    return 0


def _take_in(project: Any, arguments: argparse.Namespace) -> None:
    report = project.add_images(arguments.images, copy=arguments.copy, progress=progress_bar())
    for line in report.unreadable:
        print(f"napari-wsss: {line}", file=sys.stderr)
    if report.known:
        print(f"{len(report.known)} images were in the project already")
    if not report.added and not report.known:
        reason = f"none of {len(report.unreadable)} could be read" if report.unreadable else "no images there"
        raise WsssError(f"no image was added: {reason} ({', '.join(str(p) for p in arguments.images[:3])})")
