import numpy as np
import pytest
import torch
from av import VideoFrame

from vidperc.ops.color import planes_to_rgb, rgb_to_planes
from vidperc.ops.layout import LAYOUTS

DTYPES = {8: torch.uint8, 16: torch.uint16}  # of planes, by bits; else int16
YUV = [name for name, layout in LAYOUTS.items() if layout.planes == 3 and not layout.rgb]


def flat(layout, codes, size=(6, 8)):
    """Planes that hold one code each."""
    return [
        torch.full(layout.plane_size(i, size[1], size[0]), code, dtype=torch.int32).to(
            DTYPES.get(layout.bits, torch.int16)
        )
        for i, code in enumerate(codes)
    ]


@pytest.mark.parametrize(
    ("matrix", "codes", "wanted"),
    [
        # Red of 75 % and 100 % colour bars, from the coefficients of the two recommendations.
        (6, (81, 90, 240), (254, 0, 0)),
        (1, (63, 102, 240), (255, 0, 0)),
        (6, (145, 54, 34), (0, 255, 1)),
        (1, (16, 128, 128), (0, 0, 0)),
        (1, (235, 128, 128), (255, 255, 255)),
        # YCgCo of red: a quarter of luma, -1/4 of Cg, 1/2 of Co (H.273, equations 41 to 43).
        (8, (71, 72, 240), (255, 0, 0)),
        (8, (126, 240, 128), (0, 255, 0)),
    ],
)
def test_known_codes_of_limited_range_give_known_colours(matrix, codes, wanted):
    rgb = planes_to_rgb(flat(LAYOUTS["yuv444p"], codes), LAYOUTS["yuv444p"], matrix=matrix, full_range=False)
    got = (rgb[:, 0, 0] * 255).clamp(0, 255)
    assert torch.allclose(got, torch.tensor(wanted, dtype=torch.float32), atol=1.1), got  # codes are whole numbers


@pytest.mark.parametrize("name", YUV)
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", [1, 6, 8, 9, 10, 14])
def test_every_flat_colour_survives_the_way_there_and_back(name, matrix, full_range):
    layout = LAYOUTS[name]
    step = 1 << (layout.bits - 8)
    for codes in ((40, 100, 150), (200, 128, 128), (120, 90, 60), (16, 128, 128)):
        planes = flat(layout, [code * step + (step > 1) for code in codes], size=(7, 9))
        rgb = planes_to_rgb(planes, layout, matrix=matrix, full_range=full_range)
        back = rgb_to_planes(rgb, layout, matrix=matrix, full_range=full_range)
        for before, after in zip(planes, back, strict=True):
            assert torch.equal(before.int(), after.int())


def test_whiter_than_white_is_kept():
    layout = LAYOUTS["yuv420p"]
    planes = flat(layout, (250, 128, 128))
    rgb = planes_to_rgb(planes, layout, matrix=1, full_range=False)
    assert rgb.max() > 1
    assert rgb_to_planes(rgb, layout, matrix=1, full_range=False)[0].unique().tolist() == [250]


def test_a_grey_ramp_is_exact_under_chroma_subsampling():
    ramp = torch.arange(256, dtype=torch.uint8).reshape(16, 16)
    layout = LAYOUTS["yuv420p"]
    grey = torch.full((8, 8), 128, dtype=torch.uint8)
    rgb = planes_to_rgb([ramp, grey, grey], layout, matrix=6, full_range=True)
    assert torch.equal(rgb_to_planes(rgb, layout, matrix=6, full_range=True)[0], ramp)


def test_chroma_is_left_sited_as_codecs_mean_it():
    """A chroma sample sits on an even column and halfway between two rows."""
    layout = LAYOUTS["yuv420p"]
    cb = torch.full((4, 4), 128, dtype=torch.uint8)
    cb[1, 1] = 228
    planes = [torch.full((8, 8), 128, dtype=torch.uint8), cb, torch.full((4, 4), 128, dtype=torch.uint8)]
    blue = planes_to_rgb(planes, layout, matrix=6, full_range=True)[2] - 128 / 255
    assert blue[2, 2] == blue[3, 2] == blue.max()
    assert torch.allclose(blue[2, 1], blue[2, 2] / 2) and torch.allclose(blue[2, 3], blue[2, 2] / 2)
    assert torch.allclose(blue[1, 2], blue[2, 2] / 3) and torch.allclose(blue[4, 2], blue[2, 2] / 3)


@pytest.mark.parametrize("name", ["yuv420p10le", "yuv422p10le"])
@pytest.mark.parametrize(("siting", "down", "across"), [(0, 0.5, 0), (1, 0.5, 0.5), (2, 0, 0), (3, 0, 0.5)])
def test_a_slope_is_read_and_written_where_chroma_sits(siting, down, across, name):
    """Blue that rises by eight codes a pixel downwards and four across is the same slope in every siting."""
    layout = LAYOUTS[name]
    y, x = torch.meshgrid(torch.arange(16.0), torch.arange(24.0), indexing="ij")
    rows, columns = layout.plane_size(1, 24, 16)
    top = torch.arange(rows) * 2.0 + down if layout.shift_y else torch.arange(16.0)
    left = torch.arange(columns) * 2.0 + across
    cb = (300 + 8 * top[:, None] + 4 * left[None, :]).to(torch.int16)
    half = torch.full((16, 24), 512, dtype=torch.int16), torch.full((rows, columns), 512, dtype=torch.int16)
    planes = [half[0], cb, half[1]]
    rgb = planes_to_rgb(planes, layout, matrix=6, full_range=True, siting=siting)
    blue = (rgb[2] - 512 / 1023) * 1023 / 1.772 + 512  # back to codes of Cb
    inside = slice(2, -3)
    assert torch.allclose(blue[inside, inside], (300 + 8 * y + 4 * x)[inside, inside], atol=1e-2)  # float32
    back = rgb_to_planes(rgb, layout, matrix=6, full_range=True, siting=siting)[1]
    assert torch.equal(back[2:-2, 2:-2], cb[2:-2, 2:-2])


@pytest.mark.parametrize(("matrix", "space"), [(6, "ITU601"), (1, "ITU709")])
def test_agrees_with_swscale_on_full_chroma(matrix, space):
    generator = np.random.default_rng(0)
    frame = VideoFrame(64, 48, "yuv444p")
    planes = [generator.integers(40, 200, (48, 64), dtype=np.uint8) for _ in range(3)]
    for plane, values in zip(frame.planes, planes, strict=True):
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:48, :64] = values
    wanted = frame.reformat(format="rgb24", src_colorspace=space, dst_colorspace=space).to_ndarray()
    rgb = planes_to_rgb([torch.from_numpy(p) for p in planes], LAYOUTS["yuv444p"], matrix=matrix, full_range=False)
    got = (rgb * 255).round().clamp(0, 255).permute(1, 2, 0).numpy()
    assert np.abs(got - wanted).max() <= 2  # swscale rounds its coefficients to 13 bits


def test_rgb_planes_are_a_permutation():
    generator = torch.Generator().manual_seed(0)
    layout = LAYOUTS["gbrp"]
    planes = [torch.randint(0, 256, (5, 7), dtype=torch.uint8, generator=generator) for _ in range(3)]
    rgb = planes_to_rgb(planes, layout, matrix=0, full_range=True)
    assert torch.equal((rgb[0] * 255).round().to(torch.uint8), planes[2])
    for before, after in zip(planes, rgb_to_planes(rgb, layout, matrix=0, full_range=True), strict=True):
        assert torch.equal(before, after)


def test_gray_has_one_plane():
    layout = LAYOUTS["gray10le"]
    ramp = torch.arange(64, 940, dtype=torch.int16).reshape(-1, 12)
    rgb = planes_to_rgb([ramp], layout, matrix=1, full_range=False)
    assert torch.equal(rgb[0], rgb[2])
    (back,) = rgb_to_planes(rgb, layout, matrix=1, full_range=False)
    assert torch.equal(back, ramp)
