"""What people see: tables, errors, sizes, times, the display of a running build. rich is imported where it shows."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from hive.errors import HiveError
from hive.model import ASPECTS, Isolation
from hive.pace import Pace

if TYPE_CHECKING:
    from hive_runner.contract import RunEvent

    from hive.model import Happening, Job, MachineUse, RunnerUse


SPARKS = "▁▂▃▄▅▆▇█"


def wants_json() -> bool:
    return "--json" in sys.argv


def say(text: str) -> None:
    """A line for the person, beside the data."""
    print(text, file=sys.stderr, flush=True)


def plain(text: str) -> str:
    """Text of a recipe or a file name without control characters: it must not drive the terminal."""
    return "".join(c if c.isprintable() or c == "\t" else "?" for c in text)


def render_error(error: HiveError, as_json: bool = False) -> str:
    if as_json:
        import json

        facts = {"message": error.message, "why": error.why, "hint": error.hint, "exit_code": error.exit_code}
        return json.dumps({"error": facts})
    lines = [f"error: {error.message}"]
    if error.why:
        lines.append(f"  why: {error.why}")
    if error.hint:
        lines.append(f"  try: {error.hint}")
    return "\n".join(plain(line) for part in lines for line in part.split("\n"))


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Aligned columns, two spaces apart."""
    cells = [list(headers), *([plain(str(value)) for value in row] for row in rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(headers))]
    return "\n".join("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in cells)


def cut(text: str) -> str:
    """Lines no wider than the terminal that stdout is; whole lines where it is none."""
    try:
        columns = os.get_terminal_size(sys.stdout.fileno()).columns
    except (OSError, ValueError):
        return text
    wide = columns or 80
    return "\n".join(line if len(line) <= wide else f"{line[: wide - 1]}…" for line in text.split("\n"))


def size(size_bytes: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024:
            return f"{size_bytes:.0f} {unit}" if unit == "B" or size_bytes >= 100 else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    return f"{size_bytes:.1f} TiB"


def duration(seconds: float) -> str:
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def ago(at: float) -> str:
    passed = max(0.0, time.time() - at)
    if passed < 2 * 86400:
        return f"{duration(passed)} ago" if passed >= 1 else "just now"
    return time.strftime("%Y-%m-%d", time.localtime(at))


def stamp(at: float | None) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at)) if at else ""


def short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:12]


def figure(value: float) -> str:
    return f"{value:.4g}"


def bar(share: float, cells: int) -> str:
    """share: from 0 to 1."""
    filled = round(min(max(share, 0.0), 1.0) * cells)
    return "█" * filled + "░" * (cells - filled)


def sparkline(values: Sequence[float], cells: int) -> str:
    """The course of some figures, at most `cells` wide: where there are more, each cell is the mean of its share."""
    cells = max(0, min(cells, len(values)))
    ends = [len(values) * i // cells for i in range(cells + 1)] if cells else []
    means = [sum(values[a:b]) / (b - a) for a, b in pairwise(ends)]
    low, high = min(means, default=0.0), max(means, default=0.0)
    return "".join(SPARKS[int((mean - low) / ((high - low) or 1.0) * (len(SPARKS) - 1))] for mean in means)


ENFORCED = {"yes": "enforced", "watched": "watched", "no": "not"}


def isolation_table(levels: Iterable[tuple[str, Isolation]]) -> str:
    """What holds a run, a line each: (label, isolation)."""
    rows = [(label, i.level, *(ENFORCED[getattr(i, aspect)] for aspect in ASPECTS)) for label, i in levels]
    return table(("RUNNER", "LEVEL", *(aspect.upper() for aspect in ASPECTS)), rows)


def metrics_table(metrics: list[dict[str, Any]]) -> str:
    """Metric, value with spread, what it was measured on, and what a user would otherwise run."""
    rows = []
    for metric in metrics:
        spread = f" ± {figure(metric['spread'])}" if metric.get("spread") is not None else ""
        arrow = "↑" if metric.get("better") == "higher" else "↓"
        baselines = ", ".join(f"{name} {figure(value)}" for name, value in metric.get("baselines", {}).items())
        unit = f" {metric['unit']}" if metric.get("unit") else ""
        rows.append((f"{metric['name']} {arrow}", f"{figure(metric['value'])}{unit}{spread}", baselines or "-",
                     metric.get("dataset", "")))  # fmt: skip
    return table(("METRIC", "VALUE", "BASELINES", "MEASURED ON"), rows)


class BuildDisplay:
    """Shows a job's run: a live bar on a terminal, a line a phase elsewhere, nothing when quiet."""

    def __init__(self, quiet: bool = False, title: str = "") -> None:
        self.quiet = quiet
        self.title = title
        self.live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not quiet
        self._progress: Any = None
        self._task: Any = None
        self._told = False
        self._phase = ""
        self._phase_began = 0.0
        self._pace = Pace()
        self._last: RunEvent | None = None

    def __enter__(self) -> BuildDisplay:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def close(self, finished: bool = True) -> None:
        """Take the bar away. finished: the phase is over too, and its figures can be told."""
        if finished:
            self._end_phase()
        if self._progress is not None:
            self._progress.stop()
        self._progress, self._task, self._last, self._phase = None, None, None, ""

    def state(self, job: Job) -> None:
        """The job changed state."""
        if self.quiet:
            return
        if job.state == "queued" and job.failure and job.not_before > time.time():
            self._line(f"{job.name}: {job.failure.message}; another try in {duration(job.not_before - time.time())}")
        elif job.state == "queued":
            self._line(f"{job.name}: queued as job {job.id}")
        elif job.state == "running" and not self._told:
            self._line(f"{job.name}: job {job.id} is building it already, following")
        elif job.state == "running" and job.attempt > 1:
            self._line(f"{job.name}: attempt {job.attempt}")
        self._told = True

    def waits(self, reason: str) -> None:
        """The job has to wait, and why."""
        if not self.quiet:
            self._line(f"{self.title}: waits: {reason}")

    def event(self, event: RunEvent) -> None:
        if self.quiet:
            return
        if event.kind == "log":
            self._line(f"  {plain(event.message)}")
            return
        self._pace.take(event)
        if event.kind not in ("phase", "progress"):
            return
        if event.phase != self._phase:
            self._end_phase(event.at)
            self._phase, self._phase_began = event.phase, event.at
            if not self.live:
                self._line(f"{self.title}: {plain(event.phase)}" + (f" (of {event.total:,})" if event.total else ""))
        if event.kind == "progress":
            self._last = event
        if self.live:
            self._draw(event)

    def _draw(self, event: RunEvent) -> None:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

            self._progress = Progress(
                SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=24),
                TextColumn("{task.fields[steps]}"), TextColumn("[cyan]{task.fields[figures]}"),
                TextColumn("{task.fields[times]}"), console=Console(stderr=True), transient=True,
            )  # fmt: skip
            self._progress.start()
        if self._task is None:
            self._task = self._progress.add_task("", total=None, steps="", figures="", times="")
        figures = " ".join(f"{plain(name)} {figure(value)}" for name, value in list(event.metrics.items())[:3])
        self._progress.update(
            self._task, description=f"{self.title} [bold]{plain(event.phase) or 'starting'}[/]", completed=event.step,
            total=event.total or None, steps=f"{event.step}/{event.total}" if event.total else "", figures=figures,
            times=self._times(event),
        )  # fmt: skip

    def _times(self, event: RunEvent) -> str:
        """Such as "4 min, eta 13 min"."""
        taken, left_s = duration(event.at - self._phase_began), self._pace.left_s(event.total)
        return taken if left_s is None else f"{taken}, eta {duration(left_s)}"

    def _end_phase(self, at: float | None = None) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        if self._last is not None and self._phase:
            figures = " ".join(f"{plain(name)} {figure(value)}" for name, value in self._last.metrics.items())
            took = duration((at or self._last.at) - self._phase_began)
            self._line(f"  {plain(self._phase)} took {took}" + (f": {figures}" if figures else ""))
        self._last, self._phase = None, ""

    def _line(self, text: str) -> None:
        if self._progress is not None:
            self._progress.console.print(text, markup=False, highlight=False)
        else:
            say(text)


def machine_words(use: MachineUse) -> str:
    """Such as "2 cores (load 1.2), memory 3.1 GiB of 15.6 GiB used, disk 40.0 GiB of 99.0 GiB free, no GPU"."""
    return (
        f"{use.cores} cores (load {use.load[0]:.1f}), "
        f"memory {size(use.memory_used_bytes)} of {size(use.memory_bytes)} used, "
        f"disk {size(use.disk_free_bytes)} of {size(use.disk_bytes)} free, {plain(use.gpu) or 'no GPU'}"
    )


def runner_cells(each: RunnerUse) -> tuple[str, ...]:
    """Runner, model, phase, step, time left, CPU and memory; "-" for what is not known."""
    steps = f"{each.step:,}/{each.total:,}" if each.total else f"{each.step:,}" if each.step else "-"
    return (
        each.id,
        each.job.name,
        plain(each.phase) or "starting",
        steps,
        duration(each.eta_s) if each.eta_s is not None else "-",
        f"{each.cpu_percent:.0f} %" if each.cpu_percent is not None else "-",
        size(each.memory_bytes) if each.memory_bytes is not None else "-",
    )


EVENT_WORDS = {
    "enqueue": "was queued",
    "join": "was asked for again",
    "claim": "started",
    "retry": "will be tried again",
    "succeed": "was installed",
    "fail": "failed",
    "cancel": "was cancelled",
    "requeue": "was queued again",
    "move": "has priority",
}


def event_words(event: Happening) -> str:
    """Such as "tiny (job 3) failed: it ran longer than its time limit"."""
    words = f"{event.name} (job {event.job_id}) {EVENT_WORDS.get(event.event, event.event)}"
    if event.event == "claim" and event.attempt > 1:
        words += f", attempt {event.attempt}"
    if event.event == "move":
        return f"{words} {event.detail}"
    telling = event.detail and event.event not in ("enqueue", "join", "cancel")
    return plain(f"{words}: {event.detail}" if telling else words)
