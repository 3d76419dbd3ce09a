"""Options and output that several commands share."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from napari_wsss import registry
from napari_wsss.errors import UsageError
from napari_wsss.types import Box4, Progress
from napari_wsss.workers import Workers, processes, scheduler


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout and nothing else there")


def add_device(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="where models run (default: auto)"
    )


def add_images(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--images", nargs="+", metavar="NAME", help="only these images (default: all)")


def add_workers(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N", help="processes that compute (default: this one)"
    )
    parser.add_argument(
        "--scheduler", metavar="ADDRESS", help="a dask scheduler, whose workers compute, e.g. tcp://head:8786"
    )


@contextmanager
def workers(arguments: argparse.Namespace) -> Iterator[Workers | None]:
    """Who computes; None = this process."""
    if arguments.workers < 0:
        raise UsageError(f"--workers {arguments.workers}: a number of processes from 0 on")
    if arguments.scheduler and arguments.workers:
        raise UsageError("--scheduler brings its own workers; leave out --workers")
    if arguments.scheduler:
        with scheduler(arguments.scheduler) as found:
            yield found
    else:
        yield processes(arguments.workers) if arguments.workers else None


def comma_separated(text: str) -> list[str]:
    """``a,b,c`` as a list without empty entries."""
    return [part.strip() for part in text.split(",") if part.strip()]


def box(text: str) -> Box4:
    """``y0,x0,y1,x1`` as four integers."""
    try:
        y0, x0, y1, x1 = (int(v) for v in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not y0,x0,y1,x1") from None
    if y0 >= y1 or x0 >= x1:
        raise argparse.ArgumentTypeError(f"{text!r} is an empty box; it is half open, y0 < y1 and x0 < x1")
    return y0, x0, y1, x1


def point(text: str) -> tuple[int, int, bool]:
    """``y,x`` or ``y,x,0|1`` as a click; 1, the default, is on the object."""
    parts = text.split(",")
    try:
        numbers = [int(v) for v in parts]
    except ValueError:
        numbers = []
    if len(numbers) not in (2, 3) or (len(numbers) == 3 and numbers[2] not in (0, 1)):
        raise argparse.ArgumentTypeError(f"{text!r} is not y,x or y,x,0 or y,x,1")
    return numbers[0], numbers[1], len(numbers) == 2 or numbers[2] == 1


def assignments(texts: list[str] | None) -> dict[str, str]:
    """``a=b`` entries, each text perhaps several with commas, as a dict."""
    found: dict[str, str] = {}
    for text in texts or []:
        for part in comma_separated(text):
            name, equals, value = part.partition("=")
            if not equals or not name or not value:
                raise UsageError(f"{part!r} is not NAME=VALUE")
            found[name] = value
    return found


def parameters(texts: list[str] | None) -> dict[str, dict[str, str]]:
    """``cam.layers=3`` entries by group: ``{"cam": {"layers": "3"}}``."""
    found: dict[str, dict[str, str]] = {}
    for text in texts or []:
        name, equals, value = text.partition("=")
        group, dot, key = name.partition(".")
        if not equals or not dot or not group or not key:
            raise UsageError(f"--param {text!r} is not STAGE.PARAMETER=VALUE, e.g. cam.layers=3")
        found.setdefault(group.replace("-", "_"), {})[key] = value
    return found


def print_json(value: Any) -> None:
    print(json.dumps(value, ensure_ascii=False))


def progress_bar(quiet: bool = False) -> Progress:
    """A bar on a terminal, a plain line now and then otherwise; always on stderr."""
    if quiet:
        return lambda done, total, what: None
    return _Bar() if sys.stderr.isatty() else _Lines()


class _Bar:
    def __call__(self, done: int, total: int, what: str) -> None:
        if not total:
            return
        filled = 24 * done // max(total, 1)
        end = "\n" if done >= total else ""
        text = f"[{'#' * filled}{'.' * (24 - filled)}] {done}/{total} {what}"
        print(f"\r{text[:110]:<110}", end=end, file=sys.stderr, flush=True)


class _Lines:
    """At most a line every five seconds, and the last of each count."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, done: int, total: int, what: str) -> None:
        now = time.monotonic()
        if not total:
            return
        if done >= total or now - self._last >= 5:
            self._last = now
            print(f"{done}/{total} {what}", file=sys.stderr, flush=True)


def methods(title: str, kind: str, default: Mapping[str, str]) -> str:
    """Every method of a kind that is installed, a line each, read without importing one.

    Parameters
    ----------
    default : name of a method that is taken when none is named, to what is said of it
    """
    lines = [f"{title}:"]
    for name in registry.names(kind):
        mark = f" ({default[name]})" if name in default else ""
        lines.append(f"  {name.replace('_', '-'):<18}{summary(kind, name)}{mark}")
    return "\n".join(lines)


def summary(kind: str, name: str) -> str:
    """A method's one line; one that another package announces and does not bring must not spoil the help."""
    try:
        return registry.summary(kind, name)
    except (ImportError, SyntaxError, OSError, ValueError) as error:
        return f"cannot be loaded ({error}); mend or remove its package"


def existing(text: str) -> Path:
    """A path that must exist."""
    path = Path(text)
    if not path.exists():
        raise argparse.ArgumentTypeError(f"{text} does not exist")
    return path
