"""A small discriminative head on frozen features, fitted to labelled pixels of the whole project."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from napari_wsss.label_models._dropout import Dropout
from napari_wsss.types import Progress, State, no_progress

_CHUNK = 1 << 16  # pixels predicted at once
_TELL = 25  # steps of the fit between two reports
_FEW = 2_000  # labelled pixels at which half as many features are held back as with very few


@dataclass(frozen=True, eq=False)
class LabelledPixels:
    """Pixels that bear a label, and what pixels look like in general.

    Attributes
    ----------
    features : float32 (n, d)
    classes : int64 (n,), from 0
    images : int64 (n,), number of the pixel's image
    anywhere : float32 (m, d)
        Features of pixels drawn from everywhere.
    mean, scale : float32 (d,)
        Of those: hinted pixels alone lie in the middle of things, and a head
        standardised by them extrapolates wildly at every edge.
    weights : float32 (n,)
        How often a pixel is looked at beside others of its class.
    guessed : bool (n,)
        Background that nobody gave: the surroundings of an object that a model was asked for, or pixels anywhere.
    given : bool (n,)
        Not of an object that a model was asked for, nor guessed.
    dense : bool (n,)
        Of an accepted mask or an answered region, where every pixel was named.
    plain : int
        Labelled pixels that do not come from objects that a model was asked for.
    """

    features: Tensor
    classes: Tensor
    images: Tensor
    weights: Tensor
    anywhere: Tensor
    mean: Tensor
    scale: Tensor
    guessed: Tensor
    given: Tensor
    dense: Tensor
    plain: int

    def part(self, keep: Tensor) -> LabelledPixels:
        """The pixels that a mask or an index (m,) keeps."""
        return replace(
            self,
            features=self.features[keep],
            classes=self.classes[keep],
            images=self.images[keep],
            weights=self.weights[keep],
            guessed=self.guessed[keep],
            given=self.given[keep],
            dense=self.dense[keep],
        )

    def without_last(self, n: int) -> LabelledPixels:
        """The same pixels without the last n features."""
        features, anywhere = self.features[:, :-n], self.anywhere[:, :-n]
        mean, scale = self.mean[:-n], self.scale[:-n]
        return replace(self, features=features, anywhere=anywhere, mean=mean, scale=scale)


@dataclass(frozen=True)
class HeadSettings:
    """How a head is fitted.

    ``balance`` says how far rare classes are raised (0 = not, 1 = all equal). ``features_held_back``
    is the share of features that a step does not see, where labels are very few; it falls with their number.
    """

    hidden: int = 32
    steps: int = 150
    batch: int = 2048
    rate: float = 3e-3
    decay: float = 1e-3
    dropout: float = 0.2
    features_held_back: float = 0.5
    balance: float = 1.0
    smoothing: float = 0.05


class PixelHead(nn.Module):
    """Standardise, two hidden layers, one logit a class."""

    mean: Tensor
    scale: Tensor

    def __init__(
        self, n_features: int, hidden: int, n_classes: int, dropout: float = 0.0, held_back: float = 0.0
    ) -> None:
        super().__init__()
        self.hold_back = Dropout(held_back)
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("scale", torch.ones(n_features))
        self.layers = nn.Sequential(
            nn.Linear(n_features, hidden),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.GELU(),
            Dropout(dropout),
            nn.Linear(hidden, n_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Logits (n, K) of features (n, d)."""
        # Far outside what was seen a head extrapolates without bound; the clamp keeps it modest.
        standard = ((x - self.mean) / self.scale).clamp(-6, 6)
        logits: Tensor = self.layers(self.hold_back(standard))
        return logits


def fit_head(
    pixels: LabelledPixels, n_classes: int, settings: HeadSettings, seed: int, progress: Progress = no_progress
) -> PixelHead:
    """Fit a head to labelled pixels; deterministic for a seed, and the global random state stays as it was.

    ``progress`` is told now and then, so that a window's click can pass, and may raise Cancelled.
    """
    x, y = pixels.features, pixels.classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        held_back = settings.features_held_back * _FEW / (_FEW + len(y))
        head = PixelHead(x.shape[1], settings.hidden, n_classes, settings.dropout, held_back)
        head.mean.copy_(pixels.mean.cpu())
        head.scale.copy_(pixels.scale.cpu())
        head.to(x.device).train()
        _optimise(head, x, y, _cumulative_share(pixels, n_classes, settings.balance), settings, progress)
    return head.eval()


def _cumulative_share(pixels: LabelledPixels, n_classes: int, balance: float) -> Tensor:
    weights = pixels.weights.double()
    of_class = torch.bincount(pixels.classes, weights, minlength=n_classes).clamp(min=1e-9)
    running = (weights * of_class.pow(-balance)[pixels.classes]).cumsum(0)
    return running / running[-1]


def _optimise(
    head: PixelHead, x: Tensor, y: Tensor, running: Tensor, settings: HeadSettings, progress: Progress
) -> None:
    optimiser = torch.optim.AdamW(head.parameters(), lr=settings.rate, weight_decay=settings.decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, settings.rate, total_steps=settings.steps)
    batch = min(settings.batch, 4 * len(y))
    for step in range(settings.steps):
        if step % _TELL == 0:
            progress(step, settings.steps, "learning from hints")
        drawn = torch.rand(batch, dtype=torch.float64).to(x.device)
        chosen = torch.searchsorted(running, drawn).clamp(max=len(y) - 1)
        loss = F.cross_entropy(head(x[chosen]), y[chosen], label_smoothing=settings.smoothing)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()


@torch.no_grad()
def probabilities(head: PixelHead, features: Tensor) -> Tensor:
    """float32 (K, h, w) of features (d, h, w)."""
    d, h, w = features.shape
    flat = features.reshape(d, h * w)
    answers = [head(flat[:, i : i + _CHUNK].T).softmax(1).T for i in range(0, h * w, _CHUNK)]
    return torch.cat(answers, 1).reshape(-1, h, w)


def log_loss(pixels: LabelledPixels, n_classes: int, settings: HeadSettings, seed: int, folds: int = 3) -> float:
    """Class-balanced log loss on images that the head was not fitted to (folds by image)."""
    images = torch.unique(pixels.images)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed)).to(images.device)
    total = torch.zeros(n_classes, dtype=torch.float64)
    seen = torch.zeros(n_classes, dtype=torch.float64)
    for fold in range(folds):
        held = torch.isin(pixels.images, images[order[fold::folds]])
        if not held.any() or held.all():
            continue
        head = fit_head(pixels.part(~held), n_classes, settings, seed)
        with torch.no_grad():
            loss = F.cross_entropy(head(pixels.features[held]), pixels.classes[held], reduction="none").cpu().double()
        classes = pixels.classes[held].cpu()
        total.index_add_(0, classes, loss)
        seen.index_add_(0, classes, torch.ones_like(loss))
    return float((total / seen.clamp(min=1))[seen > 0].mean())


def to_state(head: PixelHead) -> dict[str, NDArray[np.float32]]:
    """Arrays that :func:`from_state` makes the same head of."""
    return {f"head.{name}": value.cpu().numpy() for name, value in head.state_dict().items()}


def from_state(state: State, device: torch.device) -> PixelHead:
    """The head that :func:`to_state` stored, on a device, ready to predict."""
    weights = {name[5:]: torch.as_tensor(np.asarray(v)) for name, v in state.items() if name.startswith("head.")}
    hidden, n_features = weights["layers.0.weight"].shape
    head = PixelHead(n_features, hidden, len(weights["layers.6.bias"]))
    head.load_state_dict(weights)
    return head.to(device).eval()
