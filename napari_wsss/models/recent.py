"""What was made last, kept so that it is not made again; safe from several threads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

T = TypeVar("T")


class Recent(Generic[T]):
    """The latest ``most`` values by key; the one that was not asked for longest goes first.

    With ``size`` (bytes of a value) they hold no more than ``most_bytes`` together; the newest is always kept.

    Two threads that miss the same key at once both make the value; the making itself is not locked.
    """

    def __init__(self, most: int, size: Callable[[T], int] = lambda value: 0, most_bytes: int = 0) -> None:
        self._most, self._size, self._most_bytes = most, size, most_bytes
        self._kept: OrderedDict[Hashable, T] = OrderedDict()
        self._lock = Lock()

    def get(self, key: Hashable) -> T | None:
        """The value, if it is still there."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def made(self, key: Hashable, make: Callable[[], T]) -> T:
        """The value, made if it is not there."""
        found = self.get(key)
        if found is not None:
            return found
        value = make()
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > self._most or self._is_too_large():
                self._kept.popitem(last=False)
        return value

    def _is_too_large(self) -> bool:
        return len(self._kept) > 1 and sum(map(self._size, self._kept.values())) > self._most_bytes
