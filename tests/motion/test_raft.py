"""RAFT: its errors on real pairs, both layouts of its weights, and what is said when they are not there."""

import re
import urllib.error
import urllib.request

import pytest
import torch
from torchvision.models.optical_flow import raft_large, raft_small

from tests.clips import TEST_DATA
from tests.motion.pairs import endpoint_error, moving, needs_data, pair
from vidperc.errors import VidpercError
from vidperc.motion.estimator import open_estimator
from vidperc.motion.find import find_motion
from vidperc.motion.raft import open_raft, read_raft, torchvision_names


@pytest.fixture(scope="module")
def made_up(tmp_path_factory):
    """Files of random weights in torchvision's layout, by the name of the network."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    files = {}
    for name, build in (("raft-small", raft_small), ("raft-large", raft_large)):
        files[name] = folder / f"{name}.pth"
        torch.save(build(weights=None).state_dict(), files[name])
    return files


def original_name(name: str) -> str:
    """What the original repository calls a layer of torchvision's: the modules of its extractor.py and update.py."""
    for ours, theirs in (
        (r"^feature_encoder\.", "module.fnet."),
        (r"^context_encoder\.", "module.cnet."),
        (r"^update_block\.", "module.update_block."),
        (r"net\.convnormrelu\.0\.", "net.conv1."),
        (r"net\.convnormrelu\.1\.", "net.norm1."),
        (r"net\.conv\.", "net.conv2."),
        (r"\.convnormrelu(\d)\.0\.", r".conv\1."),
        (r"\.convnormrelu(\d)\.1\.", r".norm\1."),
        (r"\.motion_encoder\.convcorr(\d)\.0\.", r".encoder.convc\1."),
        (r"\.motion_encoder\.convflow(\d)\.0\.", r".encoder.convf\1."),
        (r"\.motion_encoder\.conv\.0\.", ".encoder.conv."),
        (r"\.recurrent_block\.convgru(\d)\.conv(\w)\.", r".gru.conv\2\1."),
        (r"^mask_predictor\.convrelu\.0\.", "module.update_block.mask.0."),
        (r"^mask_predictor\.conv\.", "module.update_block.mask.2."),
    ):
        name = re.sub(ours, theirs, name)
    return name


# Spelled out, for the name by name translation above could be wrong in the same way as the one it is to test.
LARGE_NAMES = {
    "module.fnet.conv1.weight": (64, 3, 7, 7),
    "module.fnet.layer2.0.conv1.weight": (96, 64, 3, 3),
    "module.fnet.layer2.0.downsample.0.bias": (96,),
    "module.fnet.layer3.1.conv2.weight": (128, 128, 3, 3),
    "module.fnet.conv2.weight": (256, 128, 1, 1),
    "module.cnet.norm1.running_mean": (64,),
    "module.cnet.layer1.0.norm2.weight": (64,),
    "module.cnet.layer2.0.downsample.1.running_var": (96,),
    "module.cnet.layer3.0.downsample.1.num_batches_tracked": (),
    "module.cnet.conv2.bias": (256,),
    "module.update_block.encoder.convc1.weight": (256, 324, 1, 1),
    "module.update_block.encoder.convc2.weight": (192, 256, 3, 3),
    "module.update_block.encoder.convf1.weight": (128, 2, 7, 7),
    "module.update_block.encoder.convf2.weight": (64, 128, 3, 3),
    "module.update_block.encoder.conv.weight": (126, 256, 3, 3),
    "module.update_block.gru.convz1.weight": (128, 384, 1, 5),
    "module.update_block.gru.convr2.weight": (128, 384, 5, 1),
    "module.update_block.gru.convq2.bias": (128,),
    "module.update_block.flow_head.conv1.weight": (256, 128, 3, 3),
    "module.update_block.flow_head.conv2.weight": (2, 256, 3, 3),
    "module.update_block.mask.0.weight": (256, 128, 3, 3),
    "module.update_block.mask.2.weight": (576, 256, 1, 1),
}


@needs_data
@pytest.mark.slow
@pytest.mark.parametrize(("name", "most"), [("chairs", 1.2), ("whale", 0.34), ("sintel", 0.25)])
def test_raft_small_has_its_known_errors(name, most):
    """With the weights of the original repository, in its own layout."""
    estimator = open_estimator("raft-small", weights=str(TEST_DATA / "weights" / "raft-small.pth"))
    one, other, truth = pair(name)
    assert endpoint_error(estimator.flow(estimator.prepare(one), estimator.prepare(other)), truth) <= most


@needs_data
def test_raft_small_sees_which_way_luma_moves():
    estimator = open_estimator("raft-small", weights=str(TEST_DATA / "weights" / "raft-small.pth"))
    frames = moving(2, across=4, down=-3, height=130, width=141)  # no multiples of 8
    (motion,) = find_motion([(frames, 0)], estimator)
    assert motion.flow.shape == (2, 2, 130, 141)
    for found, wanted in zip(motion.flow[1, :, 20:-20, 20:-20], (-4.0, 3.0), strict=True):
        assert (found - wanted).abs().median() < 0.25
    assert motion.visible[1, 0, 20:-20, 20:-20].mean() > 0.9


@pytest.mark.parametrize("name", ["raft-small", "raft-large"])
def test_both_layouts_load(name, made_up, tmp_path):
    wanted = read_raft(name, made_up[name]).state_dict()
    theirs = {original_name(key): value for key, value in wanted.items()}
    assert len(theirs) == len(wanted) and all(key.startswith("module.") for key in theirs)
    if name == "raft-large":
        assert {key: tuple(theirs[key].shape) for key in LARGE_NAMES} == LARGE_NAMES
    # In their files the norm of a shortcut has a second name.
    last = "norm4" if name == "raft-small" else "norm3"
    theirs |= {key.replace("downsample.1", last): value for key, value in theirs.items() if "downsample.1" in key}
    path = tmp_path / "original.pth"
    torch.save(theirs, path)
    found = read_raft(name, path).state_dict()
    assert found.keys() == wanted.keys() and all(torch.equal(found[key], wanted[key]) for key in wanted)


def test_names_of_torchvision_stay():
    weights = raft_large(weights=None).state_dict()
    assert torchvision_names(weights).keys() == weights.keys()


@pytest.mark.parametrize("name", ["raft-small", "raft-large"])
def test_a_frame_does_not_depend_on_the_others(name, made_up):
    estimator = open_estimator(name, weights=str(made_up[name]))
    frames = moving(3, 2, 1, height=128, width=136)
    together = torch.cat([motion.flow for motion in find_motion([(frames, 0)], estimator)])
    one_by_one = torch.cat([motion.flow for motion in find_motion([(f[None], 0) for f in frames], estimator)])
    assert torch.equal(together, one_by_one) and together[1:].any()


def test_weights_of_another_network_are_refused(made_up, tmp_path):
    with pytest.raises(
        VidpercError, match=r"raft-large\.pth: holds no weights of raft-small: .*name a file of raft-small"
    ):
        open_raft("raft-small", str(made_up["raft-large"]), "cpu")
    other = tmp_path / "other.pth"
    torch.save({"a.weight": torch.zeros(3)}, other)
    with pytest.raises(VidpercError, match=r"other\.pth: holds no weights of raft-large"):
        open_raft("raft-large", str(other), "cpu")
    with pytest.raises(VidpercError, match="no such file"):
        open_raft("raft-large", str(tmp_path / "absent.pth"), "cpu")


@pytest.fixture
def fetching(monkeypatch, tmp_path):
    """Torch's folder of downloads, empty, and a network that answers as told."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))

    def set_answer(answer):
        def urlopen(request, *args, **kwargs):
            if isinstance(answer, Exception):
                raise answer
            return urllib.request.OpenerDirector.open(urllib.request.build_opener(), f"file://{answer}")

        monkeypatch.setattr("urllib.request.urlopen", urlopen)
        monkeypatch.delenv("VIDPERC_WEIGHTS", raising=False)
        return tmp_path / "torch" / "hub" / "checkpoints"

    return set_answer


def test_without_weights_and_connection_it_says_what_to_fetch(fetching):
    folder = fetching(urllib.error.URLError("no route to host"))
    with pytest.raises(VidpercError) as caught:
        open_raft("raft-small", None, "cpu")
    told = str(caught.value)
    assert "raft-small: its weights are not here and could not be fetched" in told and "no route to host" in told
    assert "https://download.pytorch.org/models/raft_small_C_T_V2-01064c6d.pth" in told
    assert f"put it at {folder / 'raft_small_C_T_V2-01064c6d.pth'}" in told and "\n" not in told


def test_weights_with_another_checksum_are_not_kept(fetching, made_up):
    folder = fetching(made_up["raft-small"])
    with pytest.raises(VidpercError, match=r"could not be fetched \(invalid hash value"):
        open_raft("raft-small", None, "cpu")
    assert not list(folder.glob("*.pth"))


def test_weights_that_are_there_are_not_fetched_again(fetching, made_up):
    folder = fetching(urllib.error.URLError("no route to host"))
    folder.mkdir(parents=True)
    (folder / "raft_small_C_T_V2-01064c6d.pth").write_bytes(made_up["raft-small"].read_bytes())
    assert open_raft("raft-small", None, "cpu").name == "raft-small"


def test_frames_too_small_are_refused_in_one_line(made_up):
    estimator = open_estimator("raft-small", weights=str(made_up["raft-small"]))
    with pytest.raises(VidpercError) as caught:
        list(find_motion([(torch.zeros((2, 1, 120, 200)), 0)], estimator))
    assert str(caught.value) == (
        "motion: raft-small got frames of 200x120, wanted sides of at least 128 pixels; use the estimator dis"
    )
