"""The process whose time and memory ``bench embedded`` measures: imports, then one mask of one image.

Without an image: only ``import torch, segment_anything``, as the ground to compare memory with.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from napari_wsss.bench._machine import peak_mib


def main(started: float, path: Path | None) -> None:
    """``started`` is the clock (`time.time`) at which the process was asked for."""
    said = imports_only(started) if path is None else first_mask(started, path)
    sys.stdout.write(json.dumps(said))


def imports_only(started: float) -> dict[str, float]:
    import segment_anything  # noqa: F401
    import torch  # noqa: F401

    return {"import_s": time.time() - started, "peak_mib": peak_mib()}


def first_mask(started: float, path: Path) -> dict[str, float]:
    """Seconds until imports were done and until there was a mask under a click in the image's middle."""
    import numpy as np

    from napari_wsss.images import contrast, load, open_source
    from napari_wsss.models.embedded.predictor import load_embedded
    from napari_wsss.models.prompts import Prompt

    imported = time.time() - started
    source = open_source(path)
    plane = source.planes[0]
    image = load(source, plane, name=path.name, key="first", contrast=contrast(source, plane), rgb_channels=None)
    predictor = load_embedded()
    middle = np.array([[n // 2 for n in image.shape]])
    found = predictor.predict(predictor.embed(image), Prompt(middle, np.array([True])))
    done = time.time() - started
    mask = found.masks[int(found.iou.argmax())]
    if mask.shape != image.shape:
        raise SystemExit(f"a mask of {mask.shape} for an image of {image.shape}")
    return {"import_s": imported, "mask_s": done, "peak_mib": peak_mib()}


if __name__ == "__main__":
    main(float(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) > 2 else None)
