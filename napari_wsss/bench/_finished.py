"""What a benchmark finished, one JSON line each, so that an interrupted table goes on where it was ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_wsss.errors import WsssError


class Finished:
    """Rows by key in a file of JSON lines; each is on the disk when :meth:`put` returns.

    A line that was cut off by the end of a process does not count: that row is made again.

    Parameters
    ----------
    file : Path
    what : str
        The benchmark, for messages.

    Raises
    ------
    WsssError
        If the file cannot be read or written, or a whole line of it holds no row with a key.
    """

    def __init__(self, file: Path, what: str) -> None:
        self.file, self._what = file, what
        self._found: dict[str, dict[str, Any]] = {}
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text(encoding="utf-8") if file.exists() else ""
            whole, newline, cut_off = text.rpartition("\n")
            if cut_off:
                file.write_text(whole + newline, encoding="utf-8")
        except OSError as error:
            raise WsssError(f"{file}: {error.strerror or error}") from error
        for number, line in enumerate(whole.splitlines(), 1):
            row = self._read(line, number)
            self._found[row["key"]] = row

    def get(self, key: str) -> dict[str, Any] | None:
        """The row of this key, or None where it has not been made."""
        return self._found.get(key)

    def put(self, key: str, row: Mapping[str, Any]) -> dict[str, Any]:
        """Write one row; it is given back with its key."""
        made = {"key": key, **row}
        try:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(json.dumps(made, ensure_ascii=False) + "\n")
        except OSError as error:
            raise WsssError(f"{self.file}: {error.strerror or error}") from error
        self._found[key] = made
        return made

    def _read(self, line: str, number: int) -> dict[str, Any]:
        try:
            row: dict[str, Any] = json.loads(line)
            if isinstance(row["key"], str):
                return row
        except (ValueError, KeyError, TypeError):
            pass
        raise WsssError(f"{self.file}, line {number}: is no result of bench {self._what}; remove the file")
