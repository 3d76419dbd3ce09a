"""How to train: a recipe's name, limits, and a switch for each part of the loss."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_type_hints

from napari_wsss.choices import DEFAULT_SEGMENTER
from napari_wsss.errors import UsageError

_TILE, _BATCH = 192, 8  # of a network that sees images
_CELLS, _SMALLEST, _LARGEST, _FEW = 32, 64, 256, 4  # on features: cells a tile and its bounds in pixels, tiles


@dataclass(frozen=True)
class Training:
    """Settings of a training run; stored in its folder.

    Attributes
    ----------
    segmenter, params, encoder : method of ``segmenters``, its parameters, and the encoder of ``frozen``
    steps, minutes : limits; the first reached ends the run (no limit: 5 minutes)
    clock : what ``minutes`` are of: ``wall``, or ``cpu`` of this process, all threads together
    tile, batch : side of a tile in image pixels, tiles a step; 0 = what suits the segmenter
    rate, decay : AdamW
    ema : largest weight of the past in the teacher
    held_out : share of the accepted images that is kept to choose the weights
    check_every : steps between looks at the held-out images
    save_every : seconds between checkpoints
    seed : of everything random; None = the project's
    complete : label the rest of hinted images by the pipeline first, where that is not done yet
    dice, allowed, noisy, gaussian : weights of the partial losses, see :mod:`napari_wsss.training.losses`
    doubt : how far a refined mask's pixel loses weight where the network does not believe it, 0 to 1
    unlabelled : form of learning from unlabelled pixels: ``off``, ``cw-bass`` or ``unimatch``
    unlabelled_weight, unlabelled_from : its weight, and the share of the run after which it begins
    hardness : weigh labelled pixels by learnt hardness (HL)
    content_check : leave out strong views that destroyed what they show
    balance : weigh rare classes up
    flips : ``auto`` (upright where classes differ in height), ``all`` or ``horizontal``
    placed : tell the network where in the image a pixel lies; ``auto`` = where classes differ in height
    threads : torch threads on a CPU; 0 = half of the cores
    compile : let torch compile the student (a minute or more at first; meant for long runs on CUDA)
    tensorboard : write the metrics as TensorBoard events too
    """

    segmenter: str = DEFAULT_SEGMENTER
    params: Mapping[str, Any] = field(default_factory=dict)
    encoder: str | None = None
    steps: int | None = None
    minutes: float | None = None
    clock: Literal["wall", "cpu"] = "wall"
    tile: int = 0
    batch: int = 0
    rate: float = 3e-3
    decay: float = 0.01
    ema: float = 0.99
    held_out: float = 0.15
    check_every: int = 50
    save_every: float = 30.0
    seed: int | None = None
    complete: bool = True
    dice: float = 0.5
    allowed: float = 0.5
    noisy: float = 1.0
    doubt: float = 0.5
    gaussian: float = 0.0
    unlabelled: Literal["off", "cw-bass", "unimatch"] = "off"
    unlabelled_weight: float = 0.5
    unlabelled_from: float = 0.3
    hardness: bool = False
    content_check: bool = True
    balance: bool = True
    flips: Literal["auto", "all", "horizontal"] = "auto"
    placed: Literal["auto", "yes", "no"] = "auto"
    threads: int = 0
    compile: bool = False
    tensorboard: bool = False

    def __post_init__(self) -> None:
        problem = next((text for wrong, text in self._problems() if wrong), None)
        if problem:
            raise UsageError(f"training: {problem}")

    def _problems(self) -> list[tuple[bool, str]]:
        return [
            (self.tile < 0 or self.tile % 32 != 0, "tile must be a multiple of 32"),
            (self.batch < 0, "batch must not be negative"),
            (self.rate < 0 or self.decay < 0, "rate and decay must not be negative"),
            (not 0 <= self.ema < 1, "ema must lie in [0, 1)"),
            (not 0 <= self.doubt <= 1, "doubt must lie in [0, 1]"),
            (not 0 <= self.held_out < 0.9, "held_out must lie in [0, 0.9)"),
            (self.steps is not None and self.steps < 1, "steps must be at least 1"),
            (self.minutes is not None and self.minutes <= 0, "minutes must be more than 0"),
            (self.check_every < 1, "check_every must be at least 1"),
            (not 0 <= self.unlabelled_from <= 1, "unlabelled_from must lie in [0, 1]"),
        ]

    @property
    def limits(self) -> tuple[int | None, float | None]:
        """Steps and seconds; five minutes where neither was said."""
        if self.steps is None and self.minutes is None:
            return None, 300.0
        return self.steps, None if self.minutes is None else 60.0 * self.minutes

    def suited(self, features: bool, step: int) -> Training:
        """With a tile and a batch that suit the network, where none was said.

        A head on features learns most in a given time from many steps of few cells.
        """
        tile = min(max(_CELLS * step, _SMALLEST), _LARGEST) if features else _TILE
        return replace(self, tile=self.tile or tile, batch=self.batch or (_FEW if features else _BATCH))

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Training:
        return cls(**json.loads(text))


def with_values(base: Training, given: Mapping[str, str]) -> Training:
    """Settings with values from a command line, converted to the fields' types.

    Raises
    ------
    UsageError
        For a name that is no setting or a value that does not convert.
    """
    simple = {f.name for f in fields(Training)} - {"params", "segmenter", "encoder"}
    hints = get_type_hints(Training)
    values: dict[str, Any] = {}
    for name, text in given.items():
        if name not in simple:
            raise UsageError(f"training has no setting {name!r}; it has: {', '.join(sorted(simple))}")
        values[name] = _converted(name, text, hints[name])
    return replace(base, **values)


def _converted(name: str, text: str, hint: Any) -> Any:
    options = getattr(hint, "__args__", ())
    if options and all(isinstance(option, str) for option in options):
        if text in options:
            return text
        raise UsageError(f"training.{name}: {text!r} is not one of {', '.join(options)}")
    if hint is bool:
        if text.lower() in ("1", "true", "yes", "on", "0", "false", "no", "off"):
            return text.lower() in ("1", "true", "yes", "on")
        raise UsageError(f"training.{name}: {text!r} is neither true nor false")
    kind = next((option for option in (*options, hint) if option in (int, float)), str)
    try:
        return kind(text)
    except ValueError:
        raise UsageError(f"training.{name}: {text!r} is not a number") from None
