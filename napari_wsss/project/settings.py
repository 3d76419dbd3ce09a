"""What a person may set: ``project.toml``, read by tomllib and written with its comments."""

from __future__ import annotations

import colorsys
import math
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from napari_wsss.errors import UsageError
from napari_wsss.project.atomic import TEMPORARY, write_bytes
from napari_wsss.types import BACKGROUND, Class, Classes

FILE = "project.toml"
FORMAT = 2
"""Version of the project folder. The journal carries the same number (see ``journal.MIGRATIONS``)."""

STAGES = ("cam", "pseudo", "refine")
Value = bool | int | float | str

_HEADER = """\
# A napari-wsss project. This file may be edited by hand while no program has the project open.
#   classes           in id order, from 1. Rename, recolour, give phrases, add at the end; never remove or reorder.
#                     thresholds: lower and upper one for seeds from the class's activation map; left out: the method's
#   rgb_channels      the three channels that an RGB encoder sees (from 0); left out: chosen by the image
#   display_channels  the channels that the person sees; left out: the same
#   percentiles       contrast limits of each channel, in percent
#   encoder, [use]    chosen methods (stages cam, pseudo, refine); left out: the defaults
#   [params.METHOD]   parameters of a method that differ from its defaults
#   cache_gb          bound of the folder cache/, which may be deleted at any time
#   point_radius      radius of a clicked point in pixels
# The labels are in journal.sqlite, not here.
"""


@dataclass(frozen=True)
class Settings:
    """Settings of a project; immutable: make another with ``dataclasses.replace`` and save it.

    Attributes
    ----------
    classes : Classes
        Names, colours and phrases in id order.
    rgb_channels, display_channels : tuple of int or None
        Channels (from 0) for an RGB encoder (three) and for the person's eye; None = the image decides.
    percentiles : (float, float)
        Contrast limits of each channel, percent of its valid pixels.
    encoder : str or None
        Chosen encoder, None = the default.
    use : mapping of stage to method
        Chosen method of each of ``cam``, ``pseudo``, ``refine``; absent = the default.
    params : mapping of method to its parameters
        Values that differ from the method's defaults.
    cache_gb : float
        Bound of the cache in 10^9 bytes.
    point_radius : int
        Radius of a point's disk in pixels.
    seed : int
        Seed of everything random.
    """

    classes: Classes
    rgb_channels: tuple[int, int, int] | None = None
    display_channels: tuple[int, ...] | None = None
    percentiles: tuple[float, float] = (1.0, 99.0)
    encoder: str | None = None
    use: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, Mapping[str, Value]] = field(default_factory=dict)
    cache_gb: float = 4.0
    point_radius: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        problem = next(_problems(self), None)
        if problem:
            raise UsageError(problem)


def parse_classes(names: Sequence[str]) -> Classes:
    """Classes from ``name`` or ``name#rrggbb``, ids from 1 in the given order.

    Raises
    ------
    UsageError
        No class, an empty or repeated name, or a colour that is not ``#rrggbb``.
    """
    items = []
    for number, text in enumerate(names, 1):
        name, mark, colour = text.strip().partition("#")
        items.append(Class(number, name.strip(), mark + colour.strip().lower() if mark else _colour(number, name)))
    return Settings(Classes(tuple(items))).classes


def read_settings(folder: Path) -> Settings:
    """Settings of the project in ``folder``.

    Raises
    ------
    UsageError
        No project there, one made by a newer version, or a file that is not valid; names what is wrong.
    """
    table = _table(folder)
    table.pop("format")
    known = {f.name for f in fields(Settings)}
    unknown = sorted(set(table) - known)
    if unknown:
        raise UsageError(f"{folder / FILE}: unknown setting {unknown[0]!r}; there are: {', '.join(sorted(known))}")
    try:
        return _from_table(table)
    except (KeyError, TypeError, ValueError) as error:
        raise UsageError(f"{folder / FILE}: cannot be understood ({error}); compare it with a new project's") from error
    except UsageError as error:
        raise UsageError(f"{folder / FILE}: {error}") from error


def format_of(folder: Path) -> int:
    """Version of the project folder; touches nothing.

    Raises
    ------
    UsageError
        No project there, or one made by a newer version.
    """
    return int(_table(folder)["format"])


def write_settings(folder: Path, settings: Settings) -> None:
    """Write ``project.toml`` whole or not at all. Comments of a person's own are not kept."""
    write_bytes(folder / FILE, to_toml(settings).encode(), folder / TEMPORARY)


def stamp_format(folder: Path) -> None:
    """Set the format number to this version's, leaving every other line as the person wrote it."""
    text = (folder / FILE).read_text(encoding="utf-8")
    stamped = re.sub(r"(?m)^format\s*=\s*\d+", f"format = {FORMAT}", text, count=1)
    write_bytes(folder / FILE, stamped.encode(), folder / TEMPORARY)


def to_toml(settings: Settings) -> str:
    """``project.toml`` of these settings; ``tomllib`` reads the same settings back."""
    lines = [_HEADER + f"format = {FORMAT}"]
    for name in ("rgb_channels", "display_channels", "percentiles", "encoder", "cache_gb", "point_radius", "seed"):
        value = getattr(settings, name)
        if value is not None:
            lines.append(f"{name} = {_toml(value)}")
    for c in settings.classes:
        lines += ["", "[[classes]]", f"name = {_toml(c.name)}", f"colour = {_toml(c.colour)}"]
        lines.append(f"phrases = {_toml(c.phrases)}")
        if c.thresholds is not None:
            lines.append(f"thresholds = {_toml(c.thresholds)}")
    tables = {"use": settings.use} | {f"params.{_toml_key(m)}": values for m, values in settings.params.items()}
    for name, values in tables.items():
        if values:
            lines += ["", f"[{name}]", *(f"{_toml_key(k)} = {_toml(v)}" for k, v in values.items())]
    return "\n".join(lines) + "\n"


def check_class_change(old: Classes, new: Classes) -> None:
    """Refuse a class list under which ids already given would mean something else.

    Raises
    ------
    UsageError
        A class was removed, or the same names stand in another order.
    """
    if len(new) < len(old):
        raise UsageError("a class cannot be removed, its id is in labels; rename it instead")
    moved = [c.name for c in old if c.name in new.names and new.id_of(c.name) != c.id]
    if moved:
        raise UsageError(f"class {moved[0]!r} cannot change its place, its id is in labels; add new classes at the end")


def _table(folder: Path) -> dict[str, Any]:
    try:
        table = tomllib.loads((folder / FILE).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{folder} is no project (it has no {FILE}); make one with: napari-wsss init") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{folder / FILE} is not valid TOML: {error}") from error
    made_by = table.get("format")
    if not isinstance(made_by, int) or isinstance(made_by, bool) or made_by < 1:
        raise UsageError(f"{folder / FILE} has no line 'format = {FORMAT}', so it is no project of this product")
    if made_by > FORMAT:
        raise UsageError(
            f"{folder} was made by a newer version (format {made_by}, this one reads up to {FORMAT}); update"
        )
    return table


def _from_table(table: dict[str, Any]) -> Settings:
    values = dict(table)
    items = [_class(n, c) for n, c in enumerate(values.pop("classes", []), 1)]
    for name in ("rgb_channels", "display_channels", "percentiles"):
        if name in values:
            values[name] = tuple(values[name])
    for name in ("point_radius", "seed"):
        if type(values.get(name, 0)) is not int:
            raise TypeError(f"{name} {values[name]!r} is not a whole number")
    return Settings(Classes(tuple(items)), **values)


def _class(number: int, table: Mapping[str, Any]) -> Class:
    colour, phrases = table.get("colour", _colour(number, "")), table.get("phrases", ())
    thresholds = tuple(float(v) for v in table["thresholds"]) if "thresholds" in table else None
    return Class(number, _text(table["name"]), _text(colour), tuple(map(_text, phrases)), thresholds)  # type: ignore[arg-type]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a text")
    return value


def _problems(s: Settings) -> Iterator[str]:
    """What is wrong with the settings, one sentence each (a generator: only the first is told)."""
    if not s.classes.items:
        yield "a project needs at least one class"
    for c in s.classes:
        if not c.name.strip():
            yield f"class {c.id} has no name"
        elif any(ord(character) < 32 for character in c.name):
            yield f"class name {c.name!r} has control characters"
        if c.thresholds is not None and not _are_thresholds(c.thresholds):
            yield f"thresholds {list(c.thresholds)} of class {c.name!r} are not two rising numbers between 0 and 1"
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", c.colour):
            yield f"colour {c.colour!r} of class {c.name!r} is not #rrggbb"
        if s.classes.id_of(c.name) != c.id:
            yield f"class {c.name!r} occurs twice"
    if len(s.classes) > 65535:
        yield "more than 65535 classes"
    if s.rgb_channels is not None and (len(s.rgb_channels) != 3 or not _all_channels(s.rgb_channels)):
        yield f"rgb_channels {s.rgb_channels} are not three channel numbers from 0"
    if s.display_channels is not None and (not s.display_channels or not _all_channels(s.display_channels)):
        yield f"display_channels {s.display_channels} are not channel numbers from 0"
    if len(s.percentiles) != 2 or not 0 <= s.percentiles[0] < s.percentiles[1] <= 100:
        yield f"percentiles {s.percentiles} are not two rising numbers between 0 and 100"
    unknown = [stage for stage in s.use if stage not in STAGES]
    if unknown:
        yield f"no stage {unknown[0]!r} to use a method for; there are: {', '.join(STAGES)}"
    if not (math.isfinite(s.cache_gb) and s.cache_gb >= 0):
        yield f"cache_gb {s.cache_gb} is not a size"
    if s.point_radius < 0:
        yield f"point_radius {s.point_radius} is not a number of pixels"


def _are_thresholds(pair: tuple[float, ...]) -> bool:
    return len(pair) == 2 and 0 <= pair[0] <= pair[1] <= 1


def _all_channels(channels: tuple[int, ...]) -> bool:
    return all(isinstance(c, int) and c >= 0 for c in channels)


def _colour(number: int, name: str) -> str:
    """A colour for class ``number``: grey for the background, else hues a golden angle apart."""
    if name.strip() == BACKGROUND:
        return "#808080"
    rgb = colorsys.hls_to_rgb((0.02 + 0.618034 * (number - 1)) % 1, (0.55, 0.4, 0.7)[number // 8 % 3], 0.75)
    return "#" + "".join(f"{round(255 * v):02x}" for v in rgb)


def _toml(value: Any) -> str:
    """A TOML value: boolean, integer, float, basic string or an array of them."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return repr(value)  # Python's forms of floats, inf and nan are TOML's
    if isinstance(value, str):
        return '"' + "".join(_escaped(character) for character in value) + '"'
    if isinstance(value, tuple | list):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    raise UsageError(f"{value!r} cannot stand in {FILE}; a setting is a boolean, a number or a text")


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return f"\\u{ord(character):04x}" if ord(character) < 32 or ord(character) == 127 else character


def _toml_key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else _toml(key)
