"""What a machine computes networks quickest in, found out by trying, once."""

from __future__ import annotations

import functools
from time import perf_counter
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from vidperc.placement import Precision

# Below this bfloat16 is not worth its rounding. Where it has instructions of its own it is five to ten times quicker
# than float32, where it is emulated slower: nothing lies near the border.
_WORTH_IT = 2.0

_CPU_BFLOAT16 = ("amx_bf16", "avx512_bf16")


@functools.cache
def fast_precision(device: str) -> Precision:
    """The type in which a network of 64 channels runs quickest on this device: what `--precision auto` takes.

    device: a torch device string. A GPU computes in bfloat16 where it has it in hardware, else in float16. A CPU is
    timed for some milliseconds: bfloat16 where it is at least twice as quick as float32.
    """
    if torch.device(device).type != "cpu":
        major, _ = torch.cuda.get_device_capability(device)
        return "bfloat16" if major >= 8 else "float16"
    return "bfloat16" if _seconds(torch.float32) > _WORTH_IT * _seconds(torch.bfloat16) else "float32"


def training_precision(device: torch.device) -> torch.dtype:
    """What our networks compute in while they learn: bfloat16 where the device has instructions for it, else float32.

    Read off rather than timed, as `fast_precision` is: a training that is gone on with computes as it began. Without
    those instructions a step in bfloat16 takes 4 (AVX-512) to 16 times (AVX2) as long as one in float32.
    """
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.get_device_capability(device)[0] >= 8 else torch.float32
    own = device.type == "cpu" and any(torch.cpu.get_capabilities().get(name) for name in _CPU_BFLOAT16)
    return torch.bfloat16 if own else torch.float32


def _seconds(precision: torch.dtype) -> float:
    """The quickest of a few convolutions."""
    frame = torch.zeros(1, 64, 64, 128, dtype=precision).contiguous(memory_format=torch.channels_last)
    kernel = torch.zeros(64, 64, 3, 3, dtype=precision).contiguous(memory_format=torch.channels_last)
    taken: list[float] = []
    with torch.inference_mode():
        for _ in range(6):
            began = perf_counter()
            F.conv2d(frame, kernel, padding=1)
            taken.append(perf_counter() - began)
    return min(taken)


def instruction_set() -> str:
    """What the CPU's kernels are chosen for: torch's name, and the instructions for bfloat16 where there are some."""
    found = torch.cpu.get_capabilities()
    special = [name for name in _CPU_BFLOAT16 if found.get(name)]
    return " ".join([torch.backends.cpu.get_cpu_capability(), *special])
