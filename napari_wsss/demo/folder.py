"""The demo's folder: it is cleared only of what an earlier demo wrote and nobody touched since."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from napari_wsss.errors import UsageError
from napari_wsss.project import Project
from napari_wsss.project.atomic import TEMPORARY, write_bytes

MARK = "napari-wsss-demo.json"
PAGE = "report.html"
PICTURES = "pictures"
PROJECT = "project"
_OF_A_THEME = {"images", "truth", PROJECT, "exports", PAGE}


class DemoFolder:
    """A folder that holds a demo and nothing else.

    Attributes
    ----------
    path : Path
        Absolute.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self._left: dict[str, dict[str, str]] = {}

    def claim(self) -> None:
        """Make the folder, or clear it of an earlier demo.

        Raises
        ------
        UsageError
            If it holds something else, or labels that a person gave since.
        """
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path} is a file; give the demo a folder with --out")
        if self.path.exists() and any(self.path.iterdir()):
            self._clear()
        self.path.mkdir(parents=True, exist_ok=True)
        self._write_mark()

    def begin(self, theme: str) -> Path:
        """The new folder of a theme."""
        self._left[theme] = {}
        self._write_mark()
        folder = self.path / theme
        folder.mkdir()
        return folder

    def finish(self, theme: str, project: Project) -> None:
        """Remember what the demo left, so that a person's later work on it is noticed; drop what it cached."""
        # hundreds of megabytes of features, computed again in seconds should somebody go on with the project
        shutil.rmtree(project.folder / "cache", ignore_errors=True)
        self._left[theme] = _labels(project)
        self._write_mark()

    def _clear(self) -> None:
        left = self._read_mark()
        allowed = {MARK, PAGE, PICTURES, *left}
        strange = sorted(p.name for p in self.path.iterdir() if p.name not in allowed)
        for theme, labels in left.items():
            folder = self.path / theme
            if not folder.exists():
                continue
            strange += [f"{theme}/{p.name}" for p in folder.iterdir() if p.name not in _OF_A_THEME]
            self._refuse_touched(folder / PROJECT, labels)
        if strange:
            raise UsageError(f"{self.path} holds {strange[0]}, which no demo wrote; choose another folder with --out")
        for name in (*left, PICTURES):
            if (self.path / name).exists():
                shutil.rmtree(self.path / name)
        for name in (PAGE, MARK):
            (self.path / name).unlink(missing_ok=True)

    def _read_mark(self) -> dict[str, dict[str, str]]:
        mark = self.path / MARK
        if not mark.is_file():
            raise UsageError(f"{self.path} is not empty and no demo's; choose another folder with --out")
        try:
            found = json.loads(mark.read_text(encoding="utf-8"))
            left = {str(t): {str(i): str(d) for i, d in labels.items()} for t, labels in found.items()}
            if any(Path(theme).name != theme for theme in left):
                raise ValueError("a theme is no name of a folder")
            return left
        except (ValueError, AttributeError) as error:
            raise UsageError(f"{mark} cannot be understood; choose another folder with --out") from error

    def _refuse_touched(self, project: Path, labels: dict[str, str]) -> None:
        if not labels or not project.exists():
            return
        with Project.open(project) as opened:
            touched = _labels(opened) != labels
        if touched:
            raise UsageError(f"{project} holds labels given since the demo; choose another folder with --out")

    def _write_mark(self) -> None:
        text = json.dumps(self._left, indent=1, sort_keys=True)
        write_bytes(self.path / MARK, text.encode(), self.path / TEMPORARY)
        (self.path / TEMPORARY).rmdir()


def _labels(project: Project) -> dict[str, str]:
    """Digest of everything a person said of each image, accepted masks included."""
    return {record.name: record.labels_digest for record in project.records()}
