"""What strategies without parameters share: they score regions and load nothing."""

from __future__ import annotations

from dataclasses import dataclass

from napari_wsss.protocols import Context


class Plain:
    """A strategy without parameters; a subclass says in ``__call__`` how it scores."""

    @dataclass(frozen=True)
    class Params:
        pass

    model = ""
    asks_pixels = False

    def __init__(self, params: Params, context: Context) -> None:
        self.params, self.context = params, context
