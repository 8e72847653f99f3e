"""Where and how the tensor work of a run happens: decided once, in the plan."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Precision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True, kw_only=True)
class Placement:
    """Device, precision and sizes that every stage of one run shares.

    device: a torch device string, "cpu" or "cuda:0".
    precision: the type that networks compute in; what is added to the picture stays float32.
    tile: side of a network's square tile in input pixels; 0 means the whole frame.
    chunk: the most frames that travel together in one clip.
    threads: threads of one worker, for tensor work and for each decoder and encoder.
    instruction_set: what the CPU's kernels were chosen for; bfloat16 results depend on it.
    """

    device: str = "cpu"
    precision: Precision = "float32"
    tile: int = 0
    chunk: int = 1
    threads: int = 1
    instruction_set: str = ""
