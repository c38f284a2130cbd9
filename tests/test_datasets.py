"""Data packages: fetched once, whole or not at all, from the first address that has the right bytes."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from hive import datasets
from hive.errors import NoCapacity, RequestError
from hive.model import DataPackage

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture
def server() -> Iterator[str]:
    """Serves CONTENT, cut short, made longer, of another content, and not at all; it counts what it was asked."""

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = {
                "/good": CONTENT, "/short": CONTENT[:-1], "/long": CONTENT + b"!", "/other": CONTENT[::-1],
            }.get(self.path)  # fmt: skip
            self.send_response(200 if content else 404)
            self.end_headers()
            self.wfile.write(content or b"")

        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    asked: list[str] = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as each:
        threading.Thread(target=each.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{each.server_port}"
        each.shutdown()


def package(*urls: str) -> DataPackage:
    return DataPackage("numbers", "numbers.bin", urls, f"sha256:{DIGEST}", len(CONTENT), "CC0-1.0")


def test_it_is_fetched_once_and_kept_by_its_digest(server: str, tmp_path: Path) -> None:
    wanted, said = package(f"{server}/good"), list[str]()
    assert not datasets.is_there(tmp_path, wanted)
    datasets.fetch(tmp_path, wanted, False, said.append)
    assert datasets.is_there(tmp_path, wanted)
    path = Path(datasets.source(tmp_path, wanted).path)
    assert path == tmp_path / DIGEST / "numbers.bin" and path.read_bytes() == CONTENT
    assert len(said) == 1 and "numbers.bin (1 MiB, CC0-1.0)" in said[0]
    datasets.fetch(tmp_path, wanted, True, said.append)
    assert len(said) == 1, "what is there is asked of nobody, not even offline"


@pytest.mark.parametrize(
    ("bad", "why"),
    [("/short", "it ends after 1,023,999 of 1,024,000 bytes"), ("/long", "longer than"), ("/other", "another file"),
     ("/nothing", "Not Found")],
)  # fmt: skip
def test_what_is_not_the_file_is_not_kept_and_the_next_address_is_asked(
    server: str, tmp_path: Path, bad: str, why: str
) -> None:
    with pytest.raises(RequestError, match="cannot be had") as refused:
        datasets.fetch(tmp_path, package(server + bad), False, lambda text: None)
    assert why in refused.value.why
    assert os.listdir(tmp_path / DIGEST) == [datasets.LOCK]
    datasets.fetch(tmp_path, package(server + bad, f"{server}/good"), False, lambda text: None)
    assert datasets.is_there(tmp_path, package())


def test_nobody_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be had") as refused:
        datasets.fetch(tmp_path, package("http://127.0.0.1:1/numbers.bin"), False, lambda text: None)
    assert "127.0.0.1:1: Connection refused" in refused.value.why


def test_offline_asks_nobody(server: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="offline"):
        datasets.fetch(tmp_path, package(f"{server}/good"), True, lambda text: None)


def test_a_damaged_file_is_fetched_anew(server: str, tmp_path: Path) -> None:
    wanted = package(f"{server}/good")
    datasets.fetch(tmp_path, wanted, False, lambda text: None)
    path = Path(datasets.source(tmp_path, wanted).path)
    path.write_bytes(CONTENT[::-1])
    datasets.fetch(tmp_path, wanted, False, lambda text: None)
    assert path.read_bytes() == CONTENT


def test_no_room_is_said_before_anything_is_fetched(server: str, tmp_path: Path) -> None:
    huge = DataPackage("numbers", "numbers.bin", (f"{server}/good",), f"sha256:{DIGEST}", 1 << 60, "CC0-1.0")
    with pytest.raises(NoCapacity, match="no room"):
        datasets.fetch(tmp_path, huge, False, lambda text: None)


def test_several_at_once_fetch_it_once(server: str, tmp_path: Path) -> None:
    said: list[str] = []
    wanted = package(f"{server}/good")
    threads = [
        threading.Thread(target=datasets.fetch, args=(tmp_path, wanted, False, said.append)) for _ in range(4)
    ]  # fmt: skip
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert datasets.is_there(tmp_path, wanted)
    assert sum(text.startswith("fetching") for text in said) == 1
