"""What is not needed is not loaded, and the rooms import downwards only."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toy_projects import MASKS, QUICK_OPTIONS, make, plan

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "napari_wsss"
HEAVY = ("torch", "torchvision", "timm", "qtpy", "PyQt6", "PyQt5", "PySide6", "napari", "magicgui", "open_clip")


def loaded_by(statement: str, *arguments: object) -> list[str]:
    """Heavy packages that a fresh interpreter has loaded after the statement."""
    code = f"import sys\ntry:\n    {statement}\nexcept SystemExit:\n    pass\n"
    code += f"print('loaded:', *[m for m in {HEAVY} if m in sys.modules])"
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, *map(str, arguments)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1].removeprefix("loaded:").split()


@pytest.mark.parametrize(
    "statement",
    [
        "import napari_wsss",
        "import napari_wsss.project, napari_wsss.pipeline, napari_wsss.datasets, napari_wsss.labelling",
        "from napari_wsss.cli import main; main(['--help'])",
        "from napari_wsss.cli import main; main(['run', '--help'])",
        "from napari_wsss.cli import main; main(['export', '--help'])",
        "from napari_wsss.cli import main; main(['train', '--help'])",
        "from napari_wsss.cli import main; main(['next', 'no such project'])",
        "import napari_wsss.training, napari_wsss.active_learning, napari_wsss.quality, napari_wsss.simulation",
        "from napari_wsss.cli import main; main(['--version'])",
        "from napari_wsss.cli import main; main(['run', 'no such project'])",
    ],
)
def test_light_work_loads_no_torch_no_qt_and_no_napari(statement):
    assert loaded_by(statement) == []


@pytest.mark.parametrize("options", [("--stages", ",".join(MASKS), *QUICK_OPTIONS), QUICK_OPTIONS])
def test_a_run_that_has_nothing_to_do_loads_no_torch(tmp_path, options):
    from napari_wsss.cli import main

    with make(tmp_path) as project:
        folder = project.folder
    assert main(["run", str(folder), *options]) == 0
    statement = f"from napari_wsss.cli import main; assert main(['run', sys.argv[1], *{options!r}]) == 0"
    assert loaded_by(statement, folder) == []


def test_labelling_accepting_and_exporting_load_no_torch(tmp_path):
    from napari_wsss.pipeline import run

    with make(tmp_path) as project:
        run(project, plan())
        folder = project.folder
    (tmp_path / "p.csv").write_text("image,y,x,class\n2,4,4,background\n")
    words = [
        ["label", folder, "--points", tmp_path / "p.csv"],
        ["accept", folder],
        *(["export", folder, tmp_path / form, "--format", form] for form in ("png", "coco", "voc", "yolo")),
    ]
    calls = "; ".join(f"assert main({[str(w) for w in line]!r}) == 0" for line in words)
    assert loaded_by(f"from napari_wsss.cli import main; {calls}") == []


def _imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {node.module or ""} | {f"{node.module}.{a.name}" for a in node.names}
    return found


def _files(*rooms: str):
    return [f for room in rooms for f in sorted((PACKAGE / room).rglob("*.py"))]


METHODS = ("encoders", "cams", "label_models", "refiners", "segmenters", "acquisition", "exporters")


@pytest.mark.parametrize("room", METHODS)
def test_methods_know_neither_each_other_nor_the_project_nor_the_truth(room):
    others = [f"napari_wsss.{r}" for r in METHODS if r != room]
    above = ["napari_wsss.project", "napari_wsss.pipeline", "napari_wsss.evaluation", "napari_wsss.cli"]
    for file in _files(room):
        wrong = [i for i in _imports(file) for o in (*others, *above) if i == o or i.startswith(o + ".")]
        assert not wrong, f"{file.name}: {wrong}"


def test_rooms_that_need_no_network_of_neurons_do_not_name_torch():
    for file in _files("project", "images", "weak_labels", "exporters", "evaluation", "acquisition"):
        assert not [i for i in _imports(file) if i.split(".")[0] in HEAVY], file
    for file in _files("."):
        if file.relative_to(PACKAGE).parts[0] not in ("viewer", "widgets"):
            assert not [i for i in _imports(file) if i.split(".")[0] in ("qtpy", "PyQt6", "PySide6")], file


def test_nothing_that_is_read_is_executed():
    for file in _files("."):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        names = {n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and isinstance(n.func, ast.Name)}
        assert not names & {"eval", "exec"}, file
        for call in (n for n in ast.walk(tree) if isinstance(n, ast.Call)):
            name = ast.unparse(call.func)
            assert name.split(".")[0] not in ("pickle", "cPickle", "dill", "joblib", "marshal"), file
            if name == "torch.load":
                assert [k for k in call.keywords if k.arg == "weights_only" and ast.unparse(k.value) == "True"], file
