from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.report.pages import Reader, assert_asks_for_nothing
from tests.training.test_loop import SCHEDULE, Crops, Pay, interrupt, network, squares, stopping_at, trained
from vidperc.errors import VidpercError
from vidperc.training import log as log_module
from vidperc.training.log import HeldOut, Log, log_paths, open_log
from vidperc.training.loop import Paid, Progress
from vidperc.training.rows import read_rows
from vidperc.training.schedule import Schedule

TIMES = ("seconds_a_step", "share_waited")


def opened(folder: Path, *, steps: int = 30, tensorboard: bool = False, said: list[str] | None = None) -> Log:
    folder.mkdir(exist_ok=True)
    return open_log(
        "net",
        folder,
        summary="for a <script>test</script>",
        facts={"seed": "0", "command": "vidperc train net"},
        steps=steps,
        tensorboard=tensorboard,
        say=(said if said is not None else []).append,
    )


def named(network: nn.Module, crops: Crops) -> Paid:
    paid = squares(network, crops)
    return replace(paid, named={"square": paid.total, "half": paid.total / 2})


def held_out(network: nn.Module) -> list[HeldOut]:
    chance = np.random.default_rng(0)
    true = chance.integers(0, 256, (24, 20, 3), dtype=np.uint8)
    with torch.no_grad():
        shade = int(255 * abs(float(next(network.parameters()).sum()))) % 256
    return [HeldOut(title, true[::2, ::2], true // 2 + shade // 2, true) for title in ("one & two", "three")]


def logged(folder: Path, *, pay: Pay = named, schedule: Schedule = SCHEDULE, judged: Judged | None = None) -> None:
    log = opened(folder, steps=schedule.steps)

    def validate(network: nn.Module) -> dict[str, float]:
        if judged is not None:
            judged()
        log.strips(held_out(network))
        return {"set Y-PSNR": float(next(network.parameters()).detach().sum())}

    try:
        trained(
            folder / "net.checkpoint.safetensors",
            of=network(),
            pay=pay,
            schedule=schedule,
            validate=validate,
            record=log.record,
            measured=log.measured,
        )
    finally:
        log.close()


Judged = Callable[[], None]


def table(folder: Path) -> list[dict[str, str]]:
    with log_paths("net", folder)[0].open(encoding="utf-8") as file:
        return [{name: cell for name, cell in row.items() if name not in TIMES} for row in csv.DictReader(file)]


def page(folder: Path) -> str:
    """The page, without what the pace of this machine puts into it."""
    text = log_paths("net", folder)[1].read_text(encoding="utf-8")
    text = re.sub(r"[^>]* a step, [^<]*", "", text)
    for name in ("seconds a step", "share of time waiting"):
        text = re.sub(rf"<figure class=\"chart\"><figcaption><span>{name}.*?</figure>", "", text)
    return text


def test_there_is_a_row_for_every_step_of_a_short_training_with_its_own_values(tmp_path: Path) -> None:
    logged(tmp_path)
    rows = table(tmp_path)
    assert [int(row["step"]) for row in rows] == list(range(1, 31))
    assert list(rows[0]) == ["step", "loss", "learning_rate", "term/square", "term/half", "figure/set Y-PSNR"]
    for row in rows:
        assert row["term/square"] == row["loss"]
        assert float(row["term/half"]) == pytest.approx(float(row["loss"]) / 2, rel=1e-5)
        assert float(row["learning_rate"]) == pytest.approx(SCHEDULE.rate(int(row["step"]) - 1), rel=1e-5)
        assert (row["figure/set Y-PSNR"] != "") == (int(row["step"]) % 10 == 0)


@pytest.mark.parametrize("stop", [3, 10, 17, 29])
def test_an_interrupted_log_ends_as_an_uninterrupted_one(stop: int, tmp_path: Path) -> None:
    logged(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        logged(tmp_path / "again", pay=stopping_at(stop, interrupt, named))
    assert [int(row["step"]) for row in table(tmp_path / "again")] == list(range(1, stop + 1))
    logged(tmp_path / "again")
    assert table(tmp_path / "again") == table(tmp_path / "whole")
    assert page(tmp_path / "again") == page(tmp_path / "whole")


def test_rows_of_many_steps_are_the_same_after_an_interruption(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "_ROWS", 4)
    logged(tmp_path / "whole")
    # Every eighth, and the tenths that have a checkpoint.
    assert [row["step"] for row in table(tmp_path / "whole")] == ["8", "10", "16", "20", "24", "30"]
    with pytest.raises(KeyboardInterrupt):
        logged(tmp_path / "again", pay=stopping_at(18, interrupt, named))
    logged(tmp_path / "again")
    assert table(tmp_path / "again") == table(tmp_path / "whole")


def test_a_run_stopped_while_it_measures_loses_no_figure(tmp_path: Path) -> None:
    logged(tmp_path / "whole")
    calls = iter(range(100))

    def judged() -> None:
        if next(calls) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        logged(tmp_path / "again", judged=judged)
    assert table(tmp_path / "again")[19]["figure/set Y-PSNR"] == ""
    logged(tmp_path / "again")
    assert table(tmp_path / "again") == table(tmp_path / "whole")
    assert page(tmp_path / "again") == page(tmp_path / "whole")


def test_a_training_that_begins_anew_begins_a_new_log(tmp_path: Path) -> None:
    logged(tmp_path / "again", schedule=replace(SCHEDULE, steps=20, seed=4))
    (tmp_path / "again" / "net.checkpoint.safetensors").unlink()
    logged(tmp_path / "again")
    logged(tmp_path / "whole")
    assert table(tmp_path / "again") == table(tmp_path / "whole")
    assert page(tmp_path / "again") == page(tmp_path / "whole")


def test_a_finished_training_leaves_its_log_as_it_is(tmp_path: Path) -> None:
    logged(tmp_path)
    before = [path.read_text(encoding="utf-8") for path in log_paths("net", tmp_path)[:2]]
    logged(tmp_path)
    assert [path.read_text(encoding="utf-8") for path in log_paths("net", tmp_path)[:2]] == before


def test_the_page_of_a_training_is_whole(tmp_path: Path) -> None:
    logged(tmp_path)
    text = log_paths("net", tmp_path)[1].read_text(encoding="utf-8")
    assert_asks_for_nothing(text)
    found = Reader(text)
    assert "for a <script>test</script>" in found.text
    for name in ("loss", "square", "half", "set Y-PSNR", "learning rate", "seconds a step", "share of time waiting"):
        assert f"{name} over the steps" in [svg["aria-label"] for svg in found.all("svg")]
    assert [image["alt"] for image in found.all("img")][:4] == [
        f"one & two, {name}" for name in ("bicubic", "step 10", "step 30", "truth")
    ]


def test_a_page_with_many_pictures_stays_below_3_mb(tmp_path: Path) -> None:
    log = opened(tmp_path)
    chance = np.random.default_rng(0)
    true = chance.integers(0, 256, (300, 300, 3), dtype=np.uint8)  # which PNG cannot make smaller
    made = chance.integers(0, 256, (300, 300, 3), dtype=np.uint8)
    pictures = [HeldOut(str(number), made[::2, ::2], made, true) for number in range(30)]
    for step in (1, 2):
        log.record(progress(step))
        log.strips(pictures)
        log.measured(step, {})
    path = log_paths("net", tmp_path)[1]
    assert 1_000_000 < path.stat().st_size < 3_000_000
    assert len(Reader(path.read_text(encoding="utf-8")).all("img")) == 120


def progress(step: int, *, saved: bool = True, latest: Mapping[str, float] | None = None) -> Progress:
    return Progress(
        step=step,
        loss=0.5,
        terms={},
        latest=latest or {"loss": 0.5},
        saved=saved,
        learning_rate=1e-3,
        seconds=0.1,
        waited=0.0,
    )


def test_a_row_is_the_mean_of_the_steps_since_the_one_before(tmp_path: Path) -> None:
    log = opened(tmp_path, steps=2000)
    for step in range(1, 9):
        # A term that is not there in every step.
        more = {"late": 10.0 * step} if step > 6 else {}
        log.record(progress(step, saved=False, latest={"loss": float(step), **more}))
    rows = read_rows(log_paths("net", tmp_path)[0])
    assert [(row.step, row.loss, row.terms) for row in rows] == [(4, 2.5, {}), (8, 6.5, {"late": 75.0})]


def test_a_full_disk_is_told_once_and_what_was_missed_is_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    log = opened(tmp_path, said=said)
    path = log_paths("net", tmp_path)[0]
    log.record(progress(1))
    before = path.read_text(encoding="utf-8")
    replace = Path.replace

    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    log.record(progress(2))
    log.record(progress(3))
    assert said == [f"{path}: cannot be written (No space left on device); the training goes on, and it is tried again"]
    assert path.read_text(encoding="utf-8") == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    monkeypatch.setattr(Path, "replace", replace)
    log.record(progress(4))
    assert [row.step for row in read_rows(path)] == [1, 2, 3, 4]
    assert len(said) == 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("name,value\n", r"net\.csv:1: got 'name,value'"),
        ("", r"net\.csv:1: got ''"),
        ("step,loss,learning_rate,seconds_a_step,share_waited,other\n", r"net\.csv:1: got"),
        ("step,loss,learning_rate,seconds_a_step,share_waited\n1,0.5,0.001,0.1,0\n2,0.5,0.0", r"net\.csv:3: got"),
        ("step,loss,learning_rate,seconds_a_step,share_waited\n1,x,0.001,0.1,0\n", r"net\.csv:2: got '1,x"),
        ("step,loss,learning_rate,seconds_a_step,share_waited\n1,0,0,0,0,7,8\n", r"net\.csv:2: got .1,0"),
        (
            "step,loss,learning_rate,seconds_a_step,share_waited\n2,0,0,0,0\n2,0,0,0,0\n",
            "net.csv:3: got 'step 2 after 2",
        ),
    ],
)
def test_a_file_that_is_no_log_is_refused_and_left(text: str, told: str, tmp_path: Path) -> None:
    path = log_paths("net", tmp_path)[0]
    path.write_text(text, encoding="utf-8")
    with pytest.raises(VidpercError, match=told) as refused:
        opened(tmp_path)
    assert "\n" not in str(refused.value)
    assert "move the file away" in str(refused.value)
    assert path.read_text(encoding="utf-8") == text


def test_values_that_are_no_numbers_stay_what_they_are(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.record(progress(1, latest={"loss": float("inf"), 'odd, "term"': -1e-30}))
    log.measured(1, {"figure": float("nan")})
    (row,) = read_rows(log_paths("net", tmp_path)[0])
    assert (row.loss, row.terms) == (float("inf"), {'odd, "term"': -1e-30})
    assert np.isnan(row.figures["figure"])
    assert "odd, &quot;term&quot; over" in log_paths("net", tmp_path)[1].read_text(encoding="utf-8")


def test_tensorboard_without_its_package_is_refused_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "tensorboard", None)
    with pytest.raises(VidpercError, match=r"pip install 'vidperc\[tensorboard\]'"):
        opened(tmp_path, tensorboard=True)
    assert list(tmp_path.iterdir()) == []


def test_tensorboard_reads_what_the_table_holds(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    pictures = [HeldOut("one", np.zeros((8, 8, 3), np.uint8), *[np.full((16, 16, 3), 9, np.uint8)] * 2)]

    def run(steps: range) -> None:
        log = opened(tmp_path, tensorboard=True)
        if steps.start > 1:
            log.strips(pictures)
            log.measured(steps.start - 1, {"set": 100.0 + steps.start - 1})
        for step in steps:
            log.record(progress(step, latest={"loss": step / 8, "pixel": step / 4}))
            log.strips(pictures)
            log.measured(step, {"set": 100.0 + step})
        log.close()

    run(range(1, 5))
    run(range(3, 7))  # goes on from step 2, and takes 3 and 4 again
    folder, everything = str(log_paths("net", tmp_path)[2]), {"scalars": 0, "images": 0}
    found = accumulator.EventAccumulator(folder, size_guidance=everything, purge_orphaned_data=True)
    found.Reload()
    assert set(found.Tags()["scalars"]) == {
        *("loss", "learning_rate", "pace/seconds_a_step", "pace/share_waited", "terms/pixel", "figures/set")
    }
    for tag, values in (
        ("loss", [step / 8 for step in range(1, 7)]),
        ("figures/set", [100.0 + s for s in range(1, 7)]),
    ):
        events = found.Scalars(tag)
        assert [(event.step, event.value) for event in events] == list(enumerate(values, 1))
    assert {event.step for event in found.Images("one")} == set(range(1, 7))
