"""A folder of images with their truth, as ``--set`` takes it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from napari_wsss.errors import UsageError


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Images of one split of a set.

    Attributes
    ----------
    name : str
        Of the folder.
    folder : Path
        Holds ``masks/``, perhaps ``instances/``.
    classes : tuple of str
        Line k of ``classes.txt`` is class k.
    images : tuple of Path
        In the order of the split's list; stems are unique.
    """

    name: str
    folder: Path
    classes: tuple[str, ...]
    images: tuple[Path, ...]


def read_set(folder: Path, split: str = "train") -> ImageSet:
    """The images that ``SPLIT.txt`` lists.

    Raises
    ------
    UsageError
        The folder is not laid out so, or lists no image, or one that is not there.
    """
    for part in ("images", "masks", "classes.txt", f"{split}.txt"):
        if not (folder / part).exists():
            raise UsageError(f"{folder}: no {part}; a set has images/, masks/, classes.txt and {split}.txt")
    stems = (folder / f"{split}.txt").read_text(encoding="utf-8").split()
    if not stems:
        raise UsageError(f"{folder / f'{split}.txt'} lists no image")
    found = {path.stem: path for path in sorted((folder / "images").iterdir())}
    missing = [stem for stem in stems if stem not in found]
    if missing:
        raise UsageError(f"{folder / 'images'}: no image {missing[0]}, which {split}.txt lists")
    classes = tuple((folder / "classes.txt").read_text(encoding="utf-8").split())
    return ImageSet(folder.resolve().name, folder, classes, tuple(found[stem] for stem in stems))
