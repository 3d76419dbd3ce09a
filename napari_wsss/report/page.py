"""The HTML of a report, written image by image: one file, pictures inside, nothing fetched, no script."""

from __future__ import annotations

import base64
import os
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from napari_wsss.pictures import encoded, rgb_of
from napari_wsss.report.contents import Report, ReportImage
from napari_wsss.report.row import Row, Shown, row_of
from napari_wsss.report.style import CSS
from napari_wsss.types import Classes, Progress, Provenance, no_progress

# what the columns of the figures are called, and whether more is better
_COLUMNS = {
    "miou": ("mIoU", True),
    "miou_covered": ("mIoU covered", True),
    "accuracy": ("accuracy", True),
    "coverage": ("coverage", True),
    "fp_ratio": ("FP ratio", False),
    "fn_ratio": ("FN ratio", False),
    "boundary_f1": ("boundary F1", True),
    "boundary_iou": ("boundary IoU", True),
    "ap50": ("AP50", True),
    "pq": ("PQ", True),
    "images": ("images", None),
    "missing": ("missing", None),
}


def write_report(report: Report, path: Path, progress: Progress = no_progress) -> None:
    """Write the report as one HTML file, in one step at the end.

    Images are loaded and drawn one at a time; what was written before a failure or a cancel is
    removed again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    try:
        with partial.open("w", encoding="utf-8") as stream:
            for piece in _pieces(report, progress):
                stream.write(piece)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _pieces(report: Report, progress: Progress) -> Iterator[str]:
    yield (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(report.title)}</title><style>{CSS}</style></head><body><main>\n"
    )
    yield _header(report)
    yield _figures(report.figures, report.classes)
    areas = _Areas(report.classes)
    if report.images:
        yield "<h2>Images</h2>\n" + _legend(report.classes)
    for n, image in enumerate(report.images):
        progress(n, len(report.images), f"report {image.name}")
        row = row_of(image, report.classes)
        areas.add(row, image)
        yield _image(n, image, row, report.classes)
    progress(len(report.images), len(report.images), "report")
    yield areas.table()
    yield (
        f'<footer class="soft small">Made by napari-wsss {escape(report.product_version)}. '
        "A click on a picture opens it large.</footer>\n</main></body></html>\n"
    )


# --------------------------------------------------------------------------- header and figures


def _header(report: Report) -> str:
    facts = {"napari-wsss": report.product_version, "images": str(len(report.images)), **report.facts}
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    none = "<span class=soft>no weights</span>"
    methods = "".join(
        f"<tr><td>{escape(m.stage)}</td><td class=text>{escape(m.name)}</td>"
        f"<td class=wrap>{escape(_params(m.params))}</td><td class=wrap>{escape(m.model) or none}</td></tr>"
        for m in report.methods
    )
    table = _table(("stage", "method", "parameters", "model"), methods, text=True) if methods else ""
    return f"<header><h1>{escape(report.title)}</h1></header>\n<section class=card><dl>{listed}</dl></section>\n" + (
        f"<section class=card>{table}</section>\n" if table else ""
    )


def _params(params: Mapping[str, Any]) -> str:
    return ", ".join(f"{k}={v}" for k, v in params.items()) or "—"


def _figures(figures: Mapping[str, Mapping[str, Any]], classes: Classes) -> str:
    figures = dict(_rows(figures))
    if not figures:
        return ""
    given = {k for row in figures.values() for k, v in row.items() if isinstance(v, int | float)}
    keys = [k for k in _COLUMNS if k in given]
    best = {k: _best([row.get(k) for row in figures.values()], _COLUMNS[k][1]) for k in keys}
    rows = ""
    for stage, row in figures.items():
        cells = "".join(_cell(row.get(k), best[k]) for k in keys)
        rows += f"<tr><td>{escape(stage)}</td>{cells}</tr>"
    whole = _table(("", *(_COLUMNS[k][0] for k in keys)), rows)
    return f"<h2>Figures</h2>\n<section class=card>{whole}</section>\n" + _per_class(figures, classes)


def _rows(figures: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows under the same columns: figures of activation maps become one row a threshold."""
    for stage, row in figures.items():
        if "fixed_threshold" not in row:
            yield stage, row
            continue
        for kind, chosen in (("fixed", ""), ("best", ", chosen by the truth")):
            same = {key: row[f"{kind}_{key}"] for key in ("miou", "fp_ratio", "fn_ratio")}
            yield f"{stage}, threshold {row[f'{kind}_threshold']:.2f}{chosen}", same | {"images": row["images"]}


def _per_class(figures: Mapping[str, Mapping[str, Any]], classes: Classes) -> str:
    named = {stage: row["iou"] for stage, row in figures.items() if isinstance(row.get("iou"), Mapping)}
    if not named:
        return ""
    rows = ""
    for c in classes:
        values = [iou.get(c.name) for iou in named.values()]
        if any(v is not None for v in values):
            best = _best(values, True)
            rows += f"<tr><td>{_chip(c.colour)}{escape(c.name)}</td>{''.join(_cell(v, best) for v in values)}</tr>"
    return f"<section class=card>{_table(('IoU a class', *named), rows)}</section>\n"


def _best(values: Sequence[Any], more: bool | None) -> float | None:
    numbers = [float(v) for v in values if v is not None]
    if more is None or len(numbers) < 2:
        return None
    return max(numbers) if more else min(numbers)


def _cell(value: Any, best: float | None) -> str:
    if value is None:
        return "<td class=soft>—</td>"
    mark = " class=best" if best is not None and float(value) == best else ""
    return f"<td{mark}>{value if isinstance(value, int) else format(float(value), '.3f')}</td>"


def _table(head: Sequence[str], rows: str, text: bool = False) -> str:
    align = ' style="text-align:left"' if text else ""
    return (
        f"<div class=scroll><table><thead><tr>{''.join(f'<th{align}>{escape(h)}</th>' for h in head)}</tr></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


# --------------------------------------------------------------------------- images


def _chip(colour: str) -> str:
    return f'<span class=chip style="background:rgb{rgb_of(colour)}"></span>'


def _legend(classes: Classes) -> str:
    chips = "".join(f"<span>{_chip(c.colour)}{escape(c.name)}</span>" for c in classes)
    return f'<section class="card legend">{chips}</section>\n'


def _image(number: int, image: ReportImage, row: Row, classes: Classes) -> str:
    tags = [classes[k].name for k in sorted(image.hints.tags.present)]
    tags += [f"no {classes[k].name}" for k in sorted(image.hints.tags.absent)]
    state = f"accepted {image.accepted}" if image.accepted else "not accepted"
    head = "".join(f"<span class=tag>{escape(t)}</span>" for t in tags)
    figures = "".join(_figure(f"p{number}-{n}", image.name, shown) for n, shown in enumerate(row.pictures))
    return (
        f'<section class=card id="i{number}"><div class=head><h3>{escape(image.name)}</h3>'
        f'<span class="soft small">{escape(state)}</span>{head}</div>\n<div class=pictures>{figures}</div>'
        f"{_bar(row, classes)}{_told(image)}</section>\n"
    )


def _figure(anchor: str, name: str, shown: Shown) -> str:
    data = base64.b64encode(encoded(shown.picture)).decode()
    height, width = shown.picture.shape[:2]
    return (
        f'<figure id="{anchor}"><a href="#{anchor}"><img width={width} height={height} loading=lazy '
        f'style="height:auto" alt="{escape(name)}: {escape(shown.caption)}" src="data:image/jpeg;base64,{data}"></a>'
        f"<figcaption><b>{escape(shown.caption)}</b> <span class=soft>{escape(shown.meaning)}</span></figcaption>"
        f'<a class=back href="#{anchor.replace("p", "i").partition("-")[0]}" aria-label="close"></a></figure>\n'
    )


def _bar(row: Row, classes: Classes) -> str:
    if row.pixels is None or not sum(row.pixels):
        return ""
    parts = "".join(
        f'<span style="width:{100 * row.pixels[c.id] / sum(row.pixels):.3f}%;background:rgb{rgb_of(c.colour)}" '
        f'title="{escape(c.name)} {row.pixels[c.id] / sum(row.pixels):.1%}"></span>'
        for c in classes
        if row.pixels[c.id]
    )
    return f"<div class=bar>{parts}</div>"


def _told(image: ReportImage) -> str:
    lines = [*image.notes, *map(_made, image.provenance)]
    if not lines:
        return ""
    return (
        f"<details><summary>who made it</summary><ul>{''.join(f'<li>{escape(t)}</li>' for t in lines)}</ul></details>"
    )


def _made(p: Provenance) -> str:
    parts = [f"{p.name} ({p.made_by})", p.when]
    parts += [f"model {p.model}"] if p.model else []
    parts += [_params(p.params)] if p.params else []
    parts += [f"from {', '.join(p.sources)}"] if p.sources else []
    return " · ".join([*parts, *([f"version {p.version}"] if p.version else [])])


# --------------------------------------------------------------------------- areas


class _Areas:
    """Pixels and areas of every class, added up over the images."""

    def __init__(self, classes: Classes) -> None:
        self._classes = classes
        self._pixels = [0] * (len(classes) + 1)
        self._areas: defaultdict[str, list[float]] = defaultdict(lambda: [0.0] * (len(classes) + 1))

    def add(self, row: Row, image: ReportImage) -> None:
        for k, pixels in enumerate(row.pixels or ()):
            self._pixels[k] += pixels
            if image.pixel_size is not None:
                self._areas[image.pixel_size.unit][k] += pixels * image.pixel_size.y * image.pixel_size.x

    def table(self) -> str:
        total = sum(self._pixels)
        if not total:
            return ""
        units = sorted(self._areas)
        names = [(c.id, _chip(c.colour) + escape(c.name)) for c in self._classes]
        rows = ""
        for k, name in [*names, (0, "<span class=soft>not labelled</span>")]:
            areas = "".join(f"<td>{_number(self._areas[u][k])}</td>" for u in units)
            rows += f"<tr><td>{name}</td><td>{self._pixels[k]:,}</td><td>{self._pixels[k] / total:.1%}</td>{areas}</tr>"
        head = ("", "pixels", "share", *({"um": "µm²", "m": "m²"}[u] for u in units))
        return f"<h2>Areas in the finished masks</h2>\n<section class=card>{_table(head, rows)}</section>\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
