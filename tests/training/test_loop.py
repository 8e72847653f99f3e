from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from vidperc.errors import VidpercError
from vidperc.losses.adversarial import Adversarial
from vidperc.losses.objective import Objective
from vidperc.losses.pixel import L1
from vidperc.losses.sample import Sample
from vidperc.training.checkpoint import write_checkpoint
from vidperc.training.images import Pair, draw
from vidperc.training.loop import Paid, Progress, swapped, train
from vidperc.training.schedule import Schedule

Crops = tuple[Tensor, Tensor]
Pay = Callable[[nn.Module, Crops], Paid]

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


def squares(network: nn.Module, crops: Crops) -> Paid:
    small, large = crops
    return Paid(total=(network(small) - nn.functional.avg_pool2d(large, 2)).square().mean())


def pairs() -> list[Pair]:
    """The large pictures are the negatives of the small ones: something that three layers can learn."""
    smalls = [np.random.default_rng(seed).integers(0, 256, (12, 14, 3), dtype=np.uint8) for seed in range(2)]
    return [Pair(255 - small.repeat(2, 0).repeat(2, 1), small) for small in smalls]


def trained(
    checkpoint: Path,
    *,
    of: nn.Module | None = None,
    pay: Pay = squares,
    schedule: Schedule = SCHEDULE,
    recipe: dict[str, object] | None = None,
    every: int = 10,
    validate: Callable[[nn.Module], dict[str, float]] = lambda _: {},
    said: list[str] | None = None,
    record: Callable[[Progress], None] | None = None,
    measured: Callable[[int, Mapping[str, float]], None] | None = None,
    objective: Objective | None = None,
) -> nn.Module:
    learnt = pairs()

    def crops(numbers: range) -> Crops:
        return draw(learnt, numbers, scale=2, patch=schedule.patch, seed=schedule.seed)

    return train(
        network() if of is None else of,
        pay,
        crops,
        schedule,
        checkpoint,
        recipe=recipe or {},
        validate=validate,
        every=every,
        say=(said if said is not None else []).append,
        record=record,
        measured=measured,
        objective=objective,
    )


def weights(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach() for name, value in network.named_parameters()}


def assert_equal(one: dict[str, Tensor], other: dict[str, Tensor]) -> None:
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def stopping_at(call: int, what: Callable[[Tensor], Tensor], of: Pay = squares) -> Pay:
    """What is paid, but for one call of it."""
    calls = iter(range(10**6))

    def pay(network: nn.Module, crops: Crops) -> Paid:
        paid = of(network, crops)
        return replace(paid, total=what(paid.total)) if next(calls) == call else paid

    return pay


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
    assert all("set Y-PSNR 12.346, " in line for line in said)
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]
    without: list[str] = []
    trained(checkpoint.with_name("without.safetensors"), every=30, said=without)
    assert ", ," not in without[0] and re.search(r"loss [\d.]+, \d+ ms a step", without[0])


@pytest.mark.parametrize("stop", [3, 10, 17, 29])
def test_an_interrupted_training_ends_with_the_weights_of_an_uninterrupted_one(
    stop: int, checkpoint: Path, tmp_path: Path
) -> None:
    whole = trained(tmp_path / "whole.safetensors")
    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint, pay=stopping_at(stop, interrupt))
    said: list[str] = []
    # Only without a checkpoint does it matter what the network held before.
    again = trained(checkpoint, of=network(seed=0 if stop < 10 else 7), said=said)
    if stop >= 10:
        assert said[0] == f"{checkpoint.name}: going on from step {stop // 10 * 10} of 30"
    assert_equal(weights(again), weights(whole))
    assert_equal(load_file(checkpoint), load_file(tmp_path / "whole.safetensors"))


def test_an_interrupted_training_with_muon_ends_as_an_uninterrupted_one(checkpoint: Path, tmp_path: Path) -> None:
    def deep(seed: int) -> nn.Module:
        torch.manual_seed(seed)
        hidden = nn.Conv2d(32, 32, 3, padding=1)
        return nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), hidden, nn.ReLU(), nn.Conv2d(32, 3, 1))

    schedule = replace(SCHEDULE, optimiser="muon")
    whole = trained(tmp_path / "whole.safetensors", of=deep(0), schedule=schedule)
    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint, of=deep(0), schedule=schedule, pay=stopping_at(17, interrupt))
    assert_equal(weights(trained(checkpoint, of=deep(7), schedule=schedule)), weights(whole))
    # The hidden kernel is Muon's, which remembers no squares; and it goes elsewhere than with Adam.
    assert "second.2.weight" not in load_file(checkpoint)
    assert "second.0.weight" in load_file(checkpoint)
    other = trained(tmp_path / "adam.safetensors", of=deep(0))
    assert not torch.equal(weights(other)["2.weight"], weights(whole)["2.weight"])


def test_a_finished_training_is_not_repeated(checkpoint: Path) -> None:
    whole = weights(trained(checkpoint))
    assert_equal(weights(trained(checkpoint, of=network(seed=7), pay=stopping_at(0, interrupt))), whole)


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

    def pay(network: nn.Module, crops: Crops) -> Paid:
        seen.append({name: value.clone() for name, value in weights(network).items()})
        return squares(network, crops)

    trained(checkpoint, every=10, pay=pay, validate=validate)
    for step, tensors in zip((10, 20), saved, strict=False):
        assert_equal(seen[step], {name: tensors[f"now.{name}"] for name in seen[step]})


def test_a_step_is_told_before_its_checkpoint_is_written(checkpoint: Path) -> None:
    told: list[tuple[int, bool, bool]] = []
    trained(checkpoint, record=lambda at: told.append((at.step, at.saved, checkpoint.exists())))
    assert told == [(step, step % 10 == 0, step > 10) for step in range(1, 31)]


def test_the_values_of_single_steps_make_the_running_means(checkpoint: Path) -> None:
    told: list[Progress] = []
    trained(checkpoint, record=told.append)
    for place, progress in enumerate(told, 1):
        assert progress.loss == pytest.approx(sum(at.latest["loss"] for at in told[:place]) / place)


def test_what_was_not_measured_of_a_checkpoint_is_measured_when_going_on(checkpoint: Path) -> None:
    figures = iter([1.0, 2.0, 3.0])
    told: list[tuple[int, dict[str, float]]] = []

    def validate(_: nn.Module) -> dict[str, float]:
        if len(told) == 1:
            told.append((0, {}))
            raise KeyboardInterrupt
        return {"set": next(figures)}

    def measured(step: int, found: Mapping[str, float]) -> None:
        told.append((step, dict(found)))

    for _ in range(2):
        try:
            trained(checkpoint, validate=validate, measured=measured)
        except KeyboardInterrupt:
            assert len(told) == 2
    assert told == [(10, {"set": 1.0}), (0, {}), (20, {"set": 2.0}), (30, {"set": 3.0})]


@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_stops_the_training_before_it_reaches_a_checkpoint(
    wrong: float, checkpoint: Path
) -> None:
    with pytest.raises(VidpercError, match=f"step 9: the loss is {wrong}, .* lower the learning rate"):
        trained(checkpoint, every=5, pay=stopping_at(9, lambda value: value * wrong))
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
        ({"steps": 1, "optimiser": "sgd"}, "optimiser: got .sgd., wanted one of adam, muon"),
    ],
)
def test_a_schedule_that_cannot_be_is_refused(settings: dict[str, float | str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Schedule(**settings)  # type: ignore[arg-type]


def judged_by(objective: Objective) -> Pay:
    """What an objective with discriminators makes a network pay for enlarging by nothing."""

    def pay(network: nn.Module, crops: Crops) -> Paid:
        small, large = crops
        sample = Sample(out=network(small).sigmoid(), true=nn.functional.avg_pool2d(large, 2))
        values = objective(sample)
        return Paid(total=values.total, named=values.named, judged=replace(sample, out=sample.out.detach()))

    return pay


def judges() -> Objective:
    torch.manual_seed(5)
    return Objective.open([L1(), Adversarial(weight=0.1, layers=1, channels=4)])


# Large enough for the smallest discriminator there is.
JUDGED = replace(SCHEDULE, patch=10)


def test_discriminators_learn_beside_the_network_and_are_named_in_the_progress(checkpoint: Path) -> None:
    told: list[Progress] = []
    objective = judges()
    before = {name: value.clone() for name, value in weights(objective.discriminators).items()}
    trained(checkpoint, pay=judged_by(objective), objective=objective, schedule=JUDGED, record=told.append)
    after = weights(objective.discriminators)
    assert before.keys() == after.keys()
    assert not any(torch.equal(before[name], after[name]) for name in before)
    assert [progress.step for progress in told] == list(range(1, 31))
    assert set(told[-1].terms) == {"l1", "adversarial", "judge of adversarial"}
    assert told[-1].loss == pytest.approx(told[-1].terms["l1"] + 0.1 * told[-1].terms["adversarial"], rel=1e-4)


def test_an_interrupted_training_goes_on_with_its_discriminators(checkpoint: Path, tmp_path: Path) -> None:
    whole, again = judges(), judges()
    one = trained(tmp_path / "whole.safetensors", pay=judged_by(whole), objective=whole, schedule=JUDGED)
    with pytest.raises(KeyboardInterrupt):
        trained(checkpoint, pay=stopping_at(17, interrupt, judged_by(again)), objective=again, schedule=JUDGED)
    other = judges()
    torch.nn.init.normal_(next(iter(other.discriminators.parameters())))
    two = trained(checkpoint, pay=judged_by(other), objective=other, schedule=JUDGED)
    assert_equal(weights(one), weights(two))
    # The vectors of its spectral norms, too.
    assert_equal(whole.discriminators.state_dict(), other.discriminators.state_dict())


def test_batches_that_accumulate_are_one_large_batch(checkpoint: Path, tmp_path: Path) -> None:
    seen: list[list[float]] = [[], []]

    def of(place: int, schedule: Schedule) -> None:
        path = tmp_path / f"{place}.safetensors"
        trained(path, schedule=schedule, record=lambda progress: seen[place].append(progress.loss))

    of(0, replace(SCHEDULE, batch=8, steps=10))
    of(1, replace(SCHEDULE, batch=2, accumulate=4, steps=10))
    assert seen[0] == pytest.approx(seen[1], rel=1e-5)


def test_a_term_that_is_no_number_is_named(checkpoint: Path) -> None:
    def pay(network: nn.Module, crops: Crops) -> Paid:
        paid = squares(network, crops)
        return replace(paid, named={"fine": paid.total, "broken": paid.total * float("nan")})

    with pytest.raises(VidpercError, match=r"step 0: the loss is .* \(broken\)"):
        trained(checkpoint, pay=pay)
    broken = Objective.open([L1()])

    def ask(network: nn.Module, crops: Crops) -> Paid:
        return Paid(total=broken(Sample(out=network(crops[0]) * float("nan"), true=crops[0])).total)

    with pytest.raises(VidpercError, match="step 0: l1: "):
        trained(checkpoint, pay=ask)


def test_a_full_disk_leaves_the_last_checkpoint(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trained(checkpoint, schedule=replace(SCHEDULE, steps=10))
    before = checkpoint.read_bytes()

    def full(_tensors: object, path: Path, **_facts: object) -> None:
        path.write_bytes(b"half of")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vidperc.training.checkpoint.save_file", full)
    with pytest.raises(VidpercError, match=r"cannot be written .*No space left.* the last whole one stays") as caught:
        write_checkpoint(checkpoint, {"x": torch.zeros(1)}, {}, 20)
    assert "\n" not in str(caught.value)
    assert checkpoint.read_bytes() == before
    assert [path.name for path in checkpoint.parent.iterdir()] == [checkpoint.name]


def test_two_processes_learn_what_one_learns_from_the_doubled_batch(tmp_path: Path) -> None:
    program = Path(__file__).with_name("two_processes.py")
    losses = tmp_path / "losses"
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", str(program)]
    ran = subprocess.run([*command, str(losses)], env=environment, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr[-2000:]
    found = [float(line) for line in losses.read_text().split()]
    alone: list[float] = []
    trained(
        tmp_path / "one.safetensors",
        schedule=replace(SCHEDULE, batch=4, steps=10),
        record=lambda progress: alone.append(progress.loss),
    )
    assert len(found) == 10
    assert found == pytest.approx(alone, abs=1e-5)
