"""What classes look like, in words: the knowledge base of visual attributes, and a person's own additions.

The built-in base is ``resources/knowledge.toml``. A person's file has the same form::

    [classes.nucleus]
    synonyms = ["nuclei"]
    confused_with = ["debris"]    # words that compete with it
    phrases = ["a dark round body"]
    replace = true                # instead of adding to the built-in phrases

    [background]
    microscopy = ["mounting medium"]
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

from napari_wsss._resources import resource
from napari_wsss.errors import WsssError

_FIELDS = {"domain": str, "synonyms": list, "confused_with": list, "phrases": list, "replace": bool}
_DEFAULT_DOMAIN = "photograph"


@dataclass(frozen=True, slots=True)
class Attributes:
    """What is known of one class.

    Attributes
    ----------
    name : str
        As it was asked for.
    phrases : tuple of str
        Visual attributes; only the name where nothing is known.
    synonyms : tuple of str
        Other names.
    domain : str
        ``photograph``, ``street``, ``microscopy`` or ``aerial``; '' where nothing is known.
    confused_with : tuple of str
        What it is often taken for: words that compete with it.
    note : str
        One line where the class is not in the base, else ''.
    """

    name: str
    phrases: tuple[str, ...]
    synonyms: tuple[str, ...] = ()
    domain: str = ""
    confused_with: tuple[str, ...] = ()
    note: str = ""


@dataclass(frozen=True, eq=False, slots=True)
class Knowledge:
    """The knowledge base: attributes by class, background words by domain."""

    classes: Mapping[str, Attributes]
    backgrounds: Mapping[str, tuple[str, ...]]

    def of(self, name: str) -> Attributes:
        """What is known of a class, found by its name or a synonym, whatever the case, underscores or plural.

        A class that is not in the base is described by its name alone, and ``note`` says so.
        """
        found = self._find(name)
        if found is not None:
            others = tuple(dict.fromkeys((found.name, *found.synonyms)))
            return replace(found, name=name, synonyms=tuple(s for s in others if _plain(s) != _plain(name)))
        note = (
            f"the knowledge base knows no class {name!r}: its name alone describes it; add phrases in a knowledge file"
        )
        return Attributes(name, (_plain(name),), note=note)

    def background(
        self,
        domains: Collection[str],
        given: Iterable[str] = (),
        own: Iterable[str] = (),
        taken: Iterable[str] = (),
        confused: Iterable[str] = (),
    ) -> tuple[str, ...]:
        """Words that compete with the classes.

        Parameters
        ----------
        domains : of the project's classes; none known: photographs
        given : a person's own words, instead of the base's (and of what the classes are confused with)
        confused : what the project's classes are often confused with
        own : phrases of the project's background class, always in
        taken : phrases of the project's classes; a word that occurs in one of them is left out
        """
        chosen = sorted(domains) or [_DEFAULT_DOMAIN]
        words = list(given) or [*confused, *(w for d in chosen for w in self.backgrounds.get(d, ()))]
        classes = " | ".join(_plain(t) for t in taken)
        free = [w for w in (*own, *words) if not re.search(rf"\b{re.escape(_plain(w))}(s|es)?\b", classes)]
        return tuple(dict.fromkeys(free))

    def _find(self, name: str) -> Attributes | None:
        asked = {_plain(name), *_singular(_plain(name))}
        for key, known in self.classes.items():
            if asked & {_plain(n) for n in (key, *known.synonyms)}:
                return known
        return None


def load_knowledge(own: Path | None = None) -> Knowledge:
    """The built-in knowledge base, extended by a person's own file.

    Raises
    ------
    WsssError
        One line naming file and line: not readable, not TOML, an unknown table or field, a wrong type.
    """
    built_in = _built_in()
    return built_in if own is None else _extended(built_in, _read(own), own)


@cache
def _built_in() -> Knowledge:
    path = resource("knowledge.toml")
    return _extended(Knowledge({}, {}), _read(path), path)


def _read(path: Path) -> tuple[dict[str, Any], str]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise WsssError(f"{path}: cannot be read as a knowledge file: {error}") from error
    try:
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as error:
        raise WsssError(f"{path}: line {_place(str(error), text)}: not TOML: {error}") from error


def _place(message: str, text: str) -> int:
    found = re.search(r"at line (\d+)", message)
    return int(found[1]) if found else text.count("\n") + 1


def _extended(base: Knowledge, read: tuple[dict[str, Any], str], path: Path) -> Knowledge:
    content, text = read
    for table in content:
        if table not in ("classes", "background"):
            raise _fault(path, text, (table,), f"unknown table {table!r}; there are classes and background")
    classes = dict(base.classes)
    for name, entry in _table(content, "classes", path, text).items():
        _check_entry(name, entry, path, text)
        known = next((k for k, a in classes.items() if _plain(name) in {_plain(n) for n in (k, *a.synonyms)}), name)
        classes[known] = _merged(classes.get(known), known, entry)
    backgrounds = dict(base.backgrounds)
    for domain, words in _table(content, "background", path, text).items():
        _check_strings(words, domain, ("background", domain), path, text)
        backgrounds[domain] = tuple(dict.fromkeys((*backgrounds.get(domain, ()), *words)))
    return Knowledge(classes, backgrounds)


def _merged(known: Attributes | None, name: str, entry: Mapping[str, Any]) -> Attributes:
    if known is None:
        known = Attributes(name, (), domain=_DEFAULT_DOMAIN)
    kept = replace(known, phrases=(), confused_with=()) if entry.get("replace", False) else known

    def joined(field: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*getattr(kept, field), *entry.get(field, ()))))

    domain = entry.get("domain", known.domain)
    return Attributes(name, joined("phrases"), joined("synonyms"), domain, joined("confused_with"))


def _table(content: Mapping[str, Any], name: str, path: Path, text: str) -> dict[str, Any]:
    table = content.get(name, {})
    if not isinstance(table, dict):
        raise _fault(path, text, (name,), f"{name} is a table of its own: [{name}.NAME] or [{name}]")
    return table


def _check_entry(name: str, entry: Any, path: Path, text: str) -> None:
    if not isinstance(entry, dict):
        raise _fault(path, text, (name,), f"class {name!r} is a table of its own: [classes.{name}]")
    for field, value in entry.items():
        if field not in _FIELDS:
            raise _fault(
                path, text, (name, field), f"class {name!r} has no field {field!r}; it has: {', '.join(_FIELDS)}"
            )
        if not isinstance(value, _FIELDS[field]):
            raise _fault(path, text, (name, field), f"{field} of class {name!r} is a {_FIELDS[field].__name__}")
        if isinstance(value, list):
            _check_strings(value, f"{field} of class {name!r}", (name, field), path, text)


def _check_strings(value: Any, what: str, keys: tuple[str, ...], path: Path, text: str) -> None:
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise _fault(path, text, keys, f"{what} is a list of phrases in quotes")


def _fault(path: Path, text: str, keys: tuple[str, ...], message: str) -> WsssError:
    """The error with the line of the last key that can be found after the ones before it."""
    lines = text.splitlines()
    line = 0
    for key in keys:
        line = next(
            (i for i in range(line, len(lines)) if re.search(rf"(^|[\[.\s\"']){re.escape(key)}\b", lines[i])), line
        )
    return WsssError(f"{path}: line {line + 1}: {message}")


def _plain(name: str) -> str:
    return " ".join(re.split(r"[\s_\-]+", name.strip().lower()))


def _singular(name: str) -> tuple[str, ...]:
    return tuple(name.removesuffix(end) for end in ("s", "es") if name.endswith(end) and len(name) > len(end) + 2)
