"""What people see, made from values."""

from __future__ import annotations

from hive.console import ago, bar, duration, plain, size, sparkline, table


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
