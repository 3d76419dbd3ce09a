"""Clicks that an object needs, beside classical interactive segmentation and SAM from the same clicks.

For each method the same simulated annotator clicks on the same objects of a set's test images
(``evaluation.clicks``). Ours and SAM see the whole image; the classical rivals a crop around the object.
"""

from __future__ import annotations

import hashlib
import inspect
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from napari_wsss import device, home, segment
from napari_wsss.bench._click_store import ClickStore, Simulation
from napari_wsss.bench._objects import Target, choose, load_image, write_drawn
from napari_wsss.bench._rivals import crop, rivals, settings
from napari_wsss.bench._rows import Row, Setting, cost, score
from napari_wsss.bench._sets import ImageSet, read_set
from napari_wsss.bench._worst import draw, hardest
from napari_wsss.device import torch_threads
from napari_wsss.errors import UsageError
from napari_wsss.evaluation.clicks import AT, GOALS, Answer, Click, deepest, figures, jittered, simulate
from napari_wsss.models import store
from napari_wsss.models.prompts import Embedding, PromptPredictor
from napari_wsss.types import Bool, Box4, Image

OURS = "ours"
_PROTOCOL = 1  # counts up when the annotator or the way of asking changes: stored results are then made anew


class Method(Protocol):
    """Something that answers clicks."""

    @property
    def name(self) -> str: ...

    @property
    def version(self) -> str:
        """Whatever its answers depend on, but the image and the clicks."""
        ...

    def begin(self, image: Image, box: Box4) -> Answer:
        """The answers for one object. ``box`` is the object's, and only a rival may look at it."""
        ...

    def embedding_seconds(self) -> float | None:
        """Of the embedding that the last :meth:`begin` made; None where it made none."""
        ...


def measure(setting: Setting) -> Iterator[Row]:
    """IoU after 1, 3 and 5 clicks, clicks to 0.85 and 0.90, objects that do not get there, seconds of a click.

    Raises
    ------
    MissingModel, UsageError
        If ours cannot be loaded, a set cannot be read, or no set has the class that was asked for.
    """
    threads = nullcontext() if setting.threads is None else torch_threads(setting.threads)
    with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as folder, threads:
        sets = [read_set(path, "test") for path in setting.sets or write_drawn(Path(folder))]
        if setting.of_class and not any(setting.of_class in of.classes for of in sets):
            named = ", ".join(sorted({name for of in sets for name in of.classes}))
            raise UsageError(f"no set has a class {setting.of_class!r}; they have: {named}")
        results = ClickStore(setting.results or home.home() / "bench")
        methods = list(_methods(setting))
        for of in sets:
            yield from _one_set(of, methods, results, setting)


def _methods(setting: Setting) -> Iterator[Method]:
    """The rivals, ours, and every SAM in the model cache. What cannot take part is one line."""
    where = device.choose("auto")
    ours = Prompted(OURS, segment.predictor(setting.model or segment.DEFAULT_MODEL, where))
    found = rivals()
    for name, rival in found.items():
        yield Rival(name, rival)
    if "grabcut" not in found:
        setting.note("bench clicks: no rows of grabcut, as OpenCV is not installed: pip install opencv-python-headless")
    yield ours
    sams = [row for row in store.listing() if row.entry.task == "sam"]
    for row in sams:
        if row.present and row.entry.name != setting.model:
            yield Prompted(row.entry.name, segment.predictor(row.entry.name, where))
    if not any(row.present for row in sams):
        names = ", ".join(row.entry.name for row in sams)
        setting.note(f"bench clicks: no rows of a SAM, as none is on this machine ({names}): napari-wsss models fetch")


# --------------------------------------------------------------------------- ours and SAM


class Prompted:
    """A promptable model as the product asks it. It sees the whole image, embedded once for all of its objects."""

    def __init__(self, name: str, predictor: PromptPredictor) -> None:
        self.name, self._predictor = name, predictor
        code = inspect.getsource(sys.modules[type(predictor).__module__]) + inspect.getsource(segment)
        self.version = f"{predictor.model} {hashlib.sha256(code.encode()).hexdigest()[:8]}"
        self._kept: tuple[Image, Embedding] | None = None
        self._seconds: float | None = None

    def begin(self, image: Image, box: Box4) -> Answer:
        embedding, memory = self._embedding(image), dict[tuple[object, ...], segment.Answer]()

        def answer(clicks: Sequence[Click]) -> Bool:
            return segment.segment(
                image, [(c.y, c.x, c.positive) for c in clicks], [], self._predictor, embedding, memory
            )

        return answer

    def embedding_seconds(self) -> float | None:
        return self._seconds

    def _embedding(self, image: Image) -> Embedding:
        self._seconds = None
        if self._kept is None or self._kept[0] is not image:
            start = time.perf_counter()
            self._kept = image, self._predictor.embed(image)
            self._seconds = time.perf_counter() - start
        return self._kept[1]


class Rival:
    """Classical segmentation of a crop of three times the object's box."""

    def __init__(self, name: str, rival: Any) -> None:
        self.name, self._rival = name, rival
        self.version = settings(rival)

    def begin(self, image: Image, box: Box4) -> Answer:
        part, before = crop(image, box), list[Bool]()

        def answer(clicks: Sequence[Click]) -> Bool:
            mask = self._rival(part, clicks, before[-1] if before else None)
            before[:] = [mask]
            return part.in_image(mask) & image.valid

        return answer

    def embedding_seconds(self) -> float | None:
        return None


# --------------------------------------------------------------------------- simulating


def _one_set(of: ImageSet, methods: Sequence[Method], results: ClickStore, setting: Setting) -> Iterator[Row]:
    targets = choose(of, setting.of_class)
    annotators = (None, *range(setting.jitter))
    total, done = len(methods) * len(targets) * len(annotators), 0
    found: dict[str, dict[int | None, list[Simulation]]] = {}
    for method in methods:
        shown = partial(_loaded, [])
        found[method.name] = {who: [] for who in annotators}
        for target in targets:
            for who in annotators:
                setting.progress(done, total, f"clicks {of.name} {method.name}")
                found[method.name][who].append(_simulation(of, target, method, who, results, shown))
                done += 1
    setting.progress(total, total, f"clicks {of.name}: {len(targets)} objects")
    if setting.worst:
        ours = next(m for m in methods if m.name == OURS)
        chosen = hardest([s.ious for s in found[OURS][None]], setting.worst)
        file = results.file.parent / "worst" / f"{of.name}.png"
        draw([targets[i] for i in chosen], partial(_loaded, []), ours.begin, file)
        setting.note(f"bench clicks: the {len(chosen)} hardest objects of {of.name}: {file}")
    yield from _rows(of.name, found)


def _loaded(kept: list[tuple[Path, Image]], path: Path) -> Image:
    """The image; the one that was asked for last is not read again."""
    if not kept or kept[0][0] != path:
        kept[:] = [(path, load_image(path))]
    return kept[0][1]


def _simulation(
    of: ImageSet, target: Target, method: Method, who: int | None, results: ClickStore, shown: Any
) -> Simulation:
    """One object clicked with one method, or what an earlier run stored of that."""
    words = "\n".join((target.key, method.name, method.version, str(who), str(_PROTOCOL)))
    key = hashlib.sha256(words.encode()).hexdigest()
    known = results.get(key)
    if known is not None:
        return known
    answer = _Timed(method.begin(shown(target.image), target.box))
    place = deepest if who is None else jittered([who, zlib.crc32(target.key.encode())])
    ious = simulate(target.truth, target.scored, answer, place=place)
    made = Simulation(
        key,
        of.name,
        target.image.stem,
        method.name,
        method.version,
        target.box,
        target.area,
        who,
        ious,
        answer.seconds,
        method.embedding_seconds(),
    )
    results.put(made)
    return made


class _Timed:
    """Answers and the wall seconds that they took."""

    def __init__(self, answer: Answer) -> None:
        self._answer, self.seconds = answer, 0.0

    def __call__(self, clicks: Sequence[Click]) -> Bool:
        start = time.perf_counter()
        mask = self._answer(clicks)
        self.seconds += time.perf_counter() - start
        return mask


# --------------------------------------------------------------------------- figures


def _rows(of: str, found: dict[str, dict[int | None, list[Simulation]]]) -> Iterator[Row]:
    """Rows of all methods; each figure's reference is the best that a classical rival reached in it."""
    table = {method: _figures(by_annotator) for method, by_annotator in found.items()}
    classical = [method for method in table if method in rivals()]
    for method in sorted(table, key=lambda name: name != OURS):
        for what, (value, unit) in table[method].items():
            theirs = [table[rival][what][0] for rival in classical if what in table[rival]]
            if what.startswith("iou"):
                yield score(of, what, method, value, unit, max(theirs))
            elif what.startswith("noc"):
                yield cost(of, what, method, value, unit, min(theirs))
            else:
                yield cost(of, what, method, value, unit)


def _figures(by_annotator: dict[int | None, list[Simulation]]) -> dict[str, tuple[float, str]]:
    """Value and unit by name; with jittered annotators their mean and standard deviation too."""
    plain = by_annotator[None]
    found = dict(_click_figures(plain))
    several = [dict(_click_figures(own)) for who, own in by_annotator.items() if who is not None]
    if several:
        for what, (_, unit) in dict(_click_figures(plain)).items():
            values = [own[what][0] for own in several]
            found[f"{what}_jittered"] = float(np.mean(values)), unit
            found[f"std_of_{what}_jittered"] = float(np.std(values)), unit
    found["objects"] = len(plain), "objects"
    found["click_seconds"] = sum(s.seconds for s in plain) / max(1, sum(len(s.ious) for s in plain)), "s"
    every = [s.embedding_seconds for own in by_annotator.values() for s in own if s.embedding_seconds is not None]
    if every:
        found["embedding_seconds"] = float(np.mean(every)), "s"
    return found


def _click_figures(simulations: Sequence[Simulation]) -> Iterator[tuple[str, tuple[float, str]]]:
    own = figures([s.ious for s in simulations])
    for k in AT:
        yield f"iou@{k}", (own.iou[k], "share")
    for goal in GOALS:
        yield f"noc@{goal * 100:.0f}", (own.noc[goal], "clicks")
    for goal in GOALS:
        yield f"failures@{goal * 100:.0f}", (own.failures[goal], "objects")
