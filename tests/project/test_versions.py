"""A newer version opens an older project; an older one refuses a newer project and leaves it untouched."""

from __future__ import annotations

import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from napari_wsss.errors import UsageError, WsssError
from napari_wsss.project import Project, journal, settings
from napari_wsss.types import Point, Region

NOW = settings.FORMAT


def _content(folder: Path) -> dict[str, bytes]:
    return {str(f.relative_to(folder)): f.read_bytes() for f in folder.rglob("*") if f.is_file()}


def _newer(monkeypatch, migration=lambda db: None) -> None:
    monkeypatch.setattr(settings, "FORMAT", NOW + 1)
    monkeypatch.setattr(journal, "FORMAT", NOW + 1)
    monkeypatch.setitem(journal.MIGRATIONS, NOW, migration)


def test_an_older_project_is_migrated_and_then_refused_by_the_older_version(project, by, monkeypatch) -> None:
    project.add_marks("a.png", [Point(1, 1, 1)], by)
    project.close()
    toml = project.folder / settings.FILE
    toml.write_text(toml.read_text(encoding="utf-8") + "# my own remark\n", encoding="utf-8")
    with monkeypatch.context() as later:
        _newer(later, lambda db: db.execute("CREATE TABLE novelty (id INTEGER PRIMARY KEY)"))
        with Project.open(project.folder) as newer:
            assert newer.labels("a.png").marks == (Point(1, 1, 1),)
            assert newer._journal.version == NOW + 1
        assert "# my own remark" in toml.read_text(encoding="utf-8")
        assert f"format = {NOW + 1}" in toml.read_text(encoding="utf-8")
    before = _content(project.folder)
    with pytest.raises(UsageError, match="newer version"):
        Project.open(project.folder)
    assert _content(project.folder) == before


def test_a_newer_journal_is_refused_even_where_the_settings_are_old(project) -> None:
    project.close()
    with sqlite3.connect(project.folder / journal.FILE) as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    before = _content(project.folder)
    with pytest.raises(UsageError, match="newer version"):
        Project.open(project.folder)
    assert _content(project.folder) == before


def test_a_migration_that_fails_changes_nothing(project, monkeypatch) -> None:
    project.close()

    def broken(db: sqlite3.Connection) -> None:
        db.execute("DROP TABLE marks")
        raise WsssError("no")

    with monkeypatch.context() as later:
        _newer(later, broken)
        with pytest.raises(WsssError, match="no"):
            Project.open(project.folder)
    with Project.open(project.folder) as again:
        assert again.check() == []


def test_no_project_and_a_full_folder_are_named(tmp_path: Path, project) -> None:
    with pytest.raises(UsageError, match=r"no project\.toml"):
        Project.open(tmp_path)
    with pytest.raises(UsageError, match="not an empty folder"):
        Project.create(tmp_path, ["a"])
    project.close()
    (project.folder / journal.FILE).write_bytes(b"text")
    with pytest.raises(WsssError, match="damaged"):
        Project.open(project.folder)


def test_nothing_of_a_project_is_pickled_or_absolute_but_the_images_paths(project, by, pictures) -> None:
    project.add_marks("a.png", [Point(1, 1, 1)], by)
    project.close()
    with sqlite3.connect(project.folder / journal.FILE) as db:
        dump = [line for line in db.iterdump() if str(project.folder) in line]
    db.close()
    assert dump == []
    assert not list(project.folder.rglob("*.pkl"))


def test_a_project_of_the_first_format_gets_the_regions(project, by) -> None:
    project.add_marks("a.png", [Point(1, 1, 1)], by)
    project.close()
    with sqlite3.connect(project.folder / journal.FILE) as db:
        db.execute("DROP TABLE regions")
        db.execute("PRAGMA user_version = 1")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    toml = project.folder / settings.FILE
    toml.write_text(toml.read_text(encoding="utf-8").replace(f"format = {NOW}", "format = 1"), encoding="utf-8")
    with Project.open(project.folder) as newer:
        assert newer.regions() == []
        assert newer.labels("a.png").marks == (Point(1, 1, 1),)
        found = Region("a.png", (0, 1, 4, 5), 0.5, 0.4, 0.3, (2, 1), "because", "ripu")
        (number,) = newer.add_regions([found], by)
        assert newer.regions(("asked",)) == [replace(found, id=number)]
        newer.answer_region(number, "skipped", by)
        assert newer.regions(("asked",)) == []
        assert newer.region(number).status == "skipped"
        with pytest.raises(UsageError, match="no region 99"):
            newer.region(99)
