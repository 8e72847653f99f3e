"""The facts about a network that its callers need before it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ModelCard:
    """What a network is and how it may be called.

    scale: output side over input side, at least 1.
    multiple_of: the input's sides are padded to a multiple of this many pixels.
    minimum: the smallest input side, in pixels, that the network takes; smaller frames are padded.
    half_safe: float16 gives the same picture as float32, near enough (the architecture's authors say so).
    bfloat16_safe: the same for bfloat16.
    tileable: a frame may be cut into tiles.
    reach: how many input pixels away one output pixel still looks; None when it was not found (global layers).
        Tiles with this much overlap give the bits of the whole frame; 0 for resampling, which is never tiled.
    recurrent: it makes a frame from the one before, too, along the motion of the source.
    state: channels of the hidden state that a recurrent network keeps, at the size of its input.
    settle: frames until a recurrent network has forgotten where it began, to less than half a code of 8 bits.
    luma: the network makes luma alone and colour is resampled beside it, so it takes YUV frames as they are.
    sha256: of the weights file, empty for networks without weights.
    channels: of its widest layer, 0 where that is not known.
    data, steps, seed, command, figures: of networks of our own: what they learnt from, for how long, how to make them
        again, and what was measured when the training ended.
    twin: the name of the network for detail that has the same layout; empty where there is none.
    detail: how far towards its twin the network is moved, 0 to 1. twin_sha256: of the twin's file, empty at 0.
    """

    name: str
    architecture: str
    scale: int
    summary: str = ""
    parameters: int = 0
    multiple_of: int = 1
    minimum: int = 1
    half_safe: bool = True
    bfloat16_safe: bool = True
    tileable: bool = True
    reach: int | None = None
    recurrent: bool = False
    state: int = 0
    settle: int = 0
    licence: str = "unknown"
    source: str = ""
    sha256: str = ""
    luma: bool = False
    channels: int = 0
    data: str = ""
    steps: int = 0
    seed: int = 0
    command: str = ""
    figures: str = ""
    twin: str = ""
    twin_sha256: str = ""
    detail: float = 0.0

    def held_bytes(self, width: int, height: int) -> int:
        """What it holds from frame to frame and to move that, for input of this width and height, whole and in float32.

        Of the output, luma: the memory's picture before, moved, as details and new, the frame by bicubic, what is
        added, and the flow; of the input the memory, five times on its way, and what the network sees beside it.
        """
        if not self.recurrent:
            return 0
        cells = self.scale * self.scale
        return 4 * width * height * (8 * cells + 5 * (cells + self.state) + 6)
