"""The cache of weights: fetched once, checked, never half there, never downloaded unasked."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from napari_wsss.errors import Cancelled, MissingModel, UsageError, WsssError
from napari_wsss.models import catalogue, store

CONTENT = b"weights" * 1000
HASH = hashlib.sha256(CONTENT).hexdigest()

COMMON = (
    'architecture = "x/y"\ntask = "backbone"\nsize = 7000\nlicence = "CC0-1.0"\ngood_for = "tests"\ninput = "RGB"\n'
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A web server on this machine that serves the folder ``served``."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "good.bin").write_bytes(CONTENT)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            """Say nothing."""

    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()
    thread.join()


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str) -> Iterator[Path]:
    """A catalogue of small models and an empty cache; returns the cache's folder."""
    known = {
        "good": f'file = "good.bin"\nurl = "{server}/good.bin"\nsha256 = "{HASH}"',
        "prefix": f'file = "prefix.bin"\nurl = "{server}/good.bin"\nsha256 = "{HASH[:8]}"',
        "unknown": f'file = "unknown.bin"\nurl = "{server}/good.bin"',
        "offline": f'file = "offline.bin"\nsha256 = "{HASH}"\nobtain = "ask its author"',
        "gone": f'file = "gone.bin"\nurl = "{server}/none.bin"\nmirror = "{server}/good.bin"\nsha256 = "{HASH}"',
        "nowhere": f'file = "nowhere.bin"\nurl = "{server}/none.bin"\nsha256 = "{HASH}"',
        "wrong": f'file = "wrong.bin"\nurl = "{server}/good.bin"\nsha256 = "{"0" * 64}"',
    }
    toml = tmp_path / "models.toml"
    toml.write_text("\n".join(f"[{name}]\n{COMMON}{body}" for name, body in known.items()))
    monkeypatch.setattr(catalogue, "resource", lambda *_: toml)
    monkeypatch.setenv("NAPARI_WSSS_HOME", str(tmp_path / "home"))
    catalogue.entries.cache_clear()
    yield tmp_path / "home" / "models"
    catalogue.entries.cache_clear()


def test_nothing_is_downloaded_unasked(models: Path) -> None:
    for name in ("good", "unknown"):
        with pytest.raises(MissingModel, match=f"napari-wsss models fetch {name}"):
            store.path(name)
        with pytest.raises(MissingModel):
            store.resolve(name)
        assert store.verify(name).status == "absent"
    assert all(not row.present for row in store.listing())
    assert not models.exists()


def test_a_download_is_checked_and_kept(models: Path) -> None:
    seen: list[tuple[int, int]] = []
    verdict = store.fetch("good", progress=lambda done, total, what: seen.append((done, total)))
    assert verdict.status == "ok"
    assert seen[-1][0] == len(CONTENT)
    assert store.path("good").read_bytes() == CONTENT
    assert store.resolve("good") == (store.path("good"), HASH)
    assert [r.entry.name for r in store.listing() if r.present] == ["good"]


def test_the_mirror_serves_where_the_address_does_not(models: Path) -> None:
    assert store.fetch("gone").status == "ok"


def test_no_connection_is_one_line_with_the_remedy(models: Path) -> None:
    with pytest.raises(WsssError, match="napari-wsss models fetch nowhere --from FILE") as error:
        store.fetch("nowhere")
    assert "\n" not in str(error.value)
    assert list(models.iterdir()) == []


def test_a_model_without_address_comes_from_a_file(models: Path, tmp_path: Path) -> None:
    with pytest.raises(WsssError, match="ask its author"):
        store.fetch("offline")
    with pytest.raises(MissingModel, match="--from FILE"):
        store.path("offline")
    source = tmp_path / "mine"
    source.write_bytes(CONTENT)
    assert store.fetch("offline", source).status == "ok"
    assert source.exists()


@pytest.mark.parametrize("name", ["good", "prefix"])
def test_a_wrong_file_is_refused_with_both_hashes(models: Path, tmp_path: Path, name: str) -> None:
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    with pytest.raises(WsssError) as error:
        store.fetch(name, other)
    message = str(error.value)
    assert hashlib.sha256(b"something else").hexdigest() in message
    assert catalogue.entry(name).sha256 in message
    assert "\n" not in message
    assert list(models.iterdir()) == []


def test_a_wrong_download_is_refused(models: Path) -> None:
    with pytest.raises(WsssError, match="refused"):
        store.fetch("wrong")
    assert list(models.iterdir()) == []


def test_a_refused_file_leaves_the_good_one(models: Path, tmp_path: Path) -> None:
    store.fetch("good")
    other = tmp_path / "other"
    other.write_bytes(b"something else")
    with pytest.raises(WsssError):
        store.fetch("good", other)
    assert store.verify("good").status == "ok"


def test_what_cannot_be_verified_says_so_always(models: Path) -> None:
    row = next(r for r in store.listing() if r.entry.name == "unknown")
    assert "cannot be verified" in row.entry.checksum
    fetched = store.fetch("unknown")
    again = store.verify("unknown")
    assert fetched.status == again.status == "unverifiable"
    assert "cannot be verified" in again.detail
    assert again.found == HASH
    store.path("unknown").write_bytes(b"tampered with")
    assert store.verify("unknown").status == "wrong"


def test_a_published_prefix_says_that_it_is_one(models: Path) -> None:
    verdict = store.fetch("prefix")
    assert verdict.status == "ok"
    assert "first 8 digits" in verdict.detail


def test_a_damaged_cache_is_found_and_not_used(models: Path) -> None:
    store.fetch("good")
    store.path("good").write_bytes(b"damaged")
    assert store.verify("good").status == "wrong"
    with pytest.raises(WsssError, match="get it again with: napari-wsss models fetch good"):
        store.resolve("good")


def test_an_unchanged_file_is_not_hashed_again(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store.fetch("good")
    monkeypatch.setattr(store, "file_hash", lambda path: pytest.fail(f"{path} was read again"))
    assert store.resolve("good")[1] == HASH


def test_a_damaged_note_is_no_harm(models: Path) -> None:
    store.fetch("good")
    for text in ("", "nonsense", f"{'0' * 64} x y"):
        (models / "good.bin.sha256").write_text(text)
        assert store.resolve("good")[1] == HASH


def test_cancelling_leaves_nothing(models: Path, tmp_path: Path) -> None:
    def stop(done: int, total: int, what: str) -> None:
        raise Cancelled("stopped")

    source = tmp_path / "mine"
    source.write_bytes(CONTENT)
    for file in (None, source):
        with pytest.raises(Cancelled):
            store.fetch("good", file, stop)
    assert list(models.iterdir()) == []


def test_a_path_is_a_model_too(models: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.pt"
    mine.write_bytes(CONTENT)
    assert store.resolve(mine) == (mine, HASH)
    with pytest.raises(UsageError, match="no such file"):
        store.resolve(tmp_path / "none.pt")
    with pytest.raises(UsageError, match="models are: good"):
        store.resolve("goood")
    with pytest.raises(UsageError):
        store.fetch("goood")


def test_an_absent_source_is_one_line(models: Path, tmp_path: Path) -> None:
    with pytest.raises(WsssError, match="cannot be copied"):
        store.fetch("good", tmp_path / "none")
    assert list(models.iterdir()) == []


def test_a_cache_that_cannot_be_written_is_one_line(models: Path, tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file, not a folder")
    with pytest.raises(WsssError, match="cannot be written"):
        store.fetch("good")
