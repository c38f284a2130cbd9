"""What people see, made from values."""

from __future__ import annotations

from hive_runner.contract import RunEvent

from hive.console import Pace, ago, bar, duration, plain, size, sparkline, table


def test_the_rest_of_a_phase_is_told_by_the_runs_own_clock() -> None:
    pace = Pace(1000.0)
    words = [pace.words(RunEvent("progress", 1000.0 + second, "train", second, 600)) for second in range(0, 301)]
    assert words[0] == "0 ms"
    assert words[300] == "5 min, eta 5 min"


def test_the_rest_follows_a_change_of_pace() -> None:
    pace = Pace(0.0)
    for second in range(200):
        pace.words(RunEvent("progress", float(second), "train", second, 1000))
    words = [pace.words(RunEvent("progress", 200.0 + 10 * i, "train", 200 + i, 1000)) for i in range(60)]
    assert words[-1].endswith("eta 2.1 h")  # 741 steps of 10 s


def test_a_phase_without_steps_has_no_rest() -> None:
    assert Pace(0.0).words(RunEvent("progress", 30.0, "read")) == "30 s"


def test_sizes_and_times_in_words() -> None:
    assert [size(n) for n in (0, 1023, 1024, 4 << 30)] == ["0 B", "1023 B", "1.0 KiB", "4.0 GiB"]
    assert [duration(s) for s in (0.0123, 5, 89, 120, 7200)] == ["12 ms", "5 s", "89 s", "2 min", "2.0 h"]
    assert ago(10**11) == "just now"


def test_columns_line_up_and_drive_no_terminal() -> None:
    assert table(("A", "B"), [("long value", "x"), ("y", "z")]) == "A           B\nlong value  x\ny           z"
    assert plain("a\x1b[31mb\nc") == "a?[31mb?c"


def test_bars_and_curves_keep_to_their_width() -> None:
    assert [bar(share, 4) for share in (-1, 0, 0.5, 1, 7)] == ["░░░░", "░░░░", "██░░", "████", "████"]
    assert sparkline([1, 2, 3, 4, 5, 6, 7, 8], 8) == "▁▂▃▄▅▆▇█"
    assert sparkline([8, 8, 1, 1], 2) == "█▁", "each cell is a mean"
    assert sparkline([3, 3], 9) == "▁▁" and sparkline([], 9) == sparkline([1, 2], 0) == sparkline([1], -3) == ""
