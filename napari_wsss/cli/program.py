"""The program: its commands, and how their failures reach a person."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from napari_wsss import __version__
from napari_wsss.cli import benching, exporting, labelling, modelling, project, running, showing, simulating, training
from napari_wsss.errors import Cancelled, UsageError, WsssError

OK, FAILED, WRONG_USE, STOPPED = 0, 1, 2, 130


class Parser(argparse.ArgumentParser):
    """Wrong use is one line on stderr and exit status 2."""

    def error(self, message: str) -> NoReturn:
        self.exit(WRONG_USE, f"{self.prog}: {message} (see {self.prog} --help)\n")


def parser() -> argparse.ArgumentParser:
    """The whole command line. Builds no method and imports no torch."""
    root = Parser(
        prog="napari-wsss",
        description="From a few cheap hints (tags, points, scribbles, boxes) to finished segmentation masks.",
    )
    root.add_argument("--version", action="version", version=f"napari-wsss {__version__}")
    commands = root.add_subparsers(dest="command", metavar="COMMAND", required=True, parser_class=Parser)
    for module in (showing, project, labelling, running, training, simulating, exporting, modelling, benching):
        module.add_commands(commands)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status (0 done, 1 failed, 2 wrong use, 130 stopped by Ctrl-C)."""
    try:
        arguments = parser().parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    arguments.own_process = argv is None  # not called from within another program
    try:
        status = arguments.run(arguments)
    except UsageError as error:
        return _say(error, WRONG_USE)
    except (KeyboardInterrupt, Cancelled):
        print("napari-wsss: stopped; what was finished is kept", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except WsssError as error:
        return _say(error, FAILED)
    except Exception as error:  # noqa: BLE001  # the last door: nothing may reach a person as a traceback
        return _unforeseen(error)
    return OK if status is None else int(status)


def _say(error: Exception, status: int) -> int:
    print(f"napari-wsss: {' '.join(str(error).split())}", file=sys.stderr)
    return status


def _unforeseen(error: Exception) -> int:
    """One line for the person, the traceback in a file whose path is printed."""
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    log = _write_log(traceback.format_exc())
    print(f"napari-wsss: failed, {reason[:300]} (details: {log})", file=sys.stderr)
    return FAILED


def _write_log(text: str) -> Path:
    name = f"napari-wsss-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
    path = Path(tempfile.gettempdir()) / name
    path.write_text(f"napari-wsss {__version__}\n{' '.join(sys.argv)}\n\n{text}", encoding="utf-8")
    return path
