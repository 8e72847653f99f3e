"""Run by torchrun: ten steps of the training of `test_loop` in every process; the first one writes the losses down."""

import sys
from dataclasses import replace
from pathlib import Path

import torch

from tests.training.test_loop import SCHEDULE, network, pairs, squares
from vidperc.training.images import draw
from vidperc.training.loop import train
from vidperc.training.processes import joined_processes

losses = Path(sys.argv[1])
torch.set_num_threads(1)
with joined_processes("cpu") as processes:
    learnt, schedule, found = pairs(), replace(SCHEDULE, steps=10), list[float]()
    train(
        network(),
        squares,
        lambda numbers: draw(learnt, numbers, scale=2, patch=schedule.patch, seed=schedule.seed),
        schedule,
        losses.with_suffix(".safetensors"),
        recipe={},
        validate=lambda _: {},
        every=10,
        say=lambda _: None,
        record=lambda progress: found.append(progress.loss),
        processes=processes,
    )
    if processes.first:
        losses.write_text("\n".join(map(repr, found)))
