"""The training loop: one function, read from top to bottom."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file  # pyright: ignore[reportUnknownVariableType]
from torch import Tensor, nn

from vidperc.errors import VidpercError

Batch = tuple[Tensor, Tensor]  # what a network is given, and what is known of it
Loss = Callable[[nn.Module, Tensor, Tensor], Tensor]
Draw = Callable[[int], Batch]
Parameters = Mapping[str, nn.Parameter]
Tensors = Mapping[str, Tensor]
Moments = Mapping[str, tuple[Tensor, Tensor]]
Facts = Mapping[str, Mapping[str, object]]


@dataclass(frozen=True, kw_only=True)
class Schedule:
    """How long and how a network is trained.

    steps: optimiser steps. batch: crops in each. patch: side of a crop in pixels, of the small one of a pair.
    learning_rate: after the warm-up; falls to a hundredth along a cosine. warmup: steps in which it rises from zero.
    ema: how much of the running mean of the weights stays at each step.
    seed: of the first weights and of what is drawn.
    """

    steps: int
    batch: int = 16
    patch: int = 64
    learning_rate: float = 1e-3
    warmup: int = 200
    ema: float = 0.999
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in {"steps": 1, "batch": 1, "patch": 1, "warmup": 0, "seed": 0}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name}: got {getattr(self, name)}, wanted at least {least}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate: got {self.learning_rate}, wanted a number above 0")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema: got {self.ema}, wanted a share from 0 to below 1")


def checkpoint_path(name: str, folder: Path) -> Path:
    """Where an interrupted training of the network of this name goes on from."""
    return folder / f"{name}.checkpoint.safetensors"


def train(
    network: nn.Module,
    loss: Loss,
    draw: Draw,
    schedule: Schedule,
    checkpoint: Path,
    *,
    recipe: Mapping[str, object],
    validate: Callable[[nn.Module], dict[str, float]],
    every: int,
    say: Callable[[str], None],
) -> nn.Module:
    """Train a network in place, from its checkpoint where there is one; returns it with the averaged weights.

    loss: of the network and what was drawn. draw: what a step learns from; it depends on the step alone.
    checkpoint: a safetensors file, replaced every `every` steps. A run that was interrupted goes on from it exactly.
    recipe: what else tells this training from another, as plain values; kept in the checkpoint.
    validate: figures of the averaged network, told at every checkpoint.
    Raises VidpercError when the loss is no number, or the checkpoint is damaged or of another training.
    """
    parameters = dict(network.named_parameters())
    average = {name: value.detach().clone() for name, value in parameters.items()}
    optimiser = torch.optim.Adam(parameters.values(), lr=schedule.learning_rate, betas=(0.9, 0.99), foreach=True)
    moments = {name: (torch.zeros_like(value), torch.zeros_like(value)) for name, value in parameters.items()}
    facts = {"schedule": asdict(schedule), "recipe": dict(recipe)}
    start = 0
    if checkpoint.exists():
        start = _restore(checkpoint, _state(parameters, average, moments), facts)
        say(f"{checkpoint.name}: going on from step {start} of {schedule.steps}")
    for name, value in parameters.items():
        first, second = moments[name]
        optimiser.state[value] = {"step": torch.tensor(float(start)), "exp_avg": first, "exp_avg_sq": second}

    began, recent = time.perf_counter(), 0.0
    with ThreadPoolExecutor(1) as loader:
        coming = loader.submit(draw, start)
        for step in range(start, schedule.steps):
            given, known = coming.result()
            coming = loader.submit(draw, step + 1)
            for group in optimiser.param_groups:
                group["lr"] = _rate(schedule, step)
            value = loss(network, given, known)
            optimiser.zero_grad()
            value.backward()
            norm = nn.utils.clip_grad_norm_(parameters.values(), 1.0)
            found = float(value.detach())
            # Before the step, so that no checkpoint ever holds what is no number.
            if not (math.isfinite(found) and math.isfinite(float(norm))):
                raise VidpercError(
                    f"step {step}: the loss is {found}, its gradient {float(norm)} long, wanted numbers; "
                    "lower the learning rate"
                )
            optimiser.step()
            # Young averages forget faster, so that the start does not linger in them.
            keep = min(schedule.ema, (1 + step) / (10 + step))
            with torch.no_grad():
                for name, parameter in parameters.items():
                    average[name].lerp_(parameter, 1 - keep)
            recent += (found - recent) / min(step - start + 1, 200)
            done = step + 1
            if done % every == 0 or done == schedule.steps:
                _save(checkpoint, _state(parameters, average, moments), facts, done)
                with swapped(parameters, average):
                    figures = validate(network)
                pace = (time.perf_counter() - began) / (done - start)
                told = ", ".join(f"{name} {figure:.3f}" for name, figure in figures.items())
                left = pace * (schedule.steps - done) / 60
                say(
                    f"step {done} of {schedule.steps}: loss {recent:.5f}, {told}, {1000 * pace:.0f} ms a step, "
                    f"{left:.0f} minutes left"
                )
    _set(parameters, average)
    return network


@contextmanager
def swapped(parameters: Parameters, values: Tensors) -> Generator[None]:
    """A context in which parameters have other values."""
    kept = {name: value.detach().clone() for name, value in parameters.items()}
    _set(parameters, values)
    try:
        yield
    finally:
        _set(parameters, kept)


@torch.no_grad()
def _set(parameters: Parameters, values: Tensors) -> None:
    for name, value in parameters.items():
        value.copy_(values[name])


def _rate(schedule: Schedule, step: int) -> float:
    if step < schedule.warmup:
        return schedule.learning_rate * (step + 1) / schedule.warmup
    along = (step - schedule.warmup) / max(1, schedule.steps - schedule.warmup)
    return schedule.learning_rate * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * along)))


def _state(parameters: Parameters, average: Tensors, moments: Moments) -> dict[str, Tensor]:
    """All that a training is, under the names it has in a checkpoint; the tensors themselves, no copies."""
    state: dict[str, Tensor] = {}
    for name, value in parameters.items():
        state[f"now.{name}"], state[f"average.{name}"] = value.detach(), average[name]
        state[f"first.{name}"], state[f"second.{name}"] = moments[name]
    return state


def _save(path: Path, state: Tensors, facts: Facts, step: int) -> None:
    tensors: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if name.startswith(("first.", "second.")):
            # The optimiser's moments need no more than bfloat16: half the file. They are rounded here as well, so
            # that a run goes on as it would after an interruption.
            tensors[name] = tensor.to(torch.bfloat16)
            tensor.copy_(tensors[name])
        else:
            tensors[name] = tensor.contiguous()
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    told = {name: json.dumps(values) for name, values in facts.items()}
    save_file(tensors, partial, metadata={"step": str(step), **told})
    partial.replace(path)


def _restore(path: Path, state: Tensors, facts: Facts) -> int:
    """The step after which the checkpoint was made; its values go into the state."""
    otherwise = "remove it to begin anew, or train under another name"
    try:
        with safe_open(path, framework="pt") as file:  # pyright: ignore[reportUnknownVariableType]
            told = cast("dict[str, str]", file.metadata() or {})
        step, was = int(told["step"]), {name: json.loads(told[name]) for name in facts if name in told}
        saved = load_file(path)
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        text = " ".join(str(error).split())
        raise VidpercError(f"{path}: no whole checkpoint ({type(error).__name__}: {text}); {otherwise}") from error
    for kind, had in was.items():
        wanted = json.loads(json.dumps(facts[kind]))  # tuples as the lists they are in a file
        other = [
            f"{key} {had.get(key)}, wanted {wanted.get(key)}"
            for key in {**had, **wanted}
            if had.get(key) != wanted.get(key)
        ]
        if other:
            raise VidpercError(f"{path}: is of another {kind}: {'; '.join(other)}; {otherwise}")
    got, fits = ({name: tuple(tensor.shape) for name, tensor in tensors.items()} for tensors in (saved, state))
    if got != fits:
        name = min(name for name, _ in got.items() ^ fits.items())
        raise VidpercError(
            f"{path}: is of another network: {name} has the shape {got.get(name)}, wanted {fits.get(name)}; {otherwise}"
        )
    for name, tensor in state.items():
        tensor.copy_(saved[name])
    return step
