"""``bench``: how fast and how good, each beside a named reference in the same run."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from napari_wsss.cli import options
from napari_wsss.device import choose
from napari_wsss.errors import UsageError, WsssError


def add_commands(commands: Any) -> None:
    bench = commands.add_parser(
        "bench",
        help="measure speed and quality beside named references",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Measure speed and quality, each beside a named reference in the same run. A ratio above 1 is\n"
        "better than the reference. Without NAME all benchmarks run, one after another,\n"
        "but for those that take hours (asking, learn, losses).",
        epilog=_benchmarks(),
    )
    bench.add_argument("name", nargs="?", metavar="NAME", help="one of those below; default: all")
    bench.add_argument(
        "--set",
        action="append",
        type=options.existing,
        default=[],
        dest="sets",
        metavar="DIR",
        help="images/, masks/, classes.txt and train.txt (clicks: test.txt); may be given several times "
        "(default: images drawn here)",
    )
    bench.add_argument(
        "--hints",
        type=options.existing,
        metavar="DIR",
        help="points.csv and scribbles/ for the loop, or DIR/SET/ for each set (default: made from the masks)",
    )
    bench.add_argument("--hurry", action="store_true", help="hint only the five largest regions a class and image")
    bench.add_argument("--use", action="append", metavar="STAGE=METHOD", help="methods of the loop, as for `run`")
    bench.add_argument("--threads", type=_count, metavar="N", help="of both sides (default: 1 and 2; the loop 2)")
    clicks = bench.add_argument_group("options of clicks")
    clicks.add_argument("--model", metavar="NAME", help="what is measured as ours (default: the embedded model)")
    clicks.add_argument("--class", dest="of_class", metavar="NAME", help="click on this class, where a set names it")
    clicks.add_argument("--jitter", type=_count, default=0, metavar="N", help="also N annotators who miss the centre")
    clicks.add_argument("--worst", type=_count, default=0, metavar="N", help="draw the N hardest objects of each set")
    learning = bench.add_argument_group("options of learn, losses and asking")
    learning.add_argument(
        "--segmenter", metavar="NAME", help="default: learn the product's; losses, asking frozen; asking: none"
    )
    learning.add_argument("--minutes", type=_minutes, metavar="M", help="of a training (learn 5, losses 2)")
    learning.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda", "mps"),
        default="cpu",
        help="where trainings run; minutes are CPU minutes on the CPU (default), else of the clock",
    )
    learning.add_argument("--seeds", type=_count, metavar="N", help="repetitions (losses 3, asking 5)")
    learning.add_argument(
        "--shard",
        type=_shard,
        metavar="K/N",
        help="make every N-th training from the K-th on, beside other processes with the same --out; prints no rows",
    )
    learning.add_argument("--stored", action="store_true", help="rows of what is finished; make nothing")
    bench.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help="of clicks, learn, losses, asking: finished rows, to go on from (default: the cache)",
    )
    bench.add_argument("--markdown", type=Path, metavar="FILE", help="also write the rows as a table, anew after each")
    options.add_json(bench)
    bench.set_defaults(run=_bench)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of threads")
    return int(text)


def _shard(text: str) -> Any:
    from napari_wsss.bench import Shard

    number, slash, of = text.partition("/")
    if not (slash and number.isdecimal() and of.isdecimal() and 1 <= int(number) <= int(of)):
        raise argparse.ArgumentTypeError(f"{text!r} is not K/N with K from 1 to N")
    return Shard(int(number), int(of))


def _minutes(text: str) -> float:
    try:
        minutes = float(text)
    except ValueError:
        minutes = 0.0
    if not 0 < minutes < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of minutes")
    return minutes


def _benchmarks() -> str:
    from napari_wsss import bench

    return "\n".join(["benchmarks:", *(f"  {name:<10}{bench.summary(name)}" for name in bench.names())])


def _bench(arguments: argparse.Namespace) -> int:
    from napari_wsss import bench
    from napari_wsss.bench._tables import as_markdown

    if arguments.hints and not arguments.sets:
        raise UsageError("--hints needs --set: they are hints for the images of a set")
    if arguments.hints and arguments.hurry:
        raise UsageError("--hurry is about hints that are made here; leave out --hints")
    _check_sharing(arguments)
    setting = bench.Setting(
        tuple(arguments.sets),
        arguments.hints,
        arguments.hurry,
        options.assignments(arguments.use),
        arguments.threads,
        options.progress_bar(),
        model=arguments.model,
        of_class=arguments.of_class,
        jitter=arguments.jitter,
        worst=arguments.worst,
        results=arguments.out,
        segmenter=arguments.segmenter and arguments.segmenter.replace("-", "_"),
        minutes=arguments.minutes,
        seeds=arguments.seeds,
        device=choose("auto") if arguments.device == "auto" else arguments.device,
        shard=arguments.shard,
        stored=arguments.stored,
        note=lambda line: print(f"napari-wsss: {line}", file=sys.stderr),
    )
    if arguments.name and arguments.name not in bench.names():
        raise UsageError(f"no benchmark {arguments.name!r}; there are: {', '.join(bench.names())}")
    machine = bench.machine()
    if not arguments.json:
        print(", ".join(f"{key} {value}" for key, value in machine.items() if value is not None))
    rows = []
    for name, row in _measured(arguments.name, setting):
        if arguments.name is None:
            row["what"] = f"{name}.{row['what']}"
        rows.append(row)
        if arguments.markdown is not None:
            arguments.markdown.write_text(as_markdown(rows), encoding="utf-8")
        if not arguments.json:
            print(_line(row), flush=True)
    if arguments.json:
        options.print_json({"bench": arguments.name or "all", "machine": machine, "rows": rows})
    return 0


def _check_sharing(arguments: argparse.Namespace) -> None:
    """Raises UsageError where an option of the long benchmarks is not meant for what runs."""
    from napari_wsss.bench import HOURS

    given = {"--device": arguments.device != "cpu", "--shard": arguments.shard, "--stored": arguments.stored}
    if arguments.name not in HOURS:
        for option in (name for name, value in given.items() if value):
            raise UsageError(f"{option} is of the benchmarks {', '.join(HOURS)}; name one of them")
    if arguments.shard and arguments.stored:
        raise UsageError("--shard makes rows and --stored makes none; leave out one of them")


def _measured(wanted: str | None, setting: Any) -> Any:
    """Benchmark and row; where all run, one that cannot is a line on stderr."""
    from napari_wsss import bench

    failed = None
    for name in [wanted] if wanted else [n for n in bench.names() if n not in bench.HOURS]:
        try:
            for row in bench.measure(name, setting):
                yield name, row.as_json()
        except WsssError as reason:
            if wanted or isinstance(reason, UsageError):
                raise
            print(f"napari-wsss: {reason}", file=sys.stderr)
            failed = reason
    if failed is not None:
        raise WsssError(f"not all benchmarks ran; the last reason: {failed}")


def _line(row: dict[str, Any]) -> str:
    beside = "" if row["reference"] is None else f"   reference {row['reference']:.4g}"
    ratio = "" if row["ratio"] is None else f"   ratio {row['ratio']:.2f}"
    return f"{row['set']:<44} {row['what']:<24} {row['method']:<26} {row['value']:>9.4g} {row['unit']}{beside}{ratio}"
