"""Where a person was: written after every action, so that the next start can go on from there."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from napari_wsss.home import home
from napari_wsss.session import draft as drafts
from napari_wsss.session.draft import Draft

FILE = "window.json"


@dataclass(frozen=True, eq=False)
class Place:
    """Where a person was in a project: image, class, unfinished object, and what the window adds (camera, layers)."""

    image: str = ""
    class_id: int = 0
    draft: Draft | None = None
    view: Mapping[str, Any] = field(default_factory=dict)


def write_place(folder: Path, place: Place) -> None:
    """Write it beside the journal, whole or not at all."""
    draft = drafts.to_json(place.draft) if place.draft else None
    _write(folder / FILE, {"image": place.image, "class": place.class_id, "draft": draft, "view": dict(place.view)})


def read_place(folder: Path) -> Place:
    """Where the person was; the beginning, if nothing (or nothing that can be understood) was written."""
    found = _read(folder / FILE)
    try:
        draft = drafts.from_json(found["draft"]) if found.get("draft") else None
        return Place(str(found["image"]), int(found["class"]), draft, dict(found["view"]))
    except (KeyError, TypeError, ValueError, IndexError):
        return Place()


def remember_project(folder: Path) -> None:
    """This is the project to go on with at the next start."""
    _write(home() / "last.json", {"project": str(folder)})


def last_project() -> Path | None:
    """The project of the last session, if it is still there."""
    folder = _read(home() / "last.json").get("project")
    return Path(folder) if isinstance(folder, str) and (Path(folder) / "project.toml").is_file() else None


def _write(file: Path, value: Any) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}-{os.getpid()}")
    beside.write_text(json.dumps(value), encoding="utf-8")
    os.replace(beside, file)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
