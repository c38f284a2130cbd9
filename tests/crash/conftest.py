"""What all crash tests share: surroundings, a seed, their size, and a table of what they found."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from crashing import SURROUNDINGS, Figure, digest
from hive_cli import HiveCli

FIGURE = "crash figure"


@pytest.fixture
def hive(hive: HiveCli) -> HiveCli:
    hive.environment.update(SURROUNDINGS)
    return hive


@pytest.fixture
def whole(request: pytest.FixtureRequest) -> bool:
    """Whether all kills are asked for, or just as many as every run of the tests has time for."""
    return bool(request.config.getoption("--whole"))


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """What a test draws at random from."""
    told = request.config.getoption("--seed")
    seed = random.SystemRandom().randrange(10**6) if told is None else told
    print(f"the same again: pytest '{request.node.nodeid}' --seed {seed}")
    return random.Random(f"{seed} {request.node.name}")


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Figure:
    """figure(what, measured): a line of the table at the end."""
    return lambda what, measured: record_property(FIGURE, (what, measured))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    lines = list(_figures(terminalreporter))
    if not lines:
        return
    terminalreporter.section("crash figures")
    width = max(len(what) for what, _ in lines)
    for what, measured in lines:
        terminalreporter.line(f"{what:{width}}  {measured}")


def _figures(terminalreporter: pytest.TerminalReporter) -> Iterator[tuple[str, str]]:
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, []):
            for name, value in getattr(report, "user_properties", []):
                if name == FIGURE and report.when == "call":
                    yield value[0], value[1]


@pytest.fixture(scope="session")
def undisturbed() -> dict[tuple[str, ...], str]:
    """What builds give that nobody killed, as far as a test has asked."""
    return {}


@pytest.fixture
def reference(undisturbed: dict[tuple[str, ...], str], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """The digest of the artifact of an install that nobody disturbs."""

    def digest_of(*arguments: str) -> str:
        if arguments not in undisturbed:
            folder = tmp_path_factory.mktemp("undisturbed")
            cli = HiveCli(folder / "hive", folder, {"HIVE_SOURCES": SURROUNDINGS["HIVE_SOURCES"]})
            cli.ok("install", *arguments)
            undisturbed[arguments] = digest(cli, arguments[0])
            cli.end_processes()
        return undisturbed[arguments]

    return digest_of
