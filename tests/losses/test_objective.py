"""The objective: terms put together, and what they share found once."""

from __future__ import annotations

import pytest
import torch

from tests.losses.made_up import TinyBackbone, TinyVideoBackbone, known_motion, pictures, shifting
from vidperc.clip import Motion
from vidperc.errors import VidpercError
from vidperc.losses.adversarial import Adversarial
from vidperc.losses.diversity import Diversity
from vidperc.losses.feature import Feature
from vidperc.losses.kl import Kl
from vidperc.losses.lattice import Lattice
from vidperc.losses.motion_choice import MotionChoice
from vidperc.losses.objective import Objective
from vidperc.losses.opponent import Opponent
from vidperc.losses.ping_pong import PingPong
from vidperc.losses.pixel import L1, Charbonnier, Mse
from vidperc.losses.sample import Sample
from vidperc.losses.structure import Ssim
from vidperc.losses.style import Style
from vidperc.losses.temporal_difference import TemporalDifference
from vidperc.losses.temporal_feature import TemporalFeature
from vidperc.losses.total_variation import TotalVariation
from vidperc.losses.video_feature import VideoFeature
from vidperc.losses.warp_loss import Warp


@pytest.fixture
def tiny(monkeypatch):
    """Small networks in the place of those of `perception`: a list of (name, layers, network), as they are opened."""
    opened: list[tuple[str, tuple[str, ...], TinyBackbone | TinyVideoBackbone]] = []

    def open_backbone(name, *, layers, weights=None):
        if "third" in layers:
            raise VidpercError(f"{name}: no layer 'third', wanted some of first, second")
        opened.append((name, tuple(layers), TinyBackbone(tuple(layers))))
        return opened[-1][2]

    def open_video_backbone(name, *, layers, weights=None):
        opened.append((name, tuple(layers), TinyVideoBackbone(tuple(layers))))
        return opened[-1][2]

    monkeypatch.setattr("vidperc.perception.backbone.open_backbone", open_backbone)
    monkeypatch.setattr("vidperc.perception.video_backbone.open_video_backbone", open_video_backbone)
    return opened


EVERYTHING = (
    L1(),
    L1(name="smooth-ground", texture=0.02),
    Mse(weight=0.5),
    Charbonnier(),
    Ssim(weight=2.0),
    Lattice(period=3),
    TotalVariation(weight=1e-3),
    Feature(layers={"second": 1.0}),
    Feature(name="content", layers={"first": 0.5}, distance="cosine"),
    Style(layers={"first": 1.0}, weight=10),
    Diversity(layers={"second": 1.0}),
    Warp(weight=100),
    Warp(name="warp-long", reach="long"),
    TemporalFeature(layers={"first": 1.0, "second": 1.0}),
    TemporalDifference(),
    PingPong(weight=0.5),
    VideoFeature(backbone="own", layers={"stem": 1.0}),
    Kl(reduction="sum", weight=1e-6),
    Adversarial(channels=4, weight=0.01),
)


def whole_sample(out: torch.Tensor, **more) -> Sample:
    true = torch.cat([shifting(3, 2, 1), shifting(3, 2, 1, seed=1)])
    latent = torch.ones(2, 4), torch.zeros(2, 4)
    return Sample(**{"out": out, "true": true, "back": out[:, :-1] * 0.9, "latent": latent} | more)


def given_out() -> torch.Tensor:
    clean = torch.cat([shifting(3, 2, 1), shifting(3, 2, 1, seed=1)])
    return clean * 0.9 + 0.1 * pictures(*clean.shape, seed=5)


def test_the_total_is_the_weighted_sum_of_the_unweighted_values(tiny) -> None:
    objective = Objective.open(EVERYTHING)
    objective.eval()  # a spectral norm goes on with every other call
    values = objective(whole_sample(given_out()))
    assert list(values.named) == [term.called for term in EVERYTHING]
    wanted = sum(term.weight * values.numbers()[term.called] for term in EVERYTHING)
    assert float(values.total.detach()) == pytest.approx(wanted, rel=1e-5)
    assert values.weights == {term.called: term.weight for term in EVERYTHING}
    assert values.numbers() == pytest.approx(
        {k: float(v) for k, v in objective.measure(whole_sample(given_out())).items()}
    )


def test_a_backbone_runs_once_for_all_its_layers_and_terms(tiny) -> None:
    objective = Objective.open(EVERYTHING)
    assert [(name, set(layers)) for name, layers, _ in tiny] == [("vgg16", {"first", "second"}), ("own", {"stem"})]
    objective(whole_sample(given_out()))
    assert [network.runs for _, _, network in tiny] == [2, 2]  # over out, and over true
    objective(whole_sample(given_out(), style=pictures(1, 3, 20, 20)))
    assert [network.runs for _, _, network in tiny] == [5, 4]


def test_motion_is_found_once_for_all_terms_in_the_source(tiny, monkeypatch) -> None:
    calls: list[torch.Tensor] = []
    real = MotionChoice.open

    def counted(self, device):
        find = real(self, device)
        return lambda clips: calls.append(clips) or find(clips)

    monkeypatch.setattr(MotionChoice, "open", counted)
    objective = Objective.open(EVERYTHING)
    objective(whole_sample(given_out()))
    assert len(calls) == 1 and torch.equal(calls[0], whole_sample(given_out()).true)
    source = torch.cat([shifting(3, 1, 1, height=32, width=40)] * 2)
    objective(whole_sample(given_out(), source=source))
    assert len(calls) == 2 and torch.equal(calls[1], source)
    objective(whole_sample(given_out(), motion=known_motion(given_out(), 2, 1)))
    assert len(calls) == 2


def test_no_estimator_is_opened_where_no_term_moves(monkeypatch) -> None:
    monkeypatch.setattr(MotionChoice, "open", lambda *_: pytest.fail("not needed"))
    assert float(Objective.open([L1()])(Sample(out=pictures(1, 3, 8, 8), true=pictures(1, 3, 8, 8))).total) == 0


@pytest.mark.parametrize("reach", ["short", "long"])
def test_the_warp_term_finds_a_moving_picture_steady_and_flicker_not(reach) -> None:
    clip = shifting(4, 3, 2)
    objective = Objective.open([Warp(reach=reach)])
    steady = float(objective(Sample(out=clip, source=clip)).total)
    flickering = clip + 0.1 * torch.tensor([0.0, 1, 0, 1]).view(1, 4, 1, 1, 1)
    moved_wrong = Sample(out=clip, motion=known_motion(clip, -3, -2))
    assert steady < 0.01
    assert float(objective(Sample(out=flickering, source=clip)).total) > 5 * steady
    assert float(objective(moved_wrong).total) > 5 * steady


def test_the_long_reach_sees_a_slow_drift_that_the_short_one_hardly_does() -> None:
    clip = shifting(5, 1, 0)
    drifting = clip + 0.02 * torch.arange(5.0).view(1, 5, 1, 1, 1)
    sample = Sample(out=drifting, motion=known_motion(clip, 1, 0))
    objective = Objective.open([Warp(), Warp(name="long", reach="long")])
    values = objective(sample).numbers()
    assert values["warp"] == pytest.approx(0.02, abs=1e-5) and values["long"] == pytest.approx(0.05, abs=1e-2)


def test_gradients_reach_out_and_leave_the_rest(tiny) -> None:
    out = given_out().requires_grad_()
    true = given_out().requires_grad_()
    objective = Objective.open(EVERYTHING)
    objective(whole_sample(out, true=true)).total.backward()
    assert out.grad is not None and torch.isfinite(out.grad).all() and float(out.grad.abs().max()) > 0
    assert true.grad is None
    assert all(parameter.grad is None for parameter in objective.parameters())


def test_under_autocast_values_are_float32_and_gradients_are_numbers(tiny) -> None:
    objective = Objective.open(EVERYTHING)
    plain = objective(whole_sample(given_out())).numbers()
    out = given_out().bfloat16().requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        values = objective(whole_sample(out))
    values.total.backward()
    assert all(value.dtype == torch.float32 for value in (values.total, *values.named.values()))
    assert out.grad is not None and torch.isfinite(out.grad).all()
    for name, value in values.numbers().items():
        assert value == pytest.approx(plain[name], rel=0.1, abs=0.01), name


def test_at_equal_clips_values_are_zero_and_gradients_are_numbers(tiny) -> None:
    true = torch.cat([shifting(3, 0, 0)] * 2)
    out = true.clone().requires_grad_()
    sample = whole_sample(out, true=true, back=true[:, :-1], latent=(torch.zeros(2, 4), torch.zeros(2, 4)))
    values = Objective.open(EVERYTHING)(sample)
    values.total.backward()
    assert out.grad is not None and torch.isfinite(out.grad).all()
    not_of_equality = {"total-variation", "diversity", "adversarial", "charbonnier"}
    for name, value in values.numbers().items():
        if name not in not_of_equality:
            assert value == pytest.approx(0, abs=1e-5), name
    assert values.numbers()["charbonnier"] == pytest.approx(1e-6)


@pytest.mark.parametrize(("range_", "scale", "shift"), [("signed", 2, -1), ("codes", 255, 0)])
def test_a_declared_range_gives_the_same_values(tiny, range_, scale, shift) -> None:
    objective = Objective.open([term for term in EVERYTHING if term.kind not in ("adversarial", "kl")])
    plain = objective(whole_sample(given_out())).numbers()
    sample = whole_sample(given_out())
    stored = {name: getattr(sample, name) * scale + shift for name in ("out", "true", "back")}
    assert objective(whole_sample(**stored, range=range_)).numbers() == pytest.approx(plain, rel=1e-3, abs=1e-6)


def test_single_pictures_are_clips_of_one_frame() -> None:
    out, true = pictures(2, 3, 16, 16), pictures(2, 3, 16, 16, seed=1)
    objective = Objective.open([L1(), Ssim()])
    as_clips = objective(Sample(out=out[:, None], true=true[:, None])).numbers()
    assert objective(Sample(out=out, true=true)).numbers() == as_clips


def test_a_few_wild_values_count_for_pixels_and_do_not_stop_networks(tiny) -> None:
    out, true = pictures(2, 3, 16, 16), pictures(2, 3, 16, 16)
    out[0, 0, 0, 0] = 9
    values = Objective.open([L1(), Feature(layers={"first": 1.0})])(Sample(out=out, true=true)).numbers()
    assert values["l1"] == pytest.approx((9 - float(true[0, 0, 0, 0])) / out.numel(), rel=1e-4)
    out[0, 0, 0, 0] = 1.5
    assert Objective.open([Feature(layers={"first": 1.0})])(Sample(out=out, true=true)).numbers()[
        "feature"
    ] == pytest.approx(values["feature"])


def test_the_discriminators_learn_by_judge_alone(tiny) -> None:
    out = given_out().requires_grad_()
    objective = Objective.open(
        [L1(), Adversarial(channels=4), Adversarial(name="moving", discriminator="temporal", channels=4)]
    )
    assert set(objective.discriminators) == {"adversarial", "moving"}
    assert len(list(objective.parameters())) == len(list(objective.discriminators.parameters())) > 0
    values = objective.judge(whole_sample(out))
    assert list(values.named) == ["adversarial", "moving"]
    values.total.backward()
    assert out.grad is None
    assert all(parameter.grad is not None for parameter in objective.discriminators.parameters())


def test_the_adaptive_weight_follows_the_last_layer() -> None:
    layer = torch.nn.Conv2d(3, 3, 1)
    given, true = pictures(1, 3, 32, 32), pictures(1, 3, 32, 32, seed=1)
    objective = Objective.open([L1(), Adversarial(channels=4, adaptive=True, weight=0.5)])
    out = layer(given).clamp(-0.4, 1.4)
    values = objective(Sample(out=out, true=true), last_layer=layer.weight)
    rest, adversarial = (
        torch.autograd.grad(values.named[name], layer.weight, retain_graph=True)[0].norm() for name in values.named
    )
    assert values.weights["adversarial"] == pytest.approx(0.5 * float(rest / (adversarial + 1e-4)), rel=1e-4)
    wanted = values.numbers()["l1"] + values.weights["adversarial"] * values.numbers()["adversarial"]
    assert float(values.total.detach()) == pytest.approx(wanted, rel=1e-5)
    with pytest.raises(ValueError, match=r"^adversarial: its weight is adaptive, wanted the generator's last_layer"):
        objective(Sample(out=out, true=true))


def test_it_moves_to_another_type_with_its_frozen_networks(tiny) -> None:
    objective = Objective.open([Feature(layers={"first": 1.0})]).double()
    (_, _, network), *_ = tiny
    assert network.one.weight.dtype == torch.float64
    value = objective(Sample(out=pictures(1, 3, 8, 8).double(), true=pictures(1, 3, 8, 8).double())).total
    assert value.dtype == torch.float64 and not objective.state_dict()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("autocast", [False, True])
def test_a_gpu_gives_nearly_the_values_of_the_cpu(tiny, autocast) -> None:
    objective = Objective.open(EVERYTHING).eval()
    plain = objective(whole_sample(given_out())).numbers()
    sample = whole_sample(given_out())
    there = {name: getattr(sample, name).cuda() for name in ("out", "true", "back")}
    there["out"].requires_grad_()
    latent = tuple(part.cuda() for part in sample.latent or ())
    with torch.autocast("cuda", torch.float16, enabled=autocast):
        values = objective.to("cuda")(whole_sample(**there, latent=latent))
    values.total.backward()
    assert values.total.device.type == "cuda" and torch.isfinite(there["out"].grad).all()
    # What TF32 and half precision cost in convolutions.
    assert values.numbers() == pytest.approx(plain, rel=0.05 if autocast else 0.01, abs=1e-3)


CLIP, ONE = pictures(2, 3, 3, 16, 16), pictures(2, 1, 3, 16, 16)


@pytest.mark.parametrize(
    ("term", "sample", "told"),
    [
        (L1(), Sample(out=CLIP), "l1: got no `true`"),
        (L1(name="main"), Sample(out=CLIP, true=CLIP[:, :2]), r"main: got \(2, 3, 3, 16, 16\) and \(2, 2, 3, 16, 16\)"),
        (L1(), Sample(out=CLIP, true=CLIP * 255), "l1: true has values from .*, wanted .0,1."),
        (Mse(), Sample(out=CLIP * torch.nan, true=CLIP), "mse: out holds NaN"),
        (Warp(), Sample(out=ONE, true=ONE), "warp: got a clip of 1 frame, wanted at least 2 frames"),
        (TemporalFeature(layers={"first": 1}), Sample(out=ONE, true=ONE), "temporal-feature: got a clip of 1 frame"),
        (VideoFeature(layers={"stem": 1}), Sample(out=ONE, true=ONE), "video-feature: got a clip of 1 frame"),
        (TemporalDifference(), Sample(out=CLIP[:, 0], true=CLIP[:, 0]), "temporal-difference: got a clip of 1 frame"),
        (Warp(), Sample(out=CLIP), "warp: got no `motion`, wanted it, or `source` or `true`"),
        (Warp(), Sample(out=CLIP, source=CLIP[:1]), "warp: got a source of .*, wanted 2 clips of 3 frames"),
        (Warp(), Sample(out=CLIP, source=CLIP[:, 0]), r"warp: got a source of \(2, 3, 16, 16\), wanted 2 clips"),
        (
            Style(layers={"first": 1}),
            Sample(out=CLIP, style=ONE[:, 0].repeat(3, 1, 1, 1)),
            "style: got a style of .6, 3",
        ),
        (Style(layers={"first": 1}), Sample(out=CLIP, style=CLIP[0]), "style: got a style of .*one for each"),
        (PingPong(), Sample(out=CLIP), "ping-pong: got no `back`"),
        (Kl(reduction="sum"), Sample(out=CLIP), "kl: got no `latent`"),
        (Style(layers={"first": 1}), Sample(out=CLIP), "style: got neither `style` nor `true`"),
        (Ssim(name="local"), Sample(out=CLIP[..., :5], true=CLIP[..., :5]), "local: ssim: got 5x16, wanted sides"),
        (Adversarial(channels=2), Sample(out=CLIP), "adversarial: discriminator: got 16x16, wanted sides of at least"),
        (Diversity(layers={"first": 1}), Sample(out=CLIP[:1]), "diversity: got 1 output, wanted at least 2"),
    ],
)
def test_what_a_term_lacks_is_told_with_its_name(tiny, term, sample, told) -> None:
    with pytest.raises(ValueError, match=f"^{told}") as caught:
        Objective.open([term])(sample)
    assert "\n" not in str(caught.value)


def test_motion_of_another_length_is_refused() -> None:
    (motion,) = known_motion(shifting(3, 1, 1), 1, 1)
    short = Motion(flow=motion.flow[:2], visible=motion.visible[:2])
    sample = Sample(out=shifting(3, 1, 1), motion=[short])
    with pytest.raises(ValueError, match=r"^warp: got the motion of \[2\] frames, wanted that of 1 times 3"):
        Objective.open([Warp()])(sample)


@pytest.mark.parametrize("term", [Warp(name="steady"), TemporalFeature(name="steady", layers={"first": 1})])
@pytest.mark.parametrize(
    ("of", "bad", "told"),
    [
        ("flow", torch.nan, "the flow holds NaN or infinity"),
        ("flow", torch.inf, "the flow holds NaN or infinity"),
        ("visible", torch.nan, "visible holds NaN or infinity"),
        ("visible", 255.0, "visible has values from 0 to 255, wanted 0 for hidden to 1"),
        ("visible", -1.0, "visible has values from -1 to 1, wanted 0 for hidden to 1"),
    ],
)
def test_motion_that_is_no_number_is_refused(tiny, term, of, bad, told) -> None:
    clip = shifting(3, 1, 1)
    (good,) = known_motion(clip, 1, 1)
    flow, visible = good.flow.clone(), good.visible.clone()
    visible[2, :, 4, 4] = 0  # hidden, and a number all the same
    (flow if of == "flow" else visible)[2, :, 4, 4] = bad
    sample = Sample(out=clip.clone().requires_grad_(), motion=[Motion(flow=flow, visible=visible)])
    with pytest.raises(ValueError, match=f"^steady: {told}"):
        Objective.open([term])(sample)


def test_motion_to_the_first_frame_that_is_no_number_is_refused() -> None:
    clip = shifting(3, 1, 1)
    (good,) = known_motion(clip, 1, 1)
    bad = Motion(flow=good.flow * torch.nan, visible=good.visible)
    with pytest.raises(ValueError, match=r"^warp: the flow holds NaN"):
        Objective.open([Warp(reach="long")])(Sample(out=clip, motion=[good], to_first=[bad]))


def test_motions_of_two_sizes_are_refused() -> None:
    clip = shifting(3, 1, 1)
    (one,) = known_motion(clip, 1, 1)
    sample = Sample(out=torch.cat([clip, clip]), motion=[one, one.at(24, 32)])
    with pytest.raises(ValueError, match=r"^warp: got the motion of clips of 32x24 and 64x48, wanted one size"):
        Objective.open([Warp()])(sample)


@pytest.mark.parametrize("at_fault", [1e30, -1e30])
def test_a_value_that_is_no_number_names_its_term(at_fault) -> None:
    out, true = pictures(1, 3, 16, 16), pictures(1, 3, 16, 16)
    out[0, 0, 0, 0] = at_fault
    with pytest.raises(ValueError, match=r"^squares: its value is inf, wanted a number"):
        Objective.open([L1(), Opponent(name="squares", distance="l2")])(Sample(out=out, true=true))
    for term in (Mse(name="far"), Charbonnier(name="far")):
        with pytest.raises(ValueError, match=r"^far: (mse|charbonnier): the mean.* holds NaN or infinity"):
            Objective.open([L1(), term])(Sample(out=out, true=true))


@pytest.mark.parametrize("what", ["another", "frozen", "detached"])
def test_a_last_layer_that_out_does_not_come_from_is_refused(what) -> None:
    layer, another = torch.nn.Conv2d(3, 3, 1), torch.nn.Conv2d(3, 3, 1)
    out = layer(pictures(1, 3, 32, 32)).clamp(-0.4, 1.4)
    last = {"another": another.weight, "frozen": layer.weight.detach(), "detached": layer.weight}[what]
    sample = Sample(out=out.detach() if what == "detached" else out, true=pictures(1, 3, 32, 32, seed=1))
    objective = Objective.open([L1(), Adversarial(name="game", channels=4, adaptive=True)])
    with pytest.raises(ValueError, match=r"^game: adversarial: the rest does not depend on last_layer"):
        objective(sample, last_layer=last)


def test_frames_too_small_for_motion_name_the_term() -> None:
    small = pictures(1, 2, 3, 8, 8)
    with pytest.raises(
        VidpercError, match=r"^steady: motion: dis got frames of 8x8, wanted sides of at least 16 pixels"
    ):
        Objective.open([Warp(name="steady")])(Sample(out=small, source=small))


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        ([], "objective: terms: got none"),
        ([L1(), L1()], "objective: terms: two are called l1, wanted a `name` for one of them"),
        (
            [L1(), Feature(layers={"first": 1}), Feature(name="deep", layers={"third": 1})],
            "deep: vgg16: no layer 'third', wanted some of first, second",
        ),
    ],
)
def test_an_objective_that_cannot_be_is_refused_in_one_line(tiny, terms, told) -> None:
    with pytest.raises(VidpercError, match=f"^{told}"):
        Objective.open(terms)


def test_an_unknown_network_names_the_term() -> None:
    with pytest.raises(VidpercError, match=r"^feature: unknown backbone 'vgg61', wanted one of .*vgg16"):
        Objective.open([Feature(backbone="vgg61", layers={"relu1_1": 1})])
    with pytest.raises(VidpercError, match=r"^video-feature: unknown 3D .* 'r4d'"):
        Objective.open([VideoFeature(backbone="r4d", layers={"layer1": 1})])


def test_absent_weights_name_the_term_and_what_to_fetch(tmp_path) -> None:
    with pytest.raises(VidpercError, match=r"^feature: .*vgg16") as caught:
        Objective.open([Feature(layers={"relu1_1": 1})], weights=tmp_path)
    assert "\n" not in str(caught.value)
