"""Following the files of a run: nothing twice, nothing lost, nothing that a flood could make expensive."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hive_runner.contract import RunEvent
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hive.progress import LINE_BYTES, READ_BYTES, EventTail, tail_log


def event(step: int) -> bytes:
    return RunEvent("progress", 1.0, "train", step, 100, {"loss": 0.5}).line().encode()


def append(path: Path, content: bytes) -> None:
    with open(path, "ab", buffering=0) as file:
        file.write(content)


def everything(folder: Path, lines: int | None = None) -> list[str]:
    return list(tail_log(folder, lines, False, lambda: True))


# Events


def test_each_event_once_however_it_is_torn(tmp_path: Path) -> None:
    tail, content = EventTail(), b"".join(map(event, range(20)))
    seen = []
    for begin in range(0, len(content), 7):
        append(tmp_path / "events.jsonl", content[begin : begin + 7])
        seen += [each.step for each in tail.read(tmp_path)]
    assert seen == list(range(20))
    assert tail.read(tmp_path) == []


def test_another_folder_is_another_run(tmp_path: Path) -> None:
    tail = EventTail()
    for name in ("1", "2"):
        (tmp_path / name).mkdir()
        append(tmp_path / name / "events.jsonl", event(int(name)) + b'{"torn')
        assert [each.step for each in tail.read(tmp_path / name)] == [int(name)]


def test_lines_that_are_no_events_are_passed_over(tmp_path: Path) -> None:
    for line in (b"\n", b"\xff\xfe\n", b"[]\n", b'{"kind": 4}\n', b"null\n", b"[" * 100_000 + b"\n"):
        append(tmp_path / "events.jsonl", line)
    append(tmp_path / "events.jsonl", event(1))
    assert [each.step for each in EventTail().read(tmp_path)] == [1]


def test_no_file_no_events(tmp_path: Path) -> None:
    assert EventTail().read(tmp_path / "nowhere") == []


def test_of_a_flood_the_last_events_are_read(tmp_path: Path) -> None:
    tail = EventTail()
    append(tmp_path / "events.jsonl", event(0) + b"x" * (5 * READ_BYTES) + b"\n" + event(1))
    assert [each.step for each in tail.read(tmp_path)] == [1]
    append(tmp_path / "events.jsonl", b"y" * (3 * READ_BYTES))  # a line without an end
    for _ in range(3):
        assert tail.read(tmp_path) == []
        assert len(tail.rest) <= 2 * READ_BYTES
    append(tmp_path / "events.jsonl", b"\n" + event(2))
    assert [each.step for each in tail.read(tmp_path)] == [2]


# Logs


def test_all_lines_or_the_last(tmp_path: Path) -> None:
    append(tmp_path / "log.1.txt", b"one\ntwo\n")
    append(tmp_path / "log.txt", b"three\nfour")
    assert everything(tmp_path) == ["one", "two", "three", "four"]
    assert everything(tmp_path, 3)[-2:] == ["three", "four"]
    assert everything(tmp_path, 0) == []


@pytest.mark.parametrize("wanted", [1, 2, 3, 9])
def test_as_many_as_asked_for(tmp_path: Path, wanted: int) -> None:
    append(tmp_path / "log.txt", b"one\ntwo\nthree")
    assert everything(tmp_path, wanted) == ["one", "two", "three"][-wanted:]


def test_a_line_over_the_edge_of_two_files_is_one(tmp_path: Path) -> None:
    append(tmp_path / "log.1.txt", b"one\ntw")
    append(tmp_path / "log.txt", b"o\n")
    assert everything(tmp_path) == ["one", "two"]


def test_no_log(tmp_path: Path) -> None:
    assert everything(tmp_path) == []


def test_a_line_without_an_end_is_cut(tmp_path: Path) -> None:
    append(tmp_path / "log.txt", b"x" * (4 * READ_BYTES))
    lines = everything(tmp_path)
    assert sum(map(len, lines)) == 4 * READ_BYTES
    assert max(map(len, lines)) <= READ_BYTES + LINE_BYTES


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(st.text(st.characters(blacklist_characters="\n\r", blacklist_categories=["Cs"]), max_size=9)), st.data()
)
def test_followed_in_pieces_every_line_comes_once(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, lines: list[str], data: st.DataObject
) -> None:
    """Also when a piece ends inside a line or a character, and when the log is replaced between two."""
    monkeypatch.setattr("hive.progress.LOOK_EVERY_S", 0)
    folder = tmp_path_factory.mktemp("log")
    content = "".join(f"{line}\n" for line in lines).encode()
    pieces: list[bytes] = []
    while content:
        length = data.draw(st.integers(1, len(content)))
        pieces.append(content[:length])
        content = content[length:]

    def write_next() -> bool:
        if not pieces:
            return True
        if (folder / "log.txt").exists() and data.draw(st.booleans()):
            os.replace(folder / "log.txt", folder / "log.1.txt")
        append(folder / "log.txt", pieces.pop(0))
        return False

    assert list(tail_log(folder, None, True, write_next)) == lines


def test_following_ends_when_the_job_is_over(tmp_path: Path) -> None:
    over = threading.Event()

    def job() -> None:
        for number in range(5):
            append(tmp_path / "log.txt", f"line {number}\n".encode())
            time.sleep(0.05)
        append(tmp_path / "log.txt", b"the end")
        over.set()

    worker = threading.Thread(target=job)
    worker.start()
    followed: Iterator[str] = tail_log(tmp_path, None, True, over.is_set)
    assert list(followed) == [*(f"line {number}" for number in range(5)), "the end"]
    worker.join()
