"""Images that label files may speak of, without a project."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from napari_wsss.errors import WsssError
from napari_wsss.types import Class, Classes, Georeference
from napari_wsss.weak_labels import FoundImage


@dataclass
class Images:
    """A finder over a fixed list; names with or without ending, planes by ``@``."""

    images: tuple[FoundImage, ...]

    def find(self, name):
        found = [i for i in self.images if name in (i.name, i.name.rsplit(".", 1)[0])]
        if len(found) != 1:
            raise WsssError(f"no image named {name!r}")
        return found[0]

    def planes(self, name):
        planes = [i for i in self.images if i.name.split("@")[0].rsplit(".", 1)[0] == name and "@" in i.name]
        return planes or [self.find(name)]

    def all(self):
        return self.images


@pytest.fixture
def images():
    metres = Georeference("EPSG:3857", (2.0, 0.0, 1000.0, 0.0, -2.0, 5000.0))
    return Images(
        (
            FoundImage("a.png", (20, 30)),
            FoundImage("b.tif", (20, 30), metres),
            FoundImage("far.tif", (20, 30), Georeference("EPSG:3857", (2.0, 0.0, 90000.0, 0.0, -2.0, 5000.0))),
            FoundImage("sub/c.png", (10, 10)),
            FoundImage("stack.tif@t1z0", (8, 9)),
            FoundImage("stack.tif@t1z1", (8, 9)),
        )
    )


@pytest.fixture
def classes():
    names = ("background", "nucleus", "debris")
    return Classes(tuple(Class(i, n, "#808080") for i, n in enumerate(names, 1)))
