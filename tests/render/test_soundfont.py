"""Finding SoundFonts, and fetching them from a server on this machine."""

from __future__ import annotations

import hashlib
import http.server
import io
import os
import tarfile
import threading

import pytest

from spartito.errors import OutputError, ParameterError
from spartito.render import soundfont
from spartito.render.soundfont import (
    SOUNDFONTS,
    SoundFontEntry,
    SoundFontError,
    default_soundfont,
    fetch_soundfont,
    find_soundfont,
    soundfont_folder,
)

FONT = b"RIFF" + (3000).to_bytes(4, "little") + b"sfbk" + bytes(range(256)) * 12  # begins like a SoundFont
SHA = hashlib.sha256(FONT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("SPARTITO_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("SPARTITO_SOUNDFONT", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return soundfont_folder()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `files`; understands ranges; breaks off after `cut` bytes once, if asked."""

    files: dict[str, bytes] = {}  # noqa: RUF012
    ranges: list[str | None] = []  # noqa: RUF012
    cut: int | None = None

    def do_GET(self):
        data = self.files.get(self.path)
        if data is None:
            self.send_error(404)
            return
        wanted = self.headers.get("Range")
        self.ranges.append(wanted)
        start = int(wanted.split("=")[1].rstrip("-")) if wanted else 0
        if start >= len(data):
            self.send_error(416)
            return
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        body = data[start:]
        if Server.cut is not None:
            body, Server.cut = body[: Server.cut], None
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    Server.files, Server.ranges, Server.cut = {}, [], None
    running = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}"
    running.shutdown()
    running.server_close()
    thread.join()


def entry(url, **changes):
    return SoundFontEntry(
        **{"file": "Small.sf2", "url": url, "sha256": SHA, "size": 0, "licence": "MIT", "author": "", **changes}
    )


def test_the_default_is_there_and_small():
    path = default_soundfont()
    assert path.suffix == ".sf2" and 1e6 < path.stat().st_size < 1e7
    assert find_soundfont(None) == path


def test_environment_and_path(tmp_path, monkeypatch):
    mine = tmp_path / "mine.sf2"
    mine.write_bytes(FONT)
    assert find_soundfont(mine) == mine
    monkeypatch.setenv("SPARTITO_SOUNDFONT", str(mine))
    assert default_soundfont() == mine
    monkeypatch.setenv("SPARTITO_SOUNDFONT", str(tmp_path / "none.sf2"))
    with pytest.raises(SoundFontError, match=r"no SoundFont .*none\.sf2"):
        default_soundfont()


def test_names_in_the_cache(cache):
    cache.mkdir(parents=True)
    (cache / "My_Piano.sf3").write_bytes(FONT)
    assert find_soundfont("my_piano") == cache / "My_Piano.sf3"


def test_what_is_not_there_says_what_to_do(monkeypatch, tmp_path):
    monkeypatch.setattr(soundfont, "SYSTEM_FOLDERS", ())
    with pytest.raises(SoundFontError, match="fetch it with  spartito soundfont MuseScore_General"):
        find_soundfont("musescore_general")
    with pytest.raises(SoundFontError, match="FluidR3_GM"):
        find_soundfont("steinway")
    (tmp_path / "a.sf2").write_text("no SoundFont")
    with pytest.raises(SoundFontError, match="is not a SoundFont"):
        find_soundfont(tmp_path / "a.sf2")


def test_the_table_is_complete():
    for name, item in SOUNDFONTS.items():
        assert item.url.startswith("https://") and len(item.sha256) == 64 and item.licence and item.size > 1e6
        assert item.file.startswith(name)


def test_fetch_by_name(server, cache, monkeypatch):
    Server.files["/Small.sf2"] = FONT
    monkeypatch.setitem(SOUNDFONTS, "Small", entry(f"{server}/Small.sf2", size=len(FONT)))
    seen = []
    path = fetch_soundfont("small", progress=lambda done, total: seen.append((done, total)))
    assert path == cache / "Small.sf2" and path.read_bytes() == FONT and seen[-1] == (len(FONT), len(FONT))
    assert os.listdir(cache) == ["Small.sf2"]
    assert fetch_soundfont("Small") == path and len(Server.ranges) == 1  # the second time nothing is fetched
    assert find_soundfont("small") == path


def test_fetch_out_of_an_archive(server, cache, monkeypatch):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, data in (("set/README", b"read me"), ("set/Small.sf2", FONT)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    Server.files["/set.tar.gz"] = packed.getvalue()
    monkeypatch.setitem(SOUNDFONTS, "Small", entry(f"{server}/set.tar.gz", member="set/Small.sf2"))
    assert fetch_soundfont("Small").read_bytes() == FONT
    assert os.listdir(cache) == ["Small.sf2"]
    monkeypatch.setitem(SOUNDFONTS, "Other", entry(f"{server}/set.tar.gz", file="Other.sf2", member="set/none"))
    with pytest.raises(SoundFontError, match=r"archive .* damaged"):
        fetch_soundfont("Other")
    assert os.listdir(cache) == ["Small.sf2"]


def test_a_broken_connection_is_resumed(server, cache):
    Server.files["/Small.sf2"], Server.cut = FONT, 1000
    with pytest.raises(SoundFontError, match="broke after 1000 of"):
        fetch_soundfont(f"{server}/Small.sf2", sha256=SHA)
    assert os.listdir(cache) == ["Small.sf2.part"]
    path = fetch_soundfont(f"{server}/Small.sf2", sha256=SHA.upper())
    assert path.read_bytes() == FONT and Server.ranges == [None, "bytes=1000-"]
    assert os.listdir(cache) == ["Small.sf2"]


def test_a_complete_part_needs_no_more_bytes(server, cache):
    Server.files["/Small.sf2"] = FONT
    cache.mkdir(parents=True)
    (cache / "Small.sf2.part").write_bytes(FONT)
    assert fetch_soundfont(f"{server}/Small.sf2", sha256=SHA).read_bytes() == FONT


def test_a_wrong_checksum_is_thrown_away(server, cache):
    Server.files["/Small.sf2"] = FONT + b"x"
    with pytest.raises(SoundFontError, match="is not the SoundFont it should be"):
        fetch_soundfont(f"{server}/Small.sf2", sha256=SHA)
    assert os.listdir(cache) == []


def test_offline_and_missing_pages(server, cache):
    with pytest.raises(SoundFontError, match="404"):
        fetch_soundfont(f"{server}/none.sf2", sha256=SHA)
    with pytest.raises(SoundFontError, match=r"no connection .*Try again when online"):
        fetch_soundfont("http://127.0.0.1:9/Small.sf2", sha256=SHA)
    assert os.listdir(cache) == []


@pytest.mark.parametrize(
    ("name", "sha256", "words"),
    [
        ("steinway", "", "FluidR3_GM"),
        ("https://example.org/a.sf2", "", "needs its SHA-256"),
        ("https://example.org/a.sf2", "xyz", "needs its SHA-256"),
        ("https://example.org/a.zip", SHA, "does not end like a SoundFont"),
        ("file:///a.sf2", SHA, "https address"),
    ],
)
def test_what_cannot_be_fetched(name, sha256, words):
    with pytest.raises(ParameterError, match=words):
        fetch_soundfont(name, sha256=sha256)


def test_a_folder_that_cannot_be_made(tmp_path, server):
    (tmp_path / "file").write_text("")
    Server.files["/Small.sf2"] = FONT
    with pytest.raises(OutputError):
        fetch_soundfont(f"{server}/Small.sf2", sha256=SHA, folder=tmp_path / "file")
