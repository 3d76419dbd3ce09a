"""An image of a project, read without the project: what another process or machine needs to see its pixels."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

from napari_wsss import images
from napari_wsss.errors import UnreadableImage
from napari_wsss.types import Box4, Float, Image


class ImageReader:
    """Reads an image of a project without its journal; may be sent to another process, which opens the file anew."""

    def __init__(
        self,
        file: Path,
        plane: str,
        name: str,
        key: str,
        contrast: tuple[Float, Float],
        rgb_channels: tuple[int, int, int] | None,
    ) -> None:
        self._file, self._plane, self._name, self._key = file, plane, name, key
        self._contrast, self._rgb_channels = contrast, rgb_channels

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_source"}

    def __call__(self, box: Box4 | None) -> Image:
        """The image, or a box of it.

        Raises
        ------
        UnreadableImage
            The file is gone or damaged, or lacks a channel that the project shows.
        """
        rgb = self._rgb_channels if self._source.n_channels > 1 else None  # one channel is all three colours
        if rgb is not None and max(rgb) >= self._source.n_channels:
            raise UnreadableImage(
                f"{self._name}: rgb_channels {','.join(map(str, rgb))} asks for a channel that its"
                f" {self._source.n_channels} do not include; change rgb_channels in project.toml"
            )
        return images.load(
            self._source,
            self._plane,
            name=self._name,
            key=self._key,
            contrast=self._contrast,
            rgb_channels=rgb,
            box=box,
        )

    @cached_property
    def _source(self) -> images.ImageSource:
        return images.open_source(self._file)
