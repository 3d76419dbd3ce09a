"""The overview of the whole demo: one HTML page with every theme's sheet, its figures and its links."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from napari_wsss import __version__
from napari_wsss.report.style import CSS

_WIDE = "<style>.sheet { width: 100%; max-width: 1220px; border-radius: 6px; } p { max-width: 70em; }</style>"


@dataclass(frozen=True, slots=True)
class Section:
    """What the overview says of a theme: ``sheet`` is a JPEG, ``links`` are words and relative addresses."""

    title: str
    story: str
    sheet: bytes
    lines: tuple[str, ...]
    figures: Mapping[str, Mapping[str, Any]]
    links: Mapping[str, str]


def overview(sections: Sequence[Section], facts: Mapping[str, str]) -> str:
    """The page; pictures are inside, so that the file can be sent on its own."""
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in facts.items())
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>napari-wsss demo</title><style>{CSS}</style>{_WIDE}</head><body><main>\n"
        "<header><h1>From a few hints to finished masks</h1>"
        "<p class=soft>Made by <code>napari-wsss demo</code> with the default methods: no downloaded weights, "
        "no network. Whatever a person hinted is in the first column.</p></header>\n"
        f"<section class=card><dl>{listed}</dl></section>\n{''.join(map(_section, sections))}"
        f'<footer class="soft small">Made by napari-wsss {escape(__version__)}.</footer>\n</main></body></html>\n'
    )


def _section(section: Section) -> str:
    data = base64.b64encode(section.sheet).decode()
    links = " · ".join(f'<a href="{escape(to)}">{escape(word)}</a>' for word, to in section.links.items())
    lines = "".join(f"<li>{escape(line)}</li>" for line in section.lines)
    return (
        f"<h2>{escape(section.title)}</h2>\n<section class=card><p>{escape(section.story)}</p>"
        f'<img class=sheet alt="{escape(section.title)}: hints, maps, pseudo-labels, masks" '
        f'src="data:image/jpeg;base64,{data}">{_figures(section.figures)}'
        f"<ul class=small>{lines}</ul><p>{links}</p></section>\n"
    )


def _figures(figures: Mapping[str, Mapping[str, Any]]) -> str:
    """mIoU, accuracy and coverage against the drawn truth; nothing where there is no truth."""
    if not figures:
        return ""
    columns = {"miou": "mIoU", "accuracy": "accuracy", "coverage": "coverage"}
    rows = "".join(
        f"<tr><td>{escape(stage)}</td>{''.join(f'<td>{_number(values.get(c))}</td>' for c in columns)}</tr>"
        for stage, values in figures.items()
    )
    head = "".join(f"<th>{name}</th>" for name in ("against the drawn truth", *columns.values()))
    return f"<div class=scroll><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"


def _number(value: Any) -> str:
    return f"{float(value):.3f}" if isinstance(value, int | float) else "—"
