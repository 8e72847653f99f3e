"""Inputs from the net: only on request, only by http and https, and nothing of them stays."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.clips import ffprobe_times, make_clip


class Server(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, and a few answers that go wrong."""

    def do_GET(self):
        path, _, _ = self.path.partition("?")
        if path == "/moved.mp4":
            self.answer(302, location="/in.mp4")
        elif path == "/elsewhere.mp4":
            self.answer(302, location=f"file://{self.directory}/in.mp4")
        elif path == "/broken.mp4":
            self.answer(200, length=100_000, content=b"x" * 5000)
        elif path == "/nothing.mp4":
            self.answer(200, length=0)
        else:
            super().do_GET()

    def answer(self, code, *, location=None, length=0, content=b""):
        self.send_response(code)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def address(tmp_path):
    (tmp_path / "served").mkdir()
    handler = functools.partial(Server, directory=str(tmp_path / "served"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def vidperc(folder, *arguments):
    environment = {key: value for key, value in os.environ.items() if not key.lower().endswith("_proxy")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "vidperc", "upscale", *arguments, "-m", "bicubic", "--no-progress"]
    run = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
    return run.returncode, run.stderr.splitlines()


@pytest.mark.parametrize("name", ["in.mp4", "in.mp4?a=b//c", "moved.mp4"])
def test_an_address_is_enlarged_and_its_copy_is_gone(name, address, tmp_path):
    source = make_clip(tmp_path / "served" / "in.mp4", frames=6)
    (tmp_path / "work").mkdir()
    code, said = vidperc(tmp_path / "work", f"{address}/{name}", "--allow-url")
    assert code == 0, said
    made = "moved_x2.mp4" if name.startswith("moved") else "in_x2.mp4"
    assert f"{address}/{name} was kept in this file" in said[0]
    assert "cannot be resumed" in said[0]
    assert [path.name for path in (tmp_path / "work").iterdir()] == [made]
    assert ffprobe_times(tmp_path / "work" / made) == ffprobe_times(source)
    code, said = vidperc(tmp_path / "work", f"{address}/{name}", "--allow-url", "-o", "named.mkv")
    assert code == 0, said
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == sorted([made, "named.mkv"])


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("absent.mp4", "the server answers 404"),
        ("broken.mp4", "broke off after 5000 of 100000 bytes"),
        ("nothing.mp4", "gave nothing, wanted a video"),
        ("elsewhere.mp4", "the server answers 302"),
        ("list.m3u8", "not a video that can be read"),
    ],
)
def test_what_an_address_cannot_give_is_refused_in_one_line(name, told, address, tmp_path):
    make_clip(tmp_path / "served" / "in.mp4", frames=6)
    (tmp_path / "served" / "list.m3u8").write_text(f"#EXTM3U\n#EXTINF:1,\n{address}/in.mp4\n#EXT-X-ENDLIST\n")
    (tmp_path / "work").mkdir()
    code, said = vidperc(tmp_path / "work", f"{address}/{name}", "--allow-url")
    assert code == 1
    assert told in said[-1]
    assert list((tmp_path / "work").iterdir()) == []


@pytest.mark.parametrize("scheme", ["ftp://127.0.0.1/", "file:///etc/", "concat://a|", "rtmp://127.0.0.1/"])
def test_other_schemes_stay_closed(scheme, tmp_path):
    code, said = vidperc(tmp_path, f"{scheme}in.mp4", "--allow-url")
    assert (code, len(said)) == (1, 1)
    assert "--allow-url opens http and https only" in said[0]


def test_without_the_flag_nothing_is_fetched(address, tmp_path):
    make_clip(tmp_path / "served" / "in.mp4", frames=6)
    (tmp_path / "work").mkdir()
    code, said = vidperc(tmp_path / "work", f"{address}/in.mp4")
    assert (code, len(said)) == (1, 1)
    assert "addresses are not read without --allow-url" in said[0]
    assert list((tmp_path / "work").iterdir()) == []


def test_a_server_that_is_not_there_is_one_line(tmp_path):
    code, said = vidperc(tmp_path, "http://127.0.0.1:9/in.mp4", "--allow-url")
    assert (code, len(said)) == (1, 1)
    assert "cannot be fetched" in said[0]
