"""What the 3D network of our own learns, and how well: the loss over FACTS, and what it tells right."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vidperc.models.precision import training_precision
from vidperc.perception.own3d import WIDTHS, Own3d
from vidperc.training.lessons import FACTS, KINDS, SPEEDS

Lesson = tuple[Tensor, Tensor]

_BACKWARDS, _SPEED, _DAMAGE, _STRENGTH = (FACTS.index(name) for name in FACTS[:4])
_CAMERA = slice(_STRENGTH + 1, len(FACTS))
_ANSWERS = (1, len(SPEEDS), len(KINDS), 1, len(FACTS) - _CAMERA.start)


class Standardised(nn.Conv2d):
    """A convolution whose kernels have no mean and one size, and a gain for each channel: what norms do, without them.

    Source: A. Brock et al., "Characterizing signal propagation to close the performance gap in unnormalized ResNets",
    2021, equation 5, with the gain of ReLU rounded up.
    """

    def __init__(self, channels: int, wanted: int, side: int | tuple[int, int], **how: Any) -> None:
        super().__init__(channels, wanted, side, **how)
        self.gain = nn.Parameter(torch.ones(wanted, 1, 1, 1))
        # Their size does nothing but say how quickly they turn.
        nn.init.normal_(self.weight, 0, 0.1)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def kernel(self) -> Tensor:
        """What is convolved with, (wanted,channels,h,w)."""
        variance, mean = torch.var_mean(self.weight, dim=(1, 2, 3), keepdim=True)
        return self.gain * _RELU_GAIN * (self.weight - mean) * torch.rsqrt(variance * self.weight[0].numel() + 1e-6)

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, self.kernel(), self.bias, self.stride, self.padding)


_RELU_GAIN = 1.41


class TrainableOwn3d(nn.Module):
    """The network, and on the means of its deepest features one linear layer that answers all questions.

    No more than that, so that the features themselves tell what is asked, and their means move with it.
    """

    def __init__(self, *, bfloat16: bool) -> None:
        super().__init__()
        self.network = Own3d(Standardised)
        for block in list(self.network.children())[1:]:
            # Each block begins nearly as the way around it.
            nn.init.constant_(cast("Standardised", block.get_submodule("second.time")).gain, 0.2)
        self.heads = nn.Linear(list(WIDTHS.values())[-1], sum(_ANSWERS))
        self.in_bfloat16 = bfloat16

    def forward(self, clips: Tensor) -> tuple[Tensor, ...]:
        """Of clips (N,T,3,H,W): backwards (N,1), speed (N,3), damage (N,7), strength (N,1) and camera (N,4)."""
        low = self.in_bfloat16 and self.training and training_precision(clips.device) == torch.bfloat16
        with torch.autocast(clips.device.type, torch.bfloat16, enabled=low):
            features = self.network(clips)["layer3"]
        answers: Tensor = self.heads(features.float().mean(dim=(2, 3, 4)))
        return torch.split(answers, list(_ANSWERS), dim=1)

    @torch.no_grad()
    def folded(self) -> Own3d:
        """The network alone, with plain kernels."""
        plain = Own3d()
        weights: dict[str, Tensor] = plain.state_dict()  # the tensors themselves, no copies
        for name in [key.removesuffix(".weight") for key in weights if key.endswith(".weight")]:
            layer = cast("Standardised", self.network.get_submodule(name))
            assert layer.bias is not None
            weights[f"{name}.weight"].copy_(layer.kernel())
            weights[f"{name}.bias"].copy_(layer.bias)
        return plain.eval().requires_grad_(False)


def own3d_loss(network: nn.Module, clips: Tensor, facts: Tensor) -> Tensor:
    """The sum of what every question costs, each over the clips that it can be asked of."""
    backwards, speed, damage, strength, camera = network(clips)
    return (
        _over(facts[:, _BACKWARDS], lambda known, of: F.binary_cross_entropy_with_logits(backwards[of, 0], known))
        + _over(facts[:, _SPEED], lambda known, of: F.cross_entropy(speed[of], known.long()))
        + F.cross_entropy(damage, facts[:, _DAMAGE].long())
        + F.smooth_l1_loss(strength[:, 0], facts[:, _STRENGTH], beta=0.1)
        + _over(facts[:, _CAMERA], lambda known, of: F.smooth_l1_loss(camera[of], known))
    )


def _over(facts: Tensor, cost: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """The cost over the clips whose facts are known; nothing where there are none."""
    known = facts.isfinite().reshape(len(facts), -1).all(dim=1)
    return cost(facts[known], known) if bool(known.any()) else facts.new_zeros(())


def told_right(lessons: Sequence[Lesson]) -> Callable[[nn.Module], dict[str, float]]:
    """A measure over lessons: the shares of clips of which a network tells direction, speed and damage right, 0 to 1.

    With the mean errors of what it says of the damage's strength, and of the camera's pan in pixels a frame.
    """

    @torch.no_grad()
    def measure(network: nn.Module) -> dict[str, float]:
        training = network.training
        network.eval()
        answers = [network(clips) for clips, _ in lessons]
        network.train(training)
        backwards, speed, damage, strength, camera = (torch.cat(parts) for parts in zip(*answers, strict=True))
        facts = torch.cat([known for _, known in lessons])

        right = {
            "backwards": (backwards[:, 0] > 0) == (facts[:, _BACKWARDS] > 0.5),
            "speed": speed.argmax(dim=1) == facts[:, _SPEED],
            "damage": damage.argmax(dim=1) == facts[:, _DAMAGE],
            "strength off by": (strength[:, 0] - facts[:, _STRENGTH]).abs(),
            "pan off by": 2 * (camera - facts[:, _CAMERA])[:, :2].abs().mean(dim=1),
        }
        return {name: float(right[name][asked].float().mean()) for name, asked in _asked(facts).items()}

    return measure


def guessed_right(lessons: Sequence[Lesson]) -> dict[str, tuple[float, int]]:
    """What `told_right` would say of who gives the one answer that fares best, and of how many clips it was asked."""
    facts = torch.cat([known for _, known in lessons])
    found: dict[str, tuple[float, int]] = {}
    for name, asked in _asked(facts).items():
        known = facts[asked][:, _COLUMNS[name]]
        if name.endswith("off by"):
            size = 2 if name == "pan off by" else 1
            best = size * (known - known.median(dim=0).values).abs().mean()
        else:
            best = known.long().flatten().bincount().max() / len(known)
        found[name] = float(best), len(known)
    return found


# The columns of the facts that a figure rests on; `pan` in pixels a frame, two of which count as one in the facts.
_COLUMNS = {
    "backwards": [_BACKWARDS],
    "speed": [_SPEED],
    "damage": [_DAMAGE],
    "strength off by": [_STRENGTH],
    "pan off by": [_CAMERA.start, _CAMERA.start + 1],
}


def _asked(facts: Tensor) -> dict[str, Tensor]:
    """Which clips each figure is of, (N,) booleans; none for what no clip was asked."""
    asked = {name: facts[:, columns].isfinite().all(dim=1) for name, columns in _COLUMNS.items()}
    return {name: clips for name, clips in asked.items() if bool(clips.any())}


@torch.no_grad()
def balance(network: Own3d, clips: Tensor) -> None:
    """Scale every layer's features, in place, to a mean square of 1 over clips (N,T,3,H,W).

    So that a loss over several layers is not the loss of the one whose numbers happen to be large. What a layer's last
    convolutions are divided by, the next one's first are multiplied with: ReLU lets a positive factor pass.
    """
    layers = list(network.children())
    for place, features in enumerate(network(clips).values()):
        size = float(features.square().mean().sqrt())
        for last in _ends(layers[place]):
            for value in last.parameters():
                value.div_(size)
        for first in _beginnings(layers[place + 1]) if place + 1 < len(layers) else []:
            first.weight.mul_(size)


def _ends(layer: nn.Module) -> list[nn.Module]:
    """The convolutions that give a layer's features."""
    names = ("second.time", "around") if hasattr(layer, "around") else ("time",)
    return [layer.get_submodule(name) for name in names]


def _beginnings(layer: nn.Module) -> list[nn.Conv2d]:
    """The convolutions that take what a block is given."""
    return [cast("nn.Conv2d", layer.get_submodule(name)) for name in ("first.space", "around")]
