"""Objective: named terms put together; what they share is found once."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.losses.adversarial import Adversarial, adaptive_weight, discriminator_loss
from vidperc.losses.motion_choice import MotionChoice
from vidperc.losses.needs import check_needs
from vidperc.losses.sample import Sample
from vidperc.losses.term import Opened, Term
from vidperc.losses.view import FindMotion, Networks, View


@dataclass(frozen=True, kw_only=True)
class Values:
    """What an objective found: the weighted total, and each term's value by its name, without its weight.

    weights: what each value counts in the total; that of an adaptive term changes from call to call.
    The values carry gradients, as the total does; `numbers` has them as plain ones.
    """

    total: Tensor
    named: Mapping[str, Tensor]
    weights: Mapping[str, float]

    def numbers(self) -> dict[str, float]:
        return {name: float(value.detach()) for name, value in self.named.items()}


@dataclass(frozen=True, kw_only=True)
class ObjectiveSpec:
    """What the YAML of an objective holds. motion: how it is found where a sample has none."""

    terms: tuple[Term, ...]
    motion: MotionChoice = field(default_factory=MotionChoice)

    def __post_init__(self) -> None:
        if not self.terms:
            raise ValueError("terms: got none, wanted at least one")
        names = [term.called for term in self.terms]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"terms: two are called {twice}, wanted a `name` for one of them")


class Objective(nn.Module):
    """Called with a sample, the values of its terms and their weighted sum.

    A backbone runs once over each of out, true and style, for all layers of all terms, and motion is found once.
    Values are float32 at least, under autocast too; backbones run as autocast says. Gradients reach `out`, `back` and
    `latent` alone.

    discriminators: of the adversarial terms, by name: what a training learns beside the network, and keeps in its
    checkpoints; nothing else here learns or is in `state_dict`.
    """

    discriminators: nn.ModuleDict

    def __init__(
        self, terms: Sequence[Term], opened: Sequence[Opened], backbones: Networks, find: FindMotion | None
    ) -> None:
        super().__init__()
        self.terms = tuple(terms)
        self.discriminators = nn.ModuleDict(
            {term.called: part.judge for term, part in zip(terms, opened, strict=True) if part.judge is not None}
        )
        self._measures = [part.measure for part in opened]
        self._backbones, self._find = dict(backbones), find
        # In a plain list, which `state_dict` does not look into: their weights come from files and never change.
        self._frozen = [*backbones.values(), *(network for part in opened for network in part.networks)]

    @staticmethod
    def open(
        terms: Sequence[Term], *, weights: Path | None = None, device: str = "cpu", motion: MotionChoice | None = None
    ) -> Objective:
        """The objective of these terms, with all networks loaded, on a device.

        weights: the folder of weights, None for the usual places. motion: how it is found where a sample has none.
        Raises VidpercError that names the term for unknown networks and layers, for weights that cannot be had, and for
        two terms of one name.
        """
        try:
            spec = ObjectiveSpec(terms=tuple(terms), motion=motion or MotionChoice())
        except ValueError as error:
            raise VidpercError(f"objective: {error}") from error
        opened: list[Opened] = []
        for term in spec.terms:
            with _refusing(term.called):
                opened.append(term.open(weights))
        backbones = _open_backbones(spec.terms, weights)
        moving = [term for term in spec.terms if "motion" in term.needs]
        find: FindMotion | None = None
        if moving:
            with _refusing(moving[0].called):
                find = spec.motion.open(device)
        return Objective(spec.terms, opened, backbones, find).to(device)

    def forward(self, sample: Sample, *, last_layer: Tensor | None = None) -> Values:
        """The values of a sample.

        last_layer: the weights of the generator's last layer, for adaptive terms.
        Raises ValueError that begins with the name of a term for what it lacks, and for pictures that do not fit what
        the sample declares.
        """
        named = self.measure(sample)
        weights = {term.called: term.weight for term in self.terms}
        adaptive = [term for term in self.terms if isinstance(term, Adversarial) and term.adaptive]
        rest = _total(named, {name: weights[name] for name in weights.keys() - {term.called for term in adaptive}})
        for term in adaptive:
            if last_layer is None or not torch.is_grad_enabled():
                raise ValueError(
                    f"{term.called}: its weight is adaptive, wanted the generator's last_layer, and gradients; "
                    "to evaluate, take Objective.measure"
                )
            if rest is None:
                raise ValueError(f"{term.called}: its weight is adaptive, wanted another term to adapt it to")
            with _about(term):
                weights[term.called] *= float(adaptive_weight(rest, named[term.called], last_layer))
        total = _total(named, weights)
        assert total is not None
        return Values(total=total, named=named, weights=weights)

    def measure(self, sample: Sample) -> dict[str, Tensor]:
        """The values alone, without weights and total; as the call otherwise."""
        for term in self.terms:
            check_needs(term, sample)
        view = View(sample, self._backbones, self._find)
        named: dict[str, Tensor] = {}
        for term, measure in zip(self.terms, self._measures, strict=True):
            view.reader = term.called
            with _about(term):
                named[term.called] = measure(view)
        _check_finite(named)
        return named

    def check_frames(self, count: int) -> None:
        """Raises ValueError, beginning with the name of a term, where its network takes no clips of so many frames."""
        for term in self.terms:
            for wanted in term.wanted:
                network = self._backbones[wanted.backbone, wanted.video]
                if wanted.video:
                    from vidperc.perception.video_backbone import VideoBackbone

                    assert isinstance(network, VideoBackbone)
                    with _about(term):
                        network.check_frames(count)

    def judge(self, sample: Sample) -> Values:
        """What the discriminators pay for taking true for false and out for true, by the names of their terms.

        Gradients reach the discriminators alone.
        Raises ValueError for an objective without adversarial terms, and as the call.
        """
        judges = [term for term in self.terms if isinstance(term, Adversarial)]
        if not judges:
            raise ValueError("objective: got no adversarial term, wanted one to judge for")
        named: dict[str, Tensor] = {}
        view = View(sample, self._backbones, self._find)
        for term in judges:
            check_needs(term, sample, also_true=True)
            view.reader = term.called
            network: nn.Module = self.discriminators[term.called]
            with _about(term):
                real, fake = network(view.true), network(view.out.detach())
                named[term.called] = discriminator_loss(real, fake, game=term.game)
        _check_finite(named)
        weights = dict.fromkeys(named, 1.0)
        total = _total(named, weights)
        assert total is not None
        return Values(total=total, named=named, weights=weights)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Objective:
        """What `to`, `cuda` and `double` do, to the frozen networks too."""
        for network in self._frozen:
            network._apply(fn, recurse)
        super()._apply(fn, recurse)
        return self


def _check_finite(named: Mapping[str, Tensor]) -> None:
    """Raises ValueError, beginning with the name of a term, for a value that is no finite number.

    All at once: a GPU is waited for one time and not for every term.
    """
    device = next(iter(named.values())).device
    fine = torch.stack([value.detach().isfinite().to(device) for value in named.values()]).cpu()
    for (name, value), is_fine in zip(named.items(), fine, strict=True):
        if not bool(is_fine):
            raise ValueError(
                f"{name}: its value is {float(value.detach())}, wanted a number; look at what is far out in the sample"
            )


def _total(named: Mapping[str, Tensor], weights: Mapping[str, float]) -> Tensor | None:
    """The weighted sum of those values that have a weight here; None for none."""
    parts = [weights[name] * value for name, value in named.items() if name in weights]
    return sum(parts[1:], start=parts[0]) if parts else None


def _open_backbones(terms: Sequence[Term], weights: Path | None) -> Networks:
    """Every backbone once, with all the layers that any term wants of it."""
    asking: dict[tuple[str, bool], list[tuple[str, tuple[str, ...]]]] = {}
    for term in terms:
        for wanted in term.wanted:
            asking.setdefault((wanted.backbone, wanted.video), []).append((term.called, wanted.layers))
    found: dict[tuple[str, bool], nn.Module] = {}
    for (name, video), by in asking.items():
        layers = list(dict.fromkeys(layer for _, wanted in by for layer in wanted))
        try:
            found[name, video] = _open_backbone(name, layers, weights, video=video)
        except VidpercError as error:
            # A layer that is not there is the mistake of those that ask for it, anything else of all.
            guilty = [term for term, wanted in by if any(f"no layer {layer!r}" in str(error) for layer in wanted)]
            told = ", ".join(dict.fromkeys(guilty or [term for term, _ in by]))
            raise VidpercError(f"{told}: {error}") from error
    return found


def _open_backbone(name: str, layers: Sequence[str], weights: Path | None, *, video: bool) -> nn.Module:
    # Imported where they are wanted: most objectives need one of them, or none.
    if video:
        from vidperc.perception.video_backbone import open_video_backbone

        return open_video_backbone(name, layers=layers, weights=weights)
    from vidperc.perception.backbone import open_backbone

    return open_backbone(name, layers=layers, weights=weights)


@contextmanager
def _about(term: Term) -> Generator[None]:
    """A context whose errors begin with the name of the term, which need not be that of its kind."""
    try:
        yield
    except (VidpercError, ValueError) as error:
        if str(error).startswith(f"{term.called}: "):
            raise
        raise type(error)(f"{term.called}: {error}") from error


@contextmanager
def _refusing(name: str) -> Generator[None]:
    """A context in which what a user may have asked wrongly becomes a VidpercError that begins with the name."""
    try:
        yield
    except (VidpercError, ValueError) as error:
        raise VidpercError(f"{name}: {error}") from error
