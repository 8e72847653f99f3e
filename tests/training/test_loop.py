from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.training.images import Pair, draw
from vidperc.training.loop import Loss, Schedule, swapped, train

SCHEDULE = Schedule(steps=30, batch=2, patch=6, learning_rate=0.02, warmup=5, ema=0.9)


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    return tmp_path / "new" / "net.checkpoint.safetensors"


def network(*, channels: int = 4, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, 3, 1))


def squares(network: nn.Module, small: Tensor, large: Tensor) -> Tensor:
    return (network(small) - nn.functional.avg_pool2d(large, 2)).square().mean()


def pairs() -> list[Pair]:
    """The large pictures are the negatives of the small ones: something that three layers can learn."""
    smalls = [np.random.default_rng(seed).integers(0, 256, (12, 14, 3), dtype=np.uint8) for seed in range(2)]
    return [Pair(255 - small.repeat(2, 0).repeat(2, 1), small) for small in smalls]


def trained(
    checkpoint: Path,
    *,
    of: nn.Module | None = None,
    loss: Loss = squares,
    schedule: Schedule = SCHEDULE,
    recipe: dict[str, object] | None = None,
    every: int = 10,
    validate: Callable[[nn.Module], dict[str, float]] = lambda _: {},
    said: list[str] | None = None,
) -> nn.Module:
    learnt = pairs()

    def crops(step: int) -> tuple[Tensor, Tensor]:
        return draw(learnt, scale=2, patch=schedule.patch, batch=schedule.batch, seed=schedule.seed, step=step)

    return train(
        network() if of is None else of,
        loss,
        crops,
        schedule,
        checkpoint,
        recipe=recipe or {},
        validate=validate,
        every=every,
        say=(said if said is not None else []).append,
    )


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in network.named_parameters()}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def stopping_at(call: int, what: Callable[[Tensor], Tensor]) -> Loss:
    """The loss, but for one call of it."""
    calls = iter(range(10**6))

    def loss(network: nn.Module, small: Tensor, large: Tensor) -> Tensor:
        value = squares(network, small, large)
        return what(value) if next(calls) == call else value

    return loss


def interrupt(_: Tensor) -> Tensor:
    raise KeyboardInterrupt


def test_the_loss_falls(checkpoint: Path) -> None:
    said: list[str] = []
    trained(checkpoint, schedule=Schedule(steps=200, batch=2, patch=6, learning_rate=0.01, warmup=5), said=said)
    lost = [float(line.split("loss ")[1].split(",")[0]) for line in said]
    assert len(lost) == 20
    assert lost[-1] < 0.6 * lost[0]


def test_every_checkpoint_is_told_with_the_figures(checkpoint: Path) -> None:
    said: list[str] = []
    trained(checkpoint, every=12, validate=lambda _: {"set Y-PSNR": 12.3456}, said=said)
    assert [line.split(":")[0] for line in said] == ["step 12 of 30", "step 24 of 30", "step 30 of 30"]
    assert all("set Y-PSNR 12.346" in line for line in said)
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]


@pytest.mark.parametrize("stop", [3, 10, 17, 29])
def test_an_interrupted_training_ends_with_the_weights_of_an_uninterrupted_one(
    stop: int, checkpoint: Path, tmp_path: Path
) -> None:
    whole = trained(tmp_path / "whole.safetensors")
    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint, loss=stopping_at(stop, interrupt))
    said: list[str] = []
    # Only without a checkpoint does it matter what the network held before.
    again = trained(checkpoint, of=network(seed=0 if stop < 10 else 7), said=said)
    if stop >= 10:
        assert said[0] == f"{checkpoint.name}: going on from step {stop // 10 * 10} of 30"
    assert_equal(weights(again), weights(whole))
    assert_equal(load_file(checkpoint), load_file(tmp_path / "whole.safetensors"))


def test_a_finished_training_is_not_repeated(checkpoint: Path) -> None:
    whole = weights(trained(checkpoint))
    assert_equal(weights(trained(checkpoint, of=network(seed=7), loss=stopping_at(0, interrupt))), whole)


def test_the_averaged_weights_are_returned(checkpoint: Path) -> None:
    made = weights(trained(checkpoint))
    saved = load_file(checkpoint)
    assert_equal(made, {name: saved[f"average.{name}"] for name in made})
    assert not any(torch.equal(made[name], saved[f"now.{name}"]) for name in made)


def test_the_first_average_is_nine_parts_of_the_new_weights(checkpoint: Path) -> None:
    before = weights(network())
    made = weights(trained(checkpoint, schedule=Schedule(steps=1, batch=2, patch=6, ema=0.999)))
    saved = load_file(checkpoint)
    for name, value in made.items():
        torch.testing.assert_close(value, 0.1 * before[name] + 0.9 * saved[f"now.{name}"])


def test_the_averaged_network_is_measured_and_training_goes_on_from_the_other(checkpoint: Path) -> None:
    saved: list[dict[str, Tensor]] = []
    seen: list[dict[str, Tensor]] = []

    def validate(measured: nn.Module) -> dict[str, float]:
        saved.append(load_file(checkpoint))
        assert_equal(weights(measured), {name: saved[-1][f"average.{name}"] for name in weights(measured)})
        return {}

    def loss(network: nn.Module, small: Tensor, large: Tensor) -> Tensor:
        seen.append({name: value.clone() for name, value in weights(network).items()})
        return squares(network, small, large)

    trained(checkpoint, every=10, loss=loss, validate=validate)
    for step, tensors in zip((10, 20), saved, strict=False):
        assert_equal(seen[step], {name: tensors[f"now.{name}"] for name in seen[step]})


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_training_before_it_reaches_a_checkpoint(
    wrong: float, checkpoint: Path
) -> None:
    with pytest.raises(VidpercError, match=f"step 9: the loss is {wrong}, .* lower the learning rate"):
        trained(checkpoint, every=5, loss=stopping_at(9, lambda value: value * wrong))
    with safe_open(checkpoint, "pt") as file:
        assert file.metadata()["step"] == "5"
    assert all(bool(tensor.isfinite().all()) for tensor in load_file(checkpoint).values())


def test_swapped_weights_come_back_after_an_error() -> None:
    parameters = dict(network().named_parameters())
    before = {name: value.detach().clone() for name, value in parameters.items()}
    with pytest.raises(KeyError), swapped(parameters, {name: torch.zeros(()) for name in parameters}):
        assert all(not bool(value.any()) for value in parameters.values())
        raise KeyError
    assert_equal({name: value.detach() for name, value in parameters.items()}, before)


def refused(checkpoint: Path, **asked: object) -> str:
    with pytest.raises(VidpercError) as caught:
        trained(checkpoint, **asked)  # type: ignore[arg-type]
    told = str(caught.value)
    assert told.startswith(f"{checkpoint}: ")
    assert "\n" not in told
    assert "remove it to begin anew" in told
    return told


def test_a_checkpoint_of_another_training_is_refused(checkpoint: Path) -> None:
    trained(checkpoint, recipe={"sizes": (1.0, 0.6), "degraded": None})
    before = checkpoint.read_bytes()
    same = {"sizes": (1.0, 0.6), "degraded": None}
    longer = Schedule(steps=40, batch=2, patch=6, learning_rate=0.02, warmup=5, ema=0.9)
    assert "another schedule: steps 30, wanted 40;" in refused(checkpoint, schedule=longer, recipe=same)
    told = refused(checkpoint, recipe={"sizes": (1.0,), "degraded": None})
    assert "another recipe: sizes [1.0, 0.6], wanted [1.0];" in told
    told = refused(checkpoint, of=network(channels=5), recipe=same)
    assert "another network: average.0.bias has the shape (4,), wanted (5,);" in told
    assert "another network" in refused(checkpoint, of=nn.Conv2d(3, 3, 1), recipe=same)
    assert checkpoint.read_bytes() == before


def test_a_damaged_checkpoint_is_refused(checkpoint: Path) -> None:
    trained(checkpoint)
    whole = checkpoint.read_bytes()
    for content in (whole[: len(whole) // 2], b"", b"nothing at all"):
        checkpoint.write_bytes(content)
        assert "no whole checkpoint" in refused(checkpoint)
    save_file(weights(network()), checkpoint)
    assert "no whole checkpoint" in refused(checkpoint)


def test_a_checkpoint_that_does_not_name_its_recipe_goes_on(checkpoint: Path) -> None:
    trained(checkpoint)
    with safe_open(checkpoint, "pt") as file:
        told = {name: text for name, text in file.metadata().items() if name != "recipe"}
    save_file(load_file(checkpoint), checkpoint, metadata=told)
    trained(checkpoint, recipe={"sizes": (1.0,)})


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"steps": 0}, "steps: got 0, wanted at least 1"),
        ({"steps": 1, "batch": 0}, "batch: got 0"),
        ({"steps": 1, "patch": -1}, "patch: got -1"),
        ({"steps": 1, "warmup": -1}, "warmup: got -1"),
        ({"steps": 1, "seed": -1}, "seed: got -1"),
        ({"steps": 1, "learning_rate": 0.0}, "learning_rate: got 0.0"),
        ({"steps": 1, "learning_rate": float("nan")}, "learning_rate: got nan"),
        ({"steps": 1, "ema": 1.0}, "ema: got 1.0"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(settings: dict[str, float], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Schedule(**settings)  # type: ignore[arg-type]
