"""``models``: weights on this machine, and how to get them."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import Any

from napari_wsss.cli import options
from napari_wsss.home import home


def add_commands(commands: Any) -> None:
    models = commands.add_parser("models", help="model weights: list, fetch, verify, path")
    verbs = models.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=type(models))
    listing = verbs.add_parser("list", help="every model: size, licence, what it is good for, whether it is here")
    options.add_json(listing)
    listing.set_defaults(run=_list)
    fetch = verbs.add_parser("fetch", help="download a model (the only command that uses the network)")
    fetch.add_argument("name", metavar="NAME")
    fetch.add_argument(
        "--from", dest="source", type=options.existing, metavar="FILE", help="take this file; no network"
    )
    fetch.set_defaults(run=_fetch)
    verify = verbs.add_parser("verify", help="check the hash of models that are here")
    verify.add_argument("names", nargs="*", metavar="NAME", help="default: all that are here")
    verify.set_defaults(run=_verify)
    path = verbs.add_parser("path", help="where a model's file is")
    path.add_argument("name", metavar="NAME")
    path.set_defaults(run=_path)


def _list(arguments: argparse.Namespace) -> int:
    from napari_wsss.models import store

    rows = store.listing()
    if arguments.json:
        models = [{**dataclasses.asdict(r.entry), "path": str(r.path), "present": r.present} for r in rows]
        options.print_json({"cache": str(home()), "models": models})
        return 0
    print(f"cache: {home()}")
    for row in rows:
        model = row.entry
        here = "not here" if not row.present else "built in" if model.built_in else "here"
        print(f"{model.name:<28}{model.size / 1e6:>8.1f} MB  {here:<9} {model.licence}")
        print(f"    {model.architecture}; {model.good_for}; {model.checksum}")
    return 0


def _fetch(arguments: argparse.Namespace) -> int:
    from napari_wsss.models import store

    source: Path | None = arguments.source
    print(f"{arguments.name}: {store.fetch(arguments.name, source, options.progress_bar()).detail}")
    return 0


def _verify(arguments: argparse.Namespace) -> int:
    from napari_wsss.models import store

    names = arguments.names or [row.entry.name for row in store.listing() if row.present]
    if not names:
        print("no models are here")
    verdicts = [store.verify(name) for name in names]
    for verdict in verdicts:
        print(f"{verdict.name}: {verdict.detail}")
    return 1 if any(v.status in ("wrong", "absent") for v in verdicts) else 0


def _path(arguments: argparse.Namespace) -> int:
    from napari_wsss.models import store

    print(store.path(arguments.name))
    return 0
