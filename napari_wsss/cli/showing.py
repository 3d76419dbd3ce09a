"""``demo`` and ``open``: the main job on images that ship with the product, and the window."""

from __future__ import annotations

import argparse
import importlib.util
import os
import sys
from pathlib import Path
from typing import Any

from napari_wsss.cli import options
from napari_wsss.errors import UsageError


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
    window = commands.add_parser(
        "open",
        help="napari with the dock, on a project or on images",
        description="napari with the dock Weak supervision: on a project, where it was left; on images, as a project "
        "that can be given a name later; or empty.",
    )
    window.add_argument(
        "paths", nargs="*", type=options.existing, metavar="PROJECT or IMAGES", help="a project folder, or images"
    )
    window.set_defaults(run=_open)


def _open(arguments: argparse.Namespace) -> int:
    if not _has_display():
        raise UsageError("there is no display for a window; the other commands need none")
    if importlib.util.find_spec("napari") is None:
        raise UsageError("napari is not installed; get it with: pip install 'napari-wsss[gui]'")
    importlib.import_module("napari_wsss.widgets.opening").open_with_dock(arguments.paths)
    return 0


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
        importlib.import_module("napari_wsss.widgets.opening").open_with_dock([project])


def _has_display() -> bool:
    return sys.platform in ("win32", "darwin") or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
