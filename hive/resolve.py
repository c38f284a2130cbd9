"""A request by names and ranges -> the releases that meet it, each after what it depends on.

What is installed is preferred, else the newest; pre-releases only when asked for. A package that nobody asked for
changes only where the dependencies of a chosen release leave no other way; one that depends on what changes stays, and
so does its say. Most requests need no search: `_settle` finds where everybody gets the best of what the others
leave. Else `resolvelib` searches; it would take seconds for what `_settle` does in a hundredth.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from hive_runner.frozen import frozen

from hive.errors import RequestError
from hive.index import Release
from hive.versions import check_range, is_prerelease, parsed, satisfies, split_request

MAX_ROUNDS = 100_000
MAX_VISITS = 50  # of a name while it settles: then the names chase each other


class Catalogue(Protocol):
    """What there is to choose from: hive.index.Index, or a table in a test."""

    def releases(self, name: str) -> Sequence[Release]:
        """The newest first; none for a name that nobody knows."""

    def depends(self, release: Release) -> Sequence[str]: ...

    def unknown(self, name: str) -> RequestError: ...


@frozen
class Held:
    """What is installed under a name."""

    version: str
    folder: Path  # its recipe, as it was installed
    depends: tuple[str, ...] = ()
    pinned: bool = False


class Need(NamedTuple):
    """Somebody needs a name, in a range."""

    name: str
    wanted: str  # a range, "" for any version
    by: Release | None = None  # None: the request itself
    stays: bool = False  # it depends on what changes, and is to stay as it is

    def __str__(self) -> str:
        what = f"{self.name} {self.wanted}".strip()
        return f"{self.by} needs {what}" if self.by else f"the request is {what}"


def resolve(
    requests: Iterable[str],
    catalogue: Catalogue,
    installed: Mapping[str, Held] | None = None,
    upgrade: bool = False,
    prereleases: bool = False,
) -> list[Release]:
    """The releases of a request such as `name`, `name@1.2` or `name>=1.1,<2` and of all they need, in build order.

    upgrade: what was asked for becomes as new as can be, never older. Raises RequestError for an unknown name, a
    version that no source has, needs that exclude each other, or a circle of dependencies.
    """
    roots = [Need(*split_request(request)) for request in requests]
    for need in roots:
        check_range(need.wanted)
    choice = _Choice(roots, catalogue, installed or {}, upgrade, prereleases)
    pins = choice.settle()
    if any(release is None for release in pins.values()):
        pins = choice.search(pins)
    order: dict[str, Release] = {}
    for need in roots:
        choice.visit(need.name, pins, order, ())
    return list(order.values())


class _Choice:
    """One request among what there is."""

    def __init__(
        self,
        roots: list[Need],
        catalogue: Catalogue,
        installed: Mapping[str, Held],
        upgrade: bool,
        prereleases: bool,
    ) -> None:
        self.roots = roots
        self.catalogue = catalogue
        self.installed = installed
        self.upgraded = {need.name for need in roots} if upgrade else set()
        self.prereleases = prereleases
        self.asked_before_release = {need.name for need in roots if is_prerelease(need.wanted)}
        self.unmet: list[list[Need]] = []  # of a name each: needs that nothing meets, if everybody gets the best
        self._held: dict[str, Release] = {}
        self._offers: dict[str, list[Release]] = {}
        self._needs: dict[Release, list[Need]] = {}
        self._dependents: dict[str, list[str]] = {}
        for name, held in installed.items():
            for text in held.depends:
                self._dependents.setdefault(split_request(text)[0], []).append(name)

    def held(self, name: str) -> Release | None:
        """The installed release, as a source has it, else as it was installed."""
        if name not in self.installed:
            return None
        if name not in self._held:
            held = self.installed[name]
            kept = Release(name, held.version, "installed", str(held.folder))
            self._held[name] = next((r for r in self.catalogue.releases(name) if r.version == held.version), kept)
        return self._held[name]

    def offers(self, name: str) -> list[Release]:
        """Every release of a name that may be chosen at all, the preferred first."""
        if name not in self._offers:
            held, found = self.held(name), list(self.catalogue.releases(name))
            if held and self.installed[name].pinned:
                found = [held]
            elif held and name in self.upgraded:
                found = [*(each for each in found if parsed(each.version) > parsed(held.version)), held]
            elif held:
                found = [held, *(each for each in found if each != held)]
            self._offers[name] = found
        return self._offers[name]

    def meets(self, release: Release, need: Need) -> bool:
        if is_prerelease(release.version) and not (
            self.prereleases
            or release.name in self.asked_before_release
            or is_prerelease(need.wanted)
            or release == self.held(release.name)
        ):
            return False
        return satisfies(release.version, need.wanted)

    def candidates(self, name: str, needs: Iterable[Need]) -> Iterator[Release]:
        """What meets all needs of a name, the preferred first. What only has to stay has no choice."""
        needs = list(needs)
        if all(need.stays for need in needs):
            held = self.held(name)
            return iter([held] if held else [])
        return (release for release in self.offers(name) if all(self.meets(release, need) for need in needs))

    def needs(self, release: Release) -> list[Need]:
        """What a release depends on; and where it takes the place of an installed one, that who depends on it stays."""
        if release not in self._needs:
            texts = self.catalogue.depends(release)
            found = [Need(*split_request(text), by=release) for text in texts]
            held = self.held(release.name)
            if held and held != release:
                found += [Need(each, "", release, stays=True) for each in self._dependents.get(release.name, ())]
            self._needs[release] = found
        return self._needs[release]

    def settle(self) -> dict[str, Release | None]:
        """Pin each name to the best of what its needs leave, until nothing changes. None: they leave nothing."""
        needs: dict[str, dict[Need, None]] = {}
        pins: dict[str, Release | None] = {}
        visits: dict[str, int] = {}
        for need in self.roots:
            needs.setdefault(need.name, {})[need] = None
        pending = dict.fromkeys(needs)
        while pending:
            name = next(iter(pending))
            del pending[name]
            visits[name] = visits.get(name, 0) + 1
            if visits[name] > MAX_VISITS:
                pins[name] = None
                break
            before = pins.get(name)
            after = next(self.candidates(name, needs[name]), None) if needs[name] else None
            if after == before and name in pins:
                continue
            for need in self.needs(before) if before else ():
                needs[need.name].pop(need, None)
                pending[need.name] = None
            for need in self.needs(after) if after else ():
                needs.setdefault(need.name, {})[need] = None
                pending[need.name] = None
            pins[name] = after
        if max(visits.values(), default=0) <= MAX_VISITS:
            self.unmet = [list(needs[name]) for name, release in pins.items() if release is None and needs[name]]
        return {name: release for name, release in pins.items() if needs[name]}

    def search(self, pins: Mapping[str, Release | None]) -> dict[str, Release | None]:
        """All combinations, by resolvelib. Raises RequestError."""
        from resolvelib import BaseReporter, Resolver
        from resolvelib.resolvers import ResolutionImpossible, ResolutionTooDeep

        for need in self.roots:
            self._refuse_hopeless(need)
        resolver: Resolver[Need, Release, str] = Resolver(_provider(self), BaseReporter())
        try:
            return dict(resolver.resolve(self.roots, max_rounds=MAX_ROUNDS).mapping)
        except ResolutionImpossible as error:
            causes = [cause.requirement for cause in error.causes if not cause.requirement.stays]
            by_name = {need.name: [each for each in causes if each.name == need.name] for need in causes}
            raise self._conflict(max((*self.unmet, *by_name.values()), key=len)) from error
        except ResolutionTooDeep as error:
            raise RequestError("the request is too intricate", f"no answer in {MAX_ROUNDS:,} steps") from error

    def _refuse_hopeless(self, need: Need) -> None:
        """Raises RequestError if a need cannot be met whatever the others are."""
        if not next(self.candidates(need.name, [need]), None):
            raise self._conflict([need])

    def _conflict(self, needs: Sequence[Need]) -> RequestError:
        """Who needs what, and which versions there are."""
        needs = list(dict.fromkeys(needs))
        name = needs[0].name
        held, there = self.held(name), self.catalogue.releases(name)
        said = "; ".join(dict.fromkeys(self._words(need) for need in needs))
        if not there and not held:
            error = self.catalogue.unknown(name)
            why = error.why if all(need.by is None for need in needs) else f"{said}; no source has it"
            return RequestError(error.message, why, error.hint)
        have = f"{there[0].source} has {', '.join(each.version for each in there)}" if there else "no source has it"
        if held and self.installed[name].pinned:
            return RequestError(f"{name} is pinned at {held.version}", said, f"hive unpin {name}")
        if len({need.wanted for need in needs if not need.stays}) == 1:
            wanted = next(need.wanted for need in needs if not need.stays)
            alone = [each for each in there if satisfies(each.version, wanted)]
            hint = f"--pre allows {alone[0].version}" if alone else f"hive info {name}"
            return RequestError(f"no source has {name} {wanted}".rstrip(), f"{said}; {have}", hint)
        return RequestError(
            f"no version of {name} suits everybody", f"{said}; {have}", "ask for other versions, or remove one of them"
        )

    def _words(self, need: Need) -> str:
        if need.by and need.by == self.held(need.by.name):
            return f"{need.by} (installed) needs {need.name} {need.wanted}".rstrip()
        return str(need)

    def visit(
        self, name: str, pins: Mapping[str, Release | None], order: dict[str, Release], path: tuple[str, ...]
    ) -> None:
        """Put `name` into `order`, after all that it needs. Raises RequestError for a circle."""
        if name in path:
            raise RequestError(f"{name} depends on itself", " -> ".join((*path[path.index(name) :], name)))
        release = pins[name]
        if name in order or release is None:
            return
        for need in self.needs(release):
            if not need.stays:
                self.visit(need.name, pins, order, (*path, name))
        order[name] = release


def _provider(choice: _Choice) -> Any:
    """What resolvelib asks. Its base class is imported only here."""
    from resolvelib import AbstractProvider

    class Provider(AbstractProvider[Need, Release, str]):
        def identify(self, requirement_or_candidate: Need | Release) -> str:
            return requirement_or_candidate.name

        def get_preference(
            self, identifier: str, resolutions: Any, candidates: Any, information: Any, backtrack_causes: Any
        ) -> tuple[bool, bool, str]:
            """What only has to stay comes last: by then nobody else can need another version of it."""
            only_stays = all(each.requirement.stays for each in information[identifier])
            return only_stays, identifier not in {cause.requirement.name for cause in backtrack_causes}, identifier

        def find_matches(self, identifier: str, requirements: Any, incompatibilities: Any) -> list[Release]:
            excluded = set(incompatibilities[identifier])
            found = choice.candidates(identifier, requirements[identifier])
            return [release for release in found if release not in excluded]

        def is_satisfied_by(self, requirement: Need, candidate: Release) -> bool:
            return requirement.stays or choice.meets(candidate, requirement)

        def get_dependencies(self, candidate: Release) -> list[Need]:
            return choice.needs(candidate)

    return Provider()
