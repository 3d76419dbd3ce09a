"""The embedded model beside MobileSAM's image encoder and segment-anything's mask decoder: seconds and memory.

Both references have random weights, which cost the same time as trained ones.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import tifffile
import torch
from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer

from napari_wsss.bench._drawn import cells, textured_image
from napari_wsss.bench._rows import Row, Setting, cost, score
from napari_wsss.bench._timing import best_of, has_cuda, job, thread_counts
from napari_wsss.device import torch_threads
from napari_wsss.models.embedded.encoder import MULTIPLE
from napari_wsss.models.embedded.frames import COARSE, FINE
from napari_wsss.models.embedded.many import predict_many
from napari_wsss.models.embedded.predictor import EmbeddedPredictor, load_embedded
from napari_wsss.models.prompts import Embedding, Prompt
from napari_wsss.models.tiny_vit_sam import CHANNELS, TinyVitEncoder
from napari_wsss.types import Bool, Image

_ROUNDS = 3
_SIDE = 512  # of the image that is embedded and clicked on
_LARGE = 1024  # of the image of the first mask
_BLOCK, _BLOCKS = 256, 6  # the picture of many points: drawn in blocks, so many a side
_POINTS, _ALONE = 1000, 100
_BATCH = 64  # images at once on a GPU
_SAM_GRID = 64
_MOST_SECONDS, _SAME, _FIRST_MASK, _MEMORY = 15.0, 0.97, 6.0, 400e6 / 2**20

ENCODER, DECODER = "mobile_sam_architecture", "sam_mask_decoder"


def measure(setting: Setting) -> Iterator[Row]:
    """Embedding, a click, many points, the first mask of a new process; batches where there is a GPU."""
    counts = thread_counts(setting.threads)
    steps = len(counts) * 3 + 1
    ours, done = load_embedded(), 0
    for threads in counts:
        with torch_threads(threads):
            for part in (_embedding, _click, _many):
                setting.progress(done, steps, f"embedded {part.__name__[1:]} threads {threads}")
                done += 1
                yield from part(ours, _threads(threads))
    setting.progress(done, steps, "embedded first mask")
    for threads in counts:
        yield from _first_mask(threads)
    if has_cuda():
        yield from _batches(setting)
    setting.progress(steps, steps, "embedded")


def _threads(count: int) -> str:
    return f"{count}_thread{'s' if count > 1 else ''}"


# --------------------------------------------------------------------------- an image and a click


def _embedding(ours: EmbeddedPredictor, threads: str) -> Iterator[Row]:
    """Our embedding (all frames, from the image's own pixels) and MobileSAM's, of a frame of its own size."""
    image, theirs = textured_image((_SIDE, _SIDE), 3, seed=0), TinyVitEncoder().eval()
    nameless = Image(image.name, "", image.channels, image.valid, image.rgb_channels)  # none is remembered
    frame = torch.rand(1, 3, theirs.img_size, theirs.img_size)
    calls = {"ours": lambda: ours.embed(nameless), ENCODER: _inferred(lambda: theirs(frame))}
    yield from _beside(calls, f"drawn {_SIDE}x{_SIDE}", f"embedding_seconds_{threads}", ENCODER)


def _click(ours: EmbeddedPredictor, threads: str) -> Iterator[Row]:
    """A first click, which is answered in all frames, and a further one; each up to masks of the image's size."""
    embedding = ours.embed(textured_image((_SIDE, _SIDE), 3, seed=0))
    first = _point(_SIDE // 2, _SIDE // 2)
    found = ours.predict(embedding, first)
    further = Prompt(
        np.array([[_SIDE // 2, _SIDE // 2], [_SIDE // 3, _SIDE // 3]]),
        np.array([True, False]),
        mask_logits=found.lowres[int(found.iou.argmax())],
    )
    calls = {
        "ours": lambda: ours.predict(embedding, first),
        "ours_further_click": lambda: ours.predict(embedding, further),
        DECODER: _inferred(sam_click()),
    }
    yield from _beside(calls, f"drawn {_SIDE}x{_SIDE}", f"click_seconds_{threads}", DECODER)


def sam_click() -> Callable[[], object]:
    """A call of segment-anything's prompt encoder and mask decoder for one point, of the published size."""
    side = _SAM_GRID * 16
    prompts = PromptEncoder(CHANNELS, (_SAM_GRID, _SAM_GRID), (side, side), 16).eval()
    transformer = TwoWayTransformer(depth=2, embedding_dim=CHANNELS, num_heads=8, mlp_dim=2048)
    decoder = MaskDecoder(transformer_dim=CHANNELS, transformer=transformer).eval()
    embedding = torch.rand(1, CHANNELS, _SAM_GRID, _SAM_GRID)
    points = torch.full((1, 1, 2), side / 2.0), torch.ones(1, 1)

    def click() -> object:
        sparse, dense = prompts(points, None, None)
        return decoder(embedding, prompts.get_dense_pe(), sparse, dense, True)

    return click


def _inferred(call: Callable[[], object]) -> Callable[[], object]:
    def inferred() -> object:
        with torch.inference_mode():
            return call()

    return inferred


def _beside(calls: dict[str, Callable[[], object]], of: str, what: str, reference: str) -> Iterator[Row]:
    seconds = best_of(calls, _ROUNDS)
    for method, value in seconds.items():
        yield cost(of, what, method, value, "s", seconds[reference])


# --------------------------------------------------------------------------- many points


def _many(ours: EmbeddedPredictor, threads: str) -> Iterator[Row]:
    """All points at once against single calls, of which some are timed and scaled; how alike their masks are."""
    image, prompts = crowd()
    embedding, of = ours.embed(image), f"drawn {image.shape[0]}x{image.shape[1]}, {len(prompts)} points"
    some = prompts[: min(_ALONE, len(prompts))]
    predict_many(ours, embedding, some[:5])
    start = time.perf_counter()
    single = [_best(ours, embedding, prompt) for prompt in some]
    alone = (time.perf_counter() - start) * len(prompts) / len(some)
    start = time.perf_counter()
    many = predict_many(ours, embedding, prompts)
    together = time.perf_counter() - start
    method = f"{len(some)}_single_calls_scaled"
    yield cost(of, f"points_seconds_{threads}", "ours", together, "s", alone)
    yield cost(of, f"points_seconds_{threads}", method, alone, "s", alone)
    yield cost(of, f"points_limit_{threads}", "ours", together, "s", _MOST_SECONDS)
    same = [_iou(one, other.in_image(image.shape)) for one, other in zip(single, many)]
    yield score(of, f"points_iou_{threads}", "ours", float(np.mean(same)), "IoU with single calls", _SAME)


def crowd() -> tuple[Image, list[Prompt]]:
    """A picture of many drawn cells, and points on random pixels of them."""
    rng = np.random.default_rng(0)
    drawn = [[cells(_BLOCK, rng) for _ in range(_BLOCKS)] for _ in range(_BLOCKS)]
    picture = np.block([[pixels for pixels, _ in row] for row in drawn])
    mask = np.block([[labels for _, labels in row] for row in drawn])
    inside = np.argwhere(mask == 2)
    chosen = inside[rng.choice(len(inside), min(_POINTS, len(inside)), replace=False)]
    image = Image("crowd", "", (picture[None] / 255).astype(np.float32), np.ones(picture.shape, bool), (0, 0, 0))
    return image, [_point(int(y), int(x)) for y, x in chosen]


def _point(y: int, x: int) -> Prompt:
    return Prompt(np.array([[y, x]]), np.array([True]))


def _best(ours: EmbeddedPredictor, embedding: Embedding, prompt: Prompt) -> Bool:
    found = ours.predict(embedding, prompt)
    mask: Bool = found.masks[int(found.iou.argmax())]
    return mask


def _iou(a: Bool, b: Bool) -> float:
    return int(np.count_nonzero(a & b)) / max(1, int(np.count_nonzero(a | b)))


# --------------------------------------------------------------------------- a process of its own


def _first_mask(threads: int) -> Iterator[Row]:
    """From the start of a process to its first mask, and its peak memory above that of the imports alone."""
    with tempfile.TemporaryDirectory(prefix="napari-wsss-bench-") as folder:
        path = Path(folder) / "first.tif"
        tifffile.imwrite(path, (textured_image((_LARGE, _LARGE), 1, seed=0).channels[0] * 65535).astype(np.uint16))
        ground = _job(threads)
        found = _job(threads, str(path))
    of, each = f"drawn {_LARGE}x{_LARGE}", _threads(threads)
    yield cost(of, f"first_mask_seconds_{each}", "ours", found["mask_s"], "s", _FIRST_MASK)
    yield cost(of, f"imports_of_it_seconds_{each}", "ours", found["import_s"], "s")
    yield cost(of, f"memory_above_{each}", "ours", found["peak_mib"] - ground["peak_mib"], "MiB", _MEMORY)
    yield cost(of, f"memory_{each}", "torch_and_segment_anything", ground["peak_mib"], "MiB")


def _job(threads: int, *more: str) -> dict[str, float]:
    _, said = job("napari_wsss.bench._first_mask_job", [repr(time.time()), *more], threads)
    found: dict[str, float] = json.loads(said)
    return found


# --------------------------------------------------------------------------- a GPU


def _batches(setting: Setting) -> Iterator[Row]:
    """Batches of images through both encoders on a GPU, single precision: ours in its two frames of a 512² image."""
    device = torch.device("cuda")
    ours, theirs = load_embedded(device="cuda").network.image_encoder, TinyVitEncoder().eval().to(device)
    sides = [side + -side % MULTIPLE for side in (FINE, COARSE)]
    frames = [torch.rand(_BATCH, 3, side, side, device=device) for side in sides]
    large = torch.rand(_BATCH, 3, theirs.img_size, theirs.img_size, device=device)
    calls = {
        "ours_cuda": _finished(lambda: [ours(frame) for frame in frames]),
        f"{ENCODER}_cuda": _finished(lambda: theirs(large)),
    }
    try:
        yield from _beside(calls, f"{_BATCH} images", "embedding_seconds_of_batch", f"{ENCODER}_cuda")
    except torch.cuda.OutOfMemoryError:
        setting.note(f"bench embedded: no rows of a GPU, as its memory does not hold a batch of {_BATCH} images")


def _finished(call: Callable[[], object]) -> Callable[[], object]:
    """The call until the GPU is done with it."""

    def finished() -> object:
        with torch.inference_mode():
            result = call()
            torch.cuda.synchronize()
            return result

    return finished
