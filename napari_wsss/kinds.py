"""Grey and colour images in one project: features of different lengths are learnt from apart."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from napari_wsss.errors import UnreadableImage
from napari_wsss.project import ImageRecord, Project
from napari_wsss.types import Features, Image


class Kinds:
    """Sorts a project's images by the length of their features, and looks at no more of them than it must."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[str, int] = {}

    def __call__(
        self, peers: Sequence[ImageRecord], stale: Sequence[ImageRecord], features: Callable[[Image], Features]
    ) -> list[set[str]]:
        """Names of images that are learnt from together and computed with what was learnt.

        Parameters
        ----------
        peers : images that a method may learn from
        stale : images that it will compute: each is in one of the sets, and no set is without one
        """
        channels = {r.name: self._channels(r) for r in (*peers, *stale)}
        if len(set(channels.values()) - {0}) < 2:
            return [set(channels)]
        length = {0: 0}
        for record in peers:
            if record.labels_digest and channels[record.name] not in length:
                length[channels[record.name]] = self._length(record, features)
        kinds = {name: length.get(n, -n) for name, n in channels.items()}
        wanted = sorted({kinds[r.name] for r in stale})
        return [{name for name, kind in kinds.items() if kind == one} for one in wanted]

    def _channels(self, record: ImageRecord) -> int:
        """Number of channels; 0 where the file cannot be opened, which is told when its turn comes."""
        if record.name not in self._known:
            try:
                self._known[record.name] = self._project.source(record.name).n_channels
            except UnreadableImage:
                self._known[record.name] = 0
        return self._known[record.name]

    def _length(self, record: ImageRecord, features: Callable[[Image], Features]) -> int:
        try:
            return len(features(self._project.image(record.name)).data)
        except UnreadableImage:
            return 0
