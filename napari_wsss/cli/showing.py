"""``demo``: the main job on images that ship with the product."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from napari_wsss.cli import options


def add_commands(commands: Any) -> None:
    demo = commands.add_parser(
        "demo",
        help="the main job on bundled images: hints, masks, an export and a report",
        description="The main job on bundled images: weak labels, activation maps, pseudo-labels, refined and "
        "accepted masks, an export and a one-page report with pictures. Needs no network. With a display it opens "
        "napari on the result.",
    )
    demo.add_argument("--headless", action="store_true", help="open no window")
    demo.add_argument(
        "--out",
        type=Path,
        default=Path("demo"),
        metavar="DIR",
        help="where it is written (default: ./demo); an earlier demo there is replaced unless somebody worked on it",
    )
    options.add_device(demo)
    demo.set_defaults(run=_demo)


def _demo(arguments: argparse.Namespace) -> int:
    from napari_wsss.demo import run_demo

    # a bar would be torn by the lines that tell what is done
    outcome = run_demo(arguments.out, lambda line: print(line, flush=True), device=arguments.device)
    print(f"done in {outcome.seconds:.0f} s; open in a browser: {outcome.page}")
    if not arguments.headless:
        _open_window(next(iter(outcome.projects.values())))
    return 0


def _open_window(project: Path) -> None:
    """napari on a project, or one line that says why not."""
    if not _has_display():
        print("no display, so no window was opened")
    elif importlib.util.find_spec("napari") is None:
        print("napari is not installed, so no window was opened; get it with: pip install 'napari-wsss[gui]'")
    else:
        viewer = importlib.import_module("napari_wsss.viewer")
        viewer.open_project(project)


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
