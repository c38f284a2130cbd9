"""The terminal dashboard. `View` is what a person has chosen to see, `press` what a key makes of it, `draw` the screen;
`watch` holds the terminal and carries out what keys ask for. Only `watch` knows of a terminal.
"""

from __future__ import annotations

import os
import re
import select
import signal
import sys
import termios
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, TypeVar

from hive_runner.frozen import frozen, replace
from rich.cells import set_cell_size
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from hive.console import bar, duration, event_words, figure, plain, runner_cells, size, sparkline
from hive.errors import HiveError
from hive.model import PRIORITIES, Job, RunnerUse, Snapshot
from hive.service import Hive

if TYPE_CHECKING:
    from hive.progress import LogTail

T = TypeVar("T")
REFRESH_S = 0.5
TOLD_S = 6.0  # how long an answer stays on the screen
LOG_LINES = 5000  # kept of a log that is followed
SMALLEST = (40, 12)  # columns, lines
WIDE = 110  # columns, from which on there is room for longer words
ROOMY_LINES = 20  # from here on there are lines to spare
TODAY_S = 12 * 3600.0  # for so long the time of day tells when something happened
LITTLE_DISK_BYTES = 5 << 30
SEQUENCE_S = 0.05  # how long the rest of a key's sequence may take

TYPED = re.compile(rb"\x1b\[[0-9;]*[A-Za-z~]|\x1bO.|\x1b|[\xc0-\xff][\x80-\xbf]*|.", re.DOTALL)
PARTIAL = re.compile(rb"\x1b(\[[0-9;]*|O)?$")
KEYS = {
    b"\x1b[A": "up", b"\x1bOA": "up", b"\x1b[B": "down", b"\x1bOB": "down", b"\x1b[5~": "page up",
    b"\x1b[6~": "page down", b"\x1b[H": "home", b"\x1b[F": "end", b"\r": "enter", b"\n": "enter", b"\x04": "q",
    b"\x1b": "escape",
}  # fmt: skip

HELP = (
    ("up down, k j", "select a job"),
    ("c", "cancel it (asks first)"),
    ("+ -", "give a waiting job a higher, a lower priority"),
    ("l, Enter", "follow its log; up and down scroll, q comes back"),
    ("p", "pause the queue, or go on: what runs is not disturbed"),
    ("?", "this page"),
    ("q, Ctrl-C", "leave; builds go on"),
)


# -- what is chosen, and what a key makes of it


@frozen
class View:
    """What a person has chosen to see."""

    page: str = "queue"  # "queue" | "log" | "help"
    selected: int | None = None  # a job; None: the first
    asking: int | None = None  # the job whose end waits for y or n
    scrolled: int = 0  # lines up from the end of the log
    over: bool = False


@frozen
class Action:
    """What a key asks the service for."""

    verb: str  # "cancel" | "move" | "pause" | "resume"
    job_id: int = 0
    priority: str = ""


def listed(now: Snapshot) -> list[Job]:
    """The jobs that can be selected, from top to bottom."""
    return [*(each.job for each in now.runners), *now.waiting]


def chosen(view: View, now: Snapshot) -> Job | None:
    """The selected job; where it is gone, the first."""
    jobs = listed(now)
    return next((job for job in jobs if job.id == view.selected), jobs[0] if jobs else None)


def press(view: View, key: str, now: Snapshot, page_lines: int = 20) -> tuple[View, Action | None]:
    """What a key makes of a view, and what it asks for."""
    if view.asking is not None:
        return replace(view, asking=None), Action("cancel", view.asking) if key in ("y", "Y") else None
    if view.page == "help":
        return replace(view, page="queue"), None
    if view.page == "log":
        return _press_in_log(view, key, page_lines), None
    job = chosen(view, now)
    if key in ("q", "Q"):
        return replace(view, over=True), None
    if key == "?":
        return replace(view, page="help"), None
    if key == "p":
        return view, Action("resume" if now.control.hold else "pause")
    if job is None:
        return view, None
    steps = {"up": -1, "k": -1, "down": 1, "j": 1, "page up": -10, "page down": 10, "home": -(10**6), "end": 10**6}
    if key in steps:
        ids = [each.id for each in listed(now)]
        place = min(max(ids.index(job.id) + steps[key], 0), len(ids) - 1)
        return replace(view, selected=ids[place]), None
    if key in ("l", "enter"):
        return replace(view, page="log", selected=job.id, scrolled=0), None
    if key == "c":
        return replace(view, asking=job.id, selected=job.id), None
    if key in ("+", "=", "-") and any(job is each for each in now.waiting):
        names = list(PRIORITIES)  # the highest first
        place = names.index(job.priority_name) + (1 if key == "-" else -1)
        if 0 <= place < len(names):
            return replace(view, selected=job.id), Action("move", job.id, names[place])
    return view, None


def _press_in_log(view: View, key: str, page_lines: int) -> View:
    if key in ("q", "Q", "l", "escape"):
        return replace(view, page="queue")
    up = {"up": 1, "k": 1, "down": -1, "j": -1, "page up": page_lines, "page down": -page_lines, "home": LOG_LINES}
    if key in ("end", "G"):
        return replace(view, scrolled=0)
    return replace(view, scrolled=min(max(view.scrolled + up.get(key, 0), 0), LOG_LINES))


def perform(hive: Hive, action: Action) -> str:
    """Do what a key asked for; what to tell of it."""
    try:
        if action.verb == "cancel":
            job = hive.cancel(action.job_id)
            return f"job {job.id} ({job.name}) is cancelled"
        if action.verb == "move":
            job = hive.move(action.job_id, action.priority)
            return f"job {job.id} ({job.name}) has priority {job.priority_name}"
        if action.verb == "pause":
            hive.pause()
            return "paused: what runs goes on, nothing more is started"
        hive.resume()
        return "the queue goes on"
    except HiveError as error:
        return plain(f"{error.message}: {error.why}" if error.why else error.message)


# -- drawing


def draw(view: View, now: Snapshot, width: int, height: int, log: Sequence[str] = (), told: str = "") -> list[Text]:
    """The screen: `height` lines of at most `width` cells. log: of the selected job. told: an answer to a key."""
    if width < SMALLEST[0] or height < SMALLEST[1]:
        return [Text("too small for hive monitor"[:width])] + [Text()] * (height - 1)
    if view.page == "help":
        lines, footer = _help_lines(), Text("any key: back", "dim")
    elif view.page == "log":
        lines, footer = _log_lines(view, now, height - 1, log), Text("up down scroll   end follow   q back", "dim")
    else:
        lines, footer = _queue_lines(view, now, width, height - 1), _footer(view, now, told)
    page = [*lines, *([Text()] * height)][: height - 1]
    for line in (*page, footer):
        line.truncate(width)
    return [*page, footer]


def _help_lines() -> list[Text]:
    return [Text("keys", "bold"), Text(), *(Text.assemble((f"  {keys:14}", "cyan"), words) for keys, words in HELP)]


def _footer(view: View, now: Snapshot, told: str) -> Text:
    if view.asking is not None:
        name = next((job.name for job in listed(now) if job.id == view.asking), "")
        return Text(f" cancel job {view.asking} ({name})? y/n ", "bold reverse")
    if told:
        return Text(told, "bold")
    pause = "p go on" if now.control.hold else "p pause"
    return Text(f"up down select   c cancel   + - priority   l log   {pause}   ? help   q quit", "dim")


def _queue_lines(view: View, now: Snapshot, width: int, height: int) -> list[Text]:
    """Runners, what waits, and what happened, each with a share of the height; runners are the last to give way."""
    selected = chosen(view, now)
    place = next((i for i, job in enumerate(listed(now)) if job is selected), 0)
    events = [Text(f"  {_when(event.at, now.at)}  {event_words(event)}") for event in now.happenings]
    head = _head(now, width)
    blank = [Text()] if height >= ROOMY_LINES else []
    room = max(3, height - len(head) - 3 - 4 * len(blank))  # for the rows: each part has a title
    least = 3 if blank else 1
    least_waiting, least_events = max(1, min(least, len(now.waiting))), max(1, min(least, len(events)))
    for_runners = max(1, min(len(now.runners), room - least_waiting - least_events))
    for_waiting = max(1, min(len(now.waiting), room - for_runners - least_events))
    for_events = max(1, room - for_runners - for_waiting)
    runners = [_runner_line(each, each.job is selected, width) for each in _window(now.runners, for_runners, place)]
    waiting = [
        _waiting_line(job, job is selected, now, width)
        for job in _window(now.waiting, for_waiting, place - len(now.runners))
    ]
    return [
        *head,
        *blank,
        _title(RUNNER_TITLES, _runner_widths(width)),
        *(runners or [Text("  nothing runs", "dim")]),
        *blank,
        _title(WAITING_TITLES, _waiting_widths(width)),
        *(waiting or [Text("  nothing waits", "dim")]),
        *blank,
        Text("  EVENTS", "bold cyan"),
        *(events[:for_events] or [Text("  nothing has happened yet: hive install NAME", "dim")]),
    ]


def _when(at: float, now: float) -> str:
    return time.strftime("%H:%M:%S" if now - at < TODAY_S else "%Y-%m-%d", time.localtime(at))


def _head(now: Snapshot, width: int) -> list[Text]:
    age = f" {duration(now.at - now.supervisor_since)}" if now.supervisor_since else ""
    words = [f"supervisor{age}" if now.supervisor else "no supervisor"]
    words += [f"{len(now.runners)} of {now.runners_max} runners", f"{now.totals.get('queued', 0):,} waiting"]
    words += [f"empty in {duration(now.done_in_s)}"] if now.done_in_s else []
    words += [f"{now.totals.get('succeeded', 0):,} done", f"{now.totals.get('failed', 0):,} failed"]
    if len("hive " + ", ".join(words)) > width:
        del words[-2]  # the least of all news
    first = Text.assemble(("hive ", "bold"))
    if now.control.hold:
        first.append(f" {now.control.hold} ", "reverse yellow").append(" ")
    first.append(", ".join(words))
    use, cells = now.machine, 6 if width < WIDE else 16
    busy = (use.cpu_percent or 0.0) / 100
    filled = use.memory_used_bytes / max(1, use.memory_bytes)
    cores, memory = (f" of {use.cores} cores", f" of {size(use.memory_bytes)}") if width >= WIDE else ("", "")
    few = use.disk_free_bytes < LITTLE_DISK_BYTES
    second = Text.assemble(
        "cpu ",
        (bar(busy, cells), _alarm(busy)),
        f" {100 * busy:3.0f} %{cores}   memory ",
        (bar(filled, cells), _alarm(filled)),
        f" {size(use.memory_used_bytes)}{memory}   disk ",
        (f"{size(use.disk_free_bytes)} free", "red" if few else ""),
        f"   {plain(use.gpu) or 'no GPU'}",
    )
    return [first, second]


def _alarm(share: float) -> str:
    return "red" if share > 0.95 else "green"


RUNNER_TITLES = ("RUNNER", "MODEL", "PHASE", "STEP", "ETA", "CPU", "MEMORY", "LOSS")
WAITING_TITLES = ("WAITS", "MODEL", "PRIORITY", "FOR", "BECAUSE")


def _runner_widths(width: int) -> tuple[int, ...]:
    """In cells; what remains is the last column's."""
    return (6, 13, 9, 11, 6, 5, 8) if width < WIDE else (7, 22, 14, 15, 8, 6, 9)


def _waiting_widths(width: int) -> tuple[int, ...]:
    return (6, 13, 8, 6) if width < WIDE else (7, 22, 8, 8)


def _title(titles: Sequence[str], widths: Sequence[int]) -> Text:
    return Text("  " + _cells(titles, widths), "bold cyan")


def _runner_line(each: RunnerUse, selected: bool, width: int) -> Text:
    widths = _runner_widths(width)
    figure_of = next((f" {figure(value)}" for name, value in each.metrics.items() if "loss" in name), "")
    room = width - 2 - sum(widths) - len(widths) - len(figure_of)
    return _row((*runner_cells(each), sparkline(each.curve, room) + figure_of), widths, selected)


def _waiting_line(job: Job, selected: bool, now: Snapshot, width: int) -> Text:
    cells = (str(job.id), job.name, job.priority_name, duration(max(0, now.at - job.created_at)))
    return _row((*cells, now.reasons.get(job.id, "")), _waiting_widths(width), selected)


def _row(cells: Sequence[str], widths: Sequence[int], selected: bool) -> Text:
    return Text(f"{'>' if selected else ' '} {_cells(cells, widths)}", "reverse" if selected else "")


def _cells(cells: Sequence[str], widths: Sequence[int]) -> str:
    """Each cut or filled to its width, a space apart; the last as it is."""
    sized = [set_cell_size(plain(cell), wide) for cell, wide in zip(cells, widths, strict=False)]
    return " ".join([*sized, *cells[len(widths) :]])


def _window(rows: Sequence[T], count: int, place: int) -> Sequence[T]:
    """`count` rows, among them the one at `place` if there is one."""
    first = min(max(0, place - count // 2), max(0, len(rows) - count))
    return rows[first : first + count]


def _log_lines(view: View, now: Snapshot, height: int, log: Sequence[str]) -> list[Text]:
    title = Text(f"log of job {view.selected}", "bold")
    for each in now.runners:
        if each.job.id == view.selected:
            title.append(f" ({each.job.name}): {' '.join(runner_cells(each)[2:4])}")
            break
    else:
        title.append("".join([f": {event_words(e)}" for e in now.happenings if e.job_id == view.selected][:1]))
    room = height - 2
    last = max(min(room, len(log)), len(log) - view.scrolled)
    body = [Text(plain(line).expandtabs(4)) for line in log[max(0, last - room) : last]]
    return [title, Text(), *(body or [Text("nothing yet", "dim")])]


# -- the terminal


class FollowedLog:
    """The log of the selected job, the attempts that come after included."""

    def __init__(self) -> None:
        self.lines: deque[str] = deque(maxlen=LOG_LINES)
        self._shown = (0, 0)  # job and attempt
        self._tail: LogTail | None = None

    def look(self, hive: Hive, job_id: int) -> None:
        job = hive.job(job_id)
        if (job.id, job.attempt) != self._shown:
            self.close()
            self._shown = (job.id, job.attempt)
            self._tail = hive.log_tail(job) if job.attempt else None
        if self._tail:
            self.lines.extend(self._tail.fresh())
            if job.state.is_over:
                self.lines.extend(self._tail.last())

    def close(self) -> None:
        if self._tail:
            self._tail.close()
        self._tail, self._shown = None, (0, 0)
        self.lines.clear()


class Ended(BaseException):
    """SIGTERM came."""


def watch(hive: Hive) -> None:
    """Show the dashboard until a key or a signal ends it. The terminal is left as it was found."""
    try:
        with _raw_terminal() as keys:
            _follow(hive, keys)
    except Ended:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)


def _follow(hive: Hive, keys: Keys) -> None:
    console = Console()
    view, log, told, told_at = View(), FollowedLog(), "", 0.0
    shown: tuple[list[Text], tuple[int, int]] | None = None
    with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as live:
        now, looked = hive.look(), time.monotonic()
        while not view.over:
            if view.page == "log" and view.selected is not None:
                log.look(hive, view.selected)
            console.size = width, height = terminal_size()
            answer = told if time.monotonic() < told_at + TOLD_S else ""
            lines = draw(view, now, width, height, list(log.lines) if view.page == "log" else (), answer)
            if (lines, (width, height)) != shown:  # nothing is sent to the terminal while nothing changes
                live.update(Group(*lines), refresh=True)
                shown = lines, (width, height)
            for key in keys.wait(looked + REFRESH_S - time.monotonic()):
                view, action = press(view, key, now, height - 3)
                if action:
                    told, told_at = perform(hive, action), time.monotonic()
                    looked = 0.0
            if time.monotonic() >= looked + REFRESH_S:
                now, looked = hive.look(), time.monotonic()
    log.close()


def terminal_size() -> tuple[int, int]:
    """Columns and lines as they are now."""
    try:
        width, height = os.get_terminal_size(sys.stdout.fileno())
    except OSError:
        width, height = 0, 0
    return width or 80, height or 24


class Keys:
    """What is typed, and what wakes the wait for it."""

    def __init__(self, descriptor: int, wakes: int) -> None:
        self.descriptor = descriptor
        self.wakes = wakes  # readable when a signal came

    def wait(self, seconds: float) -> list[str]:
        """The keys that were pressed within `seconds`; at once when one was, or when the size has changed."""
        ready = select.select([self.descriptor, self.wakes], [], [], max(0.0, seconds))[0]
        if self.wakes in ready:
            os.read(self.wakes, 1024)
        return names_of(self._typed()) if self.descriptor in ready else []

    def _typed(self) -> bytes:
        typed = self._read()
        while PARTIAL.search(typed) and select.select([self.descriptor], [], [], SEQUENCE_S)[0]:
            typed += self._read()
        return typed

    def _read(self) -> bytes:
        try:
            return os.read(self.descriptor, 1024) or b"\x04"  # the terminal is gone
        except OSError:
            return b"\x04"


def names_of(typed: bytes) -> list[str]:
    """The names of the keys that send these bytes; a key without a name is its character."""
    found = []
    for match in TYPED.finditer(typed):
        sent = match[0]
        if sent in KEYS:
            found.append(KEYS[sent])
        elif not sent.startswith(b"\x1b"):
            found.append(sent.decode(errors="replace"))
    return found


@contextmanager
def _raw_terminal() -> Iterator[Keys]:
    """Keys arrive one by one and unseen; SIGTERM raises Ended; a new size wakes. Afterwards all is as before."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    reader, writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    signals = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, _end),
        signal.SIGWINCH: signal.signal(signal.SIGWINCH, lambda number, frame: None),
    }
    woken_before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    try:
        raw = termios.tcgetattr(descriptor)
        raw[3] &= ~(termios.ICANON | termios.ECHO)
        raw[6][termios.VSUSP] = b"\0"  # Ctrl-Z would leave the shell on this screen
        termios.tcsetattr(descriptor, termios.TCSADRAIN, raw)
        yield Keys(descriptor, reader)
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
        signal.set_wakeup_fd(woken_before)
        for number, handler in signals.items():
            signal.signal(number, handler)
        os.close(reader)
        os.close(writer)


def _end(number: int, frame: FrameType | None) -> None:
    raise Ended
