"""Doing the demo: each theme's project from its images to its export and report, with the public functions."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_wsss import assess, datasets, labelling, pipeline
from napari_wsss.demo.folder import PAGE, PICTURES, PROJECT, DemoFolder
from napari_wsss.demo.page import Section, overview
from napari_wsss.demo.sheets import sheet
from napari_wsss.demo.story import report_of
from napari_wsss.demo.themes import THEMES, Theme
from napari_wsss.errors import WsssError
from napari_wsss.pictures import encoded
from napari_wsss.project import Project
from napari_wsss.report import write_report
from napari_wsss.types import Progress, no_progress

Say = Callable[[str], None]


@dataclass(frozen=True)
class Outcome:
    """What a demo left: the overview, and the project folder of each theme."""

    page: Path
    projects: Mapping[str, Path]
    seconds: float


def run_demo(
    out: Path,
    say: Say,
    themes: Sequence[Theme] = THEMES,
    device: str = "auto",
    progress: Progress = no_progress,
) -> Outcome:
    """Do the main job on the themes, below one folder.

    Parameters
    ----------
    out : Path
        A folder that is new, empty, or an earlier demo's that nobody worked on since.
    say : callable
        Told what is done, a line at a time.
    device : ``auto``, ``cpu``, ``cuda`` or ``mps``

    Raises
    ------
    UsageError
        For a folder that holds something else.
    WsssError
        If an image was left without a mask.
    """
    start = time.perf_counter()
    folder = DemoFolder(out)
    folder.claim()
    sections, used = [], ""
    for theme in themes:
        section, used = _one(theme, folder, say, device, progress)
        sections.append(section)
    seconds = time.perf_counter() - start
    page = folder.path / PAGE
    facts = {"device": used, "seconds": f"{seconds:.0f}", "themes": ", ".join(t.name for t in themes)}
    page.write_text(overview(sections, facts), encoding="utf-8")
    return Outcome(page, {t.name: folder.path / t.name / PROJECT for t in themes}, seconds)


def _one(theme: Theme, folder: DemoFolder, say: Say, device: str, progress: Progress) -> tuple[Section, str]:
    """A theme from its images to its report; its section of the overview, and the device in words."""
    place = folder.begin(theme.name)
    truth = _images_and_truth(theme, place)
    with Project.create(place / PROJECT, theme.classes, params=theme.params) as project:
        say(f"{theme.title}: {_images_and_hints(project, theme, place)}")
        done = pipeline.run(project, pipeline.Plan(stages=theme.stages, device=device), progress)
        lines = [*_accept_all(project, done), *_export(project, theme, place)]
        figures = {} if truth is None else assess.figures(project, truth)
        report = report_of(project, theme.title, _facts(done), truth, figures)
        write_report(report, place / PAGE, progress)
        picture = sheet(report, theme.shown)
        folder.finish(theme.name, project)
    lines += [*([_quality(figures)] if figures else []), *done.skipped]
    for line in (*lines, f"report: {place / PAGE}"):
        say(f"  {line}")
    (folder.path / PICTURES).mkdir(exist_ok=True)
    (folder.path / PICTURES / f"{theme.name}.png").write_bytes(encoded(picture, "PNG"))
    section = Section(theme.title, theme.story, encoded(picture), tuple(lines), figures, _links(theme))
    return section, done.used.get("device", device)


def _images_and_truth(theme: Theme, place: Path) -> Path | None:
    """Write the theme's images; the folder of their truth, None where nobody knows it."""
    images, truth = place / "images", place / "truth"
    images.mkdir()
    truth.mkdir()
    theme.write(images, truth)
    if any(truth.iterdir()):
        return truth
    truth.rmdir()
    return None


def _images_and_hints(project: Project, theme: Theme, place: Path) -> str:
    """Take both into the project; what they are, in words."""
    added = project.add_images([place / "images"])
    hints = theme.hints()
    imported = labelling.import_labels(
        project,
        tags=hints.get("tags"),
        points=hints.get("points"),
        scribbles=hints.get("scribbles"),
        boxes=hints.get("boxes"),
    )
    return f"{len(added.added)} images, hints: {', '.join(i.kind for i in imported)}"


def _links(theme: Theme) -> dict[str, str]:
    links = {"full report": f"{theme.name}/{PAGE}", "project": f"{theme.name}/{PROJECT}/"}
    return links | {form: f"{theme.name}/exports/{form}/" for form in theme.exports}


def _accept_all(project: Project, done: pipeline.RunReport) -> list[str]:
    accepted, lacking = pipeline.accept(project, None, "refined")
    if lacking or done.failed:
        raise WsssError(f"no mask of {', '.join(lacking)}: {'; '.join([*done.failed, *done.skipped])}")
    made = ", ".join(f"{len(names)} {stage}" for stage, names in done.computed.items() if names)
    methods = ", ".join(f"{stage} {name}" for stage, name in done.used.items() if stage != "device")
    return [
        f"{methods} on {done.used.get('device', '')}: {done.seconds:.1f} s",
        f"computed {made}; accepted {len(accepted)} refined masks",
    ]


def _export(project: Project, theme: Theme, place: Path) -> list[str]:
    lines = []
    for form, params in theme.exports.items():
        n = datasets.export(project, place / "exports" / form, form, params=params)
        lines.append(f"exported {n} masks as {form}: {place / 'exports' / form}")
    return lines


def _facts(done: pipeline.RunReport) -> dict[str, str]:
    return {
        "device": done.used.get("device", ""),
        "encoder": done.used.get("encoder", ""),
        "seconds": f"{done.seconds:.1f}",
        **({"left out": "; ".join(done.skipped)} if done.skipped else {}),
    }


def _quality(figures: Mapping[str, Mapping[str, Any]]) -> str:
    said = ", ".join(f"{stage} {values['miou']:.3f}" for stage, values in figures.items() if "miou" in values)
    return f"mIoU against the drawn truth: {said}"
