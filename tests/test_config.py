"""Settings: where each value comes from, and what cannot be read is named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hive.config import (
    ALIASES,
    PARSERS,
    Settings,
    load_settings,
    parse_bytes,
    parse_duration_s,
    parse_flag,
    parse_paths,
)
from hive.console import size
from hive.errors import RequestError


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [
        ("1", 1),
        (4096, 4096),
        ("500 MB", 500_000_000),
        ("4GiB", 4 << 30),
        ("4 gib", 4 << 30),
        ("1g", 1 << 30),
        ("1.5k", 1536),
        ("2TiB", 2 << 40),
        (" 7b ", 7),
        (".5MiB", 512 << 10),
    ],
)
def test_sizes(text: str | int, size_bytes: int) -> None:
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize(
    "text", ["", "MB", "four", "4 bananas", "-1GiB", "4 4", "1e9", "1..5k", "nan", "inf", "0", "0GiB", "4GiB/s"]
)
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90", 90),
        ("90s", 90),
        ("30min", 1800),
        ("30m", 1800),
        ("2h", 7200),
        ("1.5 h", 5400),
        ("250ms", 0.25),
        ("1d", 86400),
        (60, 60),
        (0.5, 0.5),
    ],
)
def test_durations(text: str | float, seconds: float) -> None:
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "min", "soon", "-5s", "0", "1h30", "nan", "inf", "infs", "2 weeks"])
def test_durations_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_duration_s(text)


@given(st.text(max_size=12))
def test_any_text_is_a_quantity_or_a_value_error(text: str) -> None:
    for parse in (parse_bytes, parse_duration_s):
        try:
            assert parse(text) >= 0
        except ValueError:
            continue


@given(st.integers(1, 1 << 50))
def test_a_printed_size_can_be_given_back(size_bytes: int) -> None:
    """A limit that was read off the screen means about the same when it is typed in."""
    assert parse_bytes(size(size_bytes)) == pytest.approx(size_bytes, rel=0.06)


@pytest.mark.parametrize(
    ("text", "flag"),
    [("1", True), ("TRUE", True), (" on ", True), ("0", False), ("no", False), ("", False), (True, True)],
)
def test_flags(text: str | bool, flag: bool) -> None:
    assert parse_flag(text) is flag


def test_a_flag_that_is_none() -> None:
    with pytest.raises(ValueError):
        parse_flag("maybe")


def test_paths() -> None:
    assert parse_paths("/a:/b::") == ("/a", "/b")
    assert parse_paths(["/a", ""]) == ("/a",)


# Where a value comes from


def test_defaults(tmp_path: Path) -> None:
    settings = load_settings(tmp_path, {})
    assert settings == Settings()
    assert settings.origins == {}


def test_the_environment_beats_the_file_beats_the_default(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('max_memory = "1GiB"\ncpus = 1\nsources = ["/a", "/b"]\n')
    settings = load_settings(tmp_path, {"HIVE_MAX_MEMORY": "2GiB"})
    assert (settings.max_memory, settings.cpus, settings.sources) == (2 << 30, 1, ("/a", "/b"))
    assert settings.origins == {
        "max_memory": "environment HIVE_MAX_MEMORY", "cpus": "config.toml", "sources": "config.toml",
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(ALIASES))
def test_the_short_names_count_and_the_long_ones_win(tmp_path: Path, name: str) -> None:
    value = {"auto_scale": "false", "gpu_enabled": "false"}.get(name, "3")
    other = {"auto_scale": "true", "gpu_enabled": "true"}.get(name, "5")
    assert load_settings(tmp_path, {ALIASES[name]: value}).origins == {name: f"environment {ALIASES[name]}"}
    both = load_settings(tmp_path, {ALIASES[name]: value, f"HIVE_{name.upper()}": other})
    assert getattr(both, name) == PARSERS[name](other)


def test_every_setting_can_be_read() -> None:
    assert set(PARSERS) == set(Settings.__annotations__) - {"origins"}


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("HIVE_MAX_RUNNERS", "many"),
        ("HIVE_MAX_RUNNERS", "0"),
        ("MAX_RUNNERS", "-1"),
        ("HIVE_CPUS", "0"),
        ("HIVE_CPUS", "1.5"),
        ("HIVE_MAX_MEMORY", "lots"),
        ("HIVE_MAX_MEMORY", "-4GiB"),
        ("HIVE_OFFLINE", "perhaps"),
        ("HIVE_AUTO_SCALE", "2"),
    ],
)
def test_a_variable_that_cannot_be_read_is_named(tmp_path: Path, variable: str, value: str) -> None:
    with pytest.raises(RequestError) as caught:
        load_settings(tmp_path, {variable: value})
    assert f"environment {variable} says {value!r}" in caught.value.why


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("max_runners = ", "config.toml"),
        ("max_runner = 4", "'max_runner'"),
        ('cpus = "two"', "config.toml says 'two'"),
        ("cpus = [2]", "config.toml says [2]"),
        ("cpus = true", "config.toml says True"),
        ("max_memory = true", "config.toml says True"),
        ("max_runners = 2.7", "config.toml says 2.7"),
        ("sources = 4", "config.toml says 4"),
        ("runner = 4", "config.toml says 4"),
        ("offline = 4", "config.toml says 4"),
        ("[cpus]\nn = 1", "config.toml says"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(RequestError) as caught:
        load_settings(tmp_path, {})
    assert told in f"{caught.value.message} {caught.value.why}"


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RequestError, match=r"config\.toml cannot be read"):
        load_settings(tmp_path, {})
