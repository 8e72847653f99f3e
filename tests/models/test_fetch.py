"""Where weights are looked for, and how they are fetched, without a network: urlopen answers as it is told."""

import hashlib
import io
import urllib.error

import pytest

from vidperc.errors import VidpercError
from vidperc.models.fetch import PublishedWeights, torchvision_weights, weights_path

CONTENT = b"weights" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
WANTED = PublishedWeights(
    of="net", url="https://example.org/files/net-1.pth", sha256=DIGEST, paths=("other/net.fp16.pth",)
)


class Answer(io.BytesIO):
    def __init__(self, content: bytes, announced: int | None) -> None:
        super().__init__(content)
        self.headers = {} if announced is None else {"Content-Length": str(announced)}


@pytest.fixture
def downloads(monkeypatch, tmp_path):
    """Torch's folder of downloads, empty; nothing is asked of a network unless a test says what it answers."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("VIDPERC_WEIGHTS", raising=False)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_, **__: pytest.fail("a network was asked"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def answers(downloads, monkeypatch):
    def set_answer(content: bytes | Exception, announced: int | None = len(CONTENT)):
        def urlopen(request, timeout):
            assert request.full_url == WANTED.url and timeout > 0
            if isinstance(content, Exception):
                raise content
            return Answer(content, announced)

        monkeypatch.setattr("urllib.request.urlopen", urlopen)
        return downloads

    return set_answer


def put(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(CONTENT)
    return path


def test_a_file_that_is_named_is_taken(downloads, tmp_path):
    path = put(tmp_path / "mine.pth")
    assert weights_path(WANTED, path) == path


@pytest.mark.parametrize("name", ["net-1.pth", "other/net.fp16.pth"])
def test_a_folder_is_looked_into_under_every_name(downloads, tmp_path, name):
    path = put(tmp_path / "folder" / name)
    assert weights_path(WANTED, tmp_path / "folder") == path


def test_only_the_folder_that_is_named_counts(downloads, tmp_path, monkeypatch):
    put(downloads / "net-1.pth")
    monkeypatch.setenv("VIDPERC_WEIGHTS", str(put(tmp_path / "of_variable" / "net-1.pth").parent))
    (tmp_path / "empty").mkdir()
    with pytest.raises(VidpercError) as caught:
        weights_path(WANTED, tmp_path / "empty", otherwise=", or do without")
    told = str(caught.value)
    assert told == (
        f"{tmp_path / 'empty' / 'net-1.pth'}: not found, and net needs it; fetch https://example.org/files/net-1.pth "
        "and put it there, or name another folder, or do without"
    )
    with pytest.raises(VidpercError, match=r"absent: no such file or folder of weights for net; check the path"):
        weights_path(WANTED, tmp_path / "absent")


def test_the_variable_comes_before_downloads_and_downloads_before_a_network(downloads, tmp_path, monkeypatch):
    here = put(downloads / "net-1.pth")
    assert weights_path(WANTED) == here
    monkeypatch.setenv("VIDPERC_WEIGHTS", str(tmp_path / "of_variable"))
    assert weights_path(WANTED) == here
    there = put(tmp_path / "of_variable" / "other" / "net.fp16.pth")
    assert weights_path(WANTED) == there


@pytest.mark.parametrize("announced", [len(CONTENT), None])
def test_what_is_fetched_is_checked_kept_and_told(answers, announced, caplog):
    folder = answers(CONTENT, announced)
    said: list[tuple[int, int]] = []
    path = weights_path(WANTED, said=lambda here, of: said.append((here, of)))
    assert path == folder / "net-1.pth" and path.read_bytes() == CONTENT
    assert list(folder.iterdir()) == [path]
    assert said[-1] == (len(CONTENT), announced or 0)
    assert "fetching the weights of net, once: https://example.org/files/net-1.pth" in caplog.text


@pytest.mark.parametrize(
    ("content", "announced", "told"),
    [
        (b"other", 5, "invalid hash value"),
        (CONTENT[:-1], len(CONTENT), f"it broke off after {len(CONTENT) - 1} of {len(CONTENT)} bytes"),
        (urllib.error.URLError("no route to host"), None, "no route to host"),
        (TimeoutError(), None, "TimeoutError"),
    ],
)
def test_what_is_not_whole_is_not_kept(answers, content, announced, told):
    folder = answers(content, announced)
    with pytest.raises(VidpercError) as caught:
        weights_path(WANTED)
    message = str(caught.value)
    assert message.startswith("net: its weights are not here and could not be fetched (") and told in message
    assert f"put it at {folder / 'net-1.pth'}, or into the folder that VIDPERC_WEIGHTS names" in message
    assert not list(folder.iterdir())


def test_torchvisions_names_end_with_what_their_digest_begins_with():
    found = torchvision_weights("vgg16", "https://download.pytorch.org/models/vgg16-397923af.pth")
    assert (found.name, found.sha256) == ("vgg16-397923af.pth", "397923af")
