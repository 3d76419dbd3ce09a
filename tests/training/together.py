"""Two processes that train one network; each writes down what it saw. Started by test_team.py, and again by Fabric."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import torch

from napari_wsss.project import Project
from napari_wsss.training import loop
from napari_wsss.training.run_folder import RunFolder
from napari_wsss.training.team import Together
from tests.training.toy import QUICK


def main(folder: Path, notes: Path) -> None:
    team = Together("cpu", 2, 1)
    seen: list[tuple[int, str, int, int]] = []  # tiles that are learnt from with their labels
    written: list[str] = []
    real_window, real_write, loops = loop.window, RunFolder.write, []
    real_init, real_bare, bare_now = loop._Loop.__init__, loop._Loop._bare, []

    def window(place, *rest):
        if not bare_now:
            seen.append((loops[0].learner.order.epoch, place.name, place.row, place.column))
        return real_window(place, *rest)

    def bare(self, *arguments):
        bare_now.append(1)
        found = real_bare(self, *arguments)
        bare_now.clear()
        return found

    def write(self, name, data):
        written.append(name)
        real_write(self, name, data)

    def init(self, *arguments):
        loops.append(self)
        real_init(self, *arguments)

    loop.window, RunFolder.write, loop._Loop.__init__, loop._Loop._bare = window, write, init, bare
    with Project.open(folder) as project:
        settings = replace(QUICK, steps=8, unlabelled="cw-bass", unlabelled_from=0.5, held_out=0.2, batch=2)
        loop.train(project, settings, device="cpu", team=team)
    student = loops[0].learner.student
    told = {
        "seen": seen,
        "written": written,
        "weights": [float(p.detach().double().sum()) for p in student.parameters()],
        "gate": loops[0].learner.gate.running,
        "averaged": averaged(team),
    }
    (notes / f"{team.rank}.json").write_text(json.dumps(told))


def averaged(team: Together) -> list:
    """Means of gradients: both with weights 1 and 3, missing in the first, missing in both, no weight in the first."""
    both, second, nobody = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    both.grad = torch.full((2,), 1.0 + team.rank)
    second.grad = torch.full((2,), 4.0) if team.rank else None
    found = team.average([both, second, nobody], 3.0 if team.rank else 1.0)
    means = [both.grad.tolist(), second.grad.tolist(), nobody.grad]
    both.grad = torch.full((2,), 5.0 + team.rank)
    team.average([both], 2.0 * team.rank)
    means.append(both.grad.tolist())
    return [found, *means, team.average([both], 0.0), team.total(2 + team.rank), team.agree(lambda: team.rank)]


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
