"""What every test shares: one torch thread, and the count of long trials."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
import torchvision  # noqa: F401  # before any viewer: Triton after Mesa's LLVM crashes (ARCHITECTURE.md)

torch.set_num_threads(1)

SHARED = Path(__file__).resolve().parents[1].parent / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run long trials with their full counts")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of several processes (``-n``, see .ci/test) one has all windows: two would take each other's keyboard."""
    for item in items:
        file = item.path.relative_to(Path(__file__).parent)
        item.add_marker(pytest.mark.xdist_group("window" if file.parts[0] == "gui" else file.as_posix()))


@pytest.fixture
def count(request: pytest.FixtureRequest):
    """``count(short, full)``: how many trials to run."""
    return lambda short, full: full if request.config.getoption("--long") else short


@pytest.fixture(scope="session")
def shared_data() -> Path:
    if not (SHARED / "data").is_dir():
        pytest.skip("the real images of ../shared/data are not on this machine")
    return SHARED / "data"


@pytest.fixture(scope="session")
def shared_weights() -> Path:
    if not (SHARED / "weights").is_dir():
        pytest.skip("the pretrained weights of ../shared/weights are not on this machine")
    return SHARED / "weights"
