"""From a run's checkpoint to the file that ships."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file


def export(checkpoint: Path, out: Path) -> str:
    """Write the averaged network of a checkpoint in half precision; what was written, as a line."""
    state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    kept = {k: v.half().contiguous() for k, v in state["average"].items() if v.is_floating_point()}
    out.parent.mkdir(parents=True, exist_ok=True)
    save_file(kept, out, {"steps": str(state["step"]), "minutes": f"{state['seconds'] / 60:.0f}"})
    return f"{out}: {out.stat().st_size / 1e6:.1f} MB after {state['step']} steps"
