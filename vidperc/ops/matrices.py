"""How RGB stands behind luma and chroma, by the codes of ITU-T H.273 for matrix coefficients."""

from __future__ import annotations

# Code -> (Kr, Kb): BT.709, FCC, BT.601 of 625 and of 525 lines, SMPTE 240M, BT.2020 with non-constant luminance.
LUMA_WEIGHTS: dict[int, tuple[float, float]] = {
    1: (0.2126, 0.0722),
    4: (0.30, 0.11),
    5: (0.299, 0.114),
    6: (0.299, 0.114),
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
}

UNSPECIFIED = 2
YCGCO = 8  # sums and differences of RGB, without weights

# Rare ones that are more than a matrix, or one that only the primaries tell, and whose equations stand in for theirs.
# The way back is by the same ones, so codes return as they were; what is between is not quite RGB.
STAND_INS = {10: 9, 11: 9, 12: 9, 13: 9, 14: 9, 15: 9, 16: YCGCO, 17: YCGCO}

KNOWN_MATRICES = frozenset({*LUMA_WEIGHTS, YCGCO, *STAND_INS})

MATRIX_NAMES = {
    1: "BT.709",
    4: "FCC",
    5: "BT.601",
    6: "BT.601",
    7: "SMPTE 240M",
    YCGCO: "YCgCo",
    9: "BT.2020",
    10: "BT.2020 with constant luminance",
    11: "SMPTE ST 2085",
    12: "chroma-derived with non-constant luminance",
    13: "chroma-derived with constant luminance",
    14: "ICtCp",
    15: "IPT-PQ-C2",
    16: "YCgCo-Re",
    17: "YCgCo-Ro",
}


def equations_of(matrix: int) -> int:
    """The code whose equations a matrix is read and written by."""
    return STAND_INS.get(matrix, matrix)
