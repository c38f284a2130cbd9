"""A request -> releases in build order: which versions, and who is to blame where there are none."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from universe import Universe

from hive.errors import RequestError
from hive.resolve import Held, resolve
from hive.versions import is_prerelease, satisfies, split_request


def names(requests: Iterable[str], **depends: Iterable[str]) -> list[str]:
    """The build order of `requests` among recipes that depend on each other like this."""
    universe = Universe({name: {"1.0.0": list(needs)} for name, needs in depends.items()})
    return [release.name for release in resolve(requests, universe)]


def versions(universe: Universe, *requests: str, installed: Mapping[str, str] | None = None, **how: bool) -> str:
    """What is chosen, such as "base 1, top 2", in build order."""
    held = {name: universe.held(name, version) for name, version in (installed or {}).items()}
    return ", ".join(map(str, resolve(requests, universe, held, **how)))


@pytest.mark.parametrize(
    ("request_text", "split"),
    [
        ("gis-lidar", ("gis-lidar", "")),
        (" gis-lidar ", ("gis-lidar", "")),
        ("gis-lidar@1.2", ("gis-lidar", "==1.2")),
        ("gis-lidar@1.2.0rc1", ("gis-lidar", "==1.2.0rc1")),
        ("gis-lidar>=1.1,<2", ("gis-lidar", ">=1.1,<2")),
        ("gis-lidar>= 1.1, < 2", ("gis-lidar", ">= 1.1, < 2")),
        ("gis-lidar >=1.1", ("gis-lidar", ">=1.1")),
        ("gis-lidar == 1.1", ("gis-lidar", "== 1.1")),
        ("gis-lidar~=1.1", ("gis-lidar", "~=1.1")),
        ("gis-lidar!=1.1", ("gis-lidar", "!=1.1")),
        ("a.b_c-1", ("a.b_c-1", "")),
    ],
)
def test_requests(request_text: str, split: tuple[str, str]) -> None:
    assert split_request(request_text) == split


@pytest.mark.parametrize(
    "text", ["", " ", "GIS-Lidar", "../etc", "a/b", "-a", ".a", "a@", "a b", "a@x", "a;rm", "é", "a\n"]
)
def test_what_is_no_request(text: str) -> None:
    if text == "a\n":
        assert split_request(text) == ("a", "")  # a line of a file is a name
        return
    with pytest.raises(RequestError):
        split_request(text)


def test_what_is_needed_comes_first() -> None:
    assert names(["top"], top=["middle"], middle=["base"], base=[]) == ["base", "middle", "top"]


def test_each_once() -> None:
    assert names(["top", "base", "top"], top=["left", "right"], left=["base"], right=["base"], base=[]) == [
        "base", "left", "right", "top",
    ]  # fmt: skip


def test_in_the_order_asked_for() -> None:
    assert names(["b", "a"], a=[], b=[]) == ["b", "a"]


def test_unknown_names_are_said_also_deep_down() -> None:
    with pytest.raises(RequestError, match="'nobody'"):
        names(["a"], a=["b"], b=["nobody"])


def test_a_circle_is_shown() -> None:
    with pytest.raises(RequestError, match="depends on itself") as caught:
        names(["a"], a=["b"], b=["c"], c=["a"])
    assert caught.value.why == "a -> b -> c -> a"
    with pytest.raises(RequestError, match="a depends on itself"):
        names(["a"], a=["a"])


def test_a_circle_below_the_request_names_who_is_in_it() -> None:
    with pytest.raises(RequestError, match="b depends on itself") as caught:
        names(["a"], a=["b"], b=["c"], c=["b"])
    assert caught.value.why == "b -> c -> b"


ONE = Universe({"a": {"1.2.0": []}})


@pytest.mark.parametrize("request_text", ["a@1.2.0", "a@1.2", "a>=1", "a>=1.1,<2", "a~=1.2", "a==1.*", "a != 1.3"])
def test_versions_that_fit(request_text: str) -> None:
    assert versions(ONE, request_text) == "a 1.2.0"


@pytest.mark.parametrize("request_text", ["a@1.2.1", "a>=2", "a<1.2", "a!=1.2.0"])
def test_versions_that_do_not_fit(request_text: str) -> None:
    with pytest.raises(RequestError, match="no source has a") as caught:
        versions(ONE, request_text)
    assert "test has 1.2.0" in caught.value.why


def test_a_range_that_another_recipe_needs_is_explained() -> None:
    with pytest.raises(RequestError) as caught:
        versions(Universe({"top": {"1.0.0": ["base>=2"]}, "base": {"1.0.0": []}}), "top")
    assert caught.value.why == "top 1.0.0 needs base >=2; test has 1.0.0"


@pytest.mark.parametrize("request_text", ["a>=", "a>=x", "a==1,,2", "a<>1", "a=1"])
def test_a_range_that_cannot_be_read(request_text: str) -> None:
    with pytest.raises(RequestError):
        versions(ONE, request_text)


@given(st.text(max_size=30))
def test_any_text_is_a_request_or_an_error_for_people(text: str) -> None:
    try:
        versions(ONE, text)
    except RequestError as error:
        assert error.message


# Several versions


SEVERAL = Universe(
    {
        "base": {"1.0": [], "1.1": [], "2.0": [], "3.0rc1": []},
        "top": {"1.0": ["base<2"], "2.0": ["base>=2"]},
        "other": {"1.0": ["base<2"]},
        "any": {"1.0": ["base"]},
        "early": {"1.0": ["base>=3.0rc1"]},
    }
)


def test_the_newest_is_taken_and_a_range_is_kept() -> None:
    assert versions(SEVERAL, "base") == "base 2.0"
    assert versions(SEVERAL, "base>=1,<2") == "base 1.1"
    assert versions(SEVERAL, "top") == "base 2.0, top 2.0"
    assert versions(SEVERAL, "top@1.0") == "base 1.1, top 1.0"


def test_who_comes_second_makes_the_first_give_way() -> None:
    assert versions(SEVERAL, "any", "other") == "base 1.1, any 1.0, other 1.0"
    assert versions(SEVERAL, "top", "other") == "base 1.1, top 1.0, other 1.0"


def test_needs_that_exclude_each_other_are_told_in_words() -> None:
    with pytest.raises(RequestError, match="no version of base suits everybody") as caught:
        versions(SEVERAL, "top@2.0", "other")
    assert caught.value.why == (
        "top 2.0 needs base >=2; other 1.0 needs base <2; test has 3.0rc1, 2.0, 1.1, 1.0"
    )  # fmt: skip


def test_pre_releases_only_when_asked_for() -> None:
    assert versions(SEVERAL, "base", prereleases=True) == "base 3.0rc1"
    assert versions(SEVERAL, "base@3.0rc1") == "base 3.0rc1"
    assert versions(SEVERAL, "early") == "base 3.0rc1, early 1.0"
    assert versions(SEVERAL, "base", installed={"base": "3.0rc1"}) == "base 3.0rc1"
    with pytest.raises(RequestError) as caught:
        versions(SEVERAL, "base>=2.5")
    assert caught.value.hint == "--pre allows 3.0rc1"


def test_what_is_installed_is_preferred_if_it_does() -> None:
    assert versions(SEVERAL, "base", installed={"base": "1.0"}) == "base 1.0"
    assert versions(SEVERAL, "any", installed={"base": "1.0"}) == "base 1.0, any 1.0"
    assert versions(SEVERAL, "base>1", installed={"base": "1.0"}) == "base 2.0"
    assert versions(SEVERAL, "top@2.0", installed={"base": "1.0"}) == "base 2.0, top 2.0"


def test_an_installed_version_that_no_source_has_any_more_still_counts() -> None:
    held = {"base": Universe({}).held("base", "0.9")}
    [release] = resolve(["base"], SEVERAL, held)
    assert (str(release), release.source) == ("base 0.9", "installed")


def test_who_is_installed_keeps_its_say() -> None:
    """base may not go where an installed package that nobody asked to change cannot follow."""
    there = {"base": "1.0", "other": "1.0"}
    with pytest.raises(RequestError) as caught:
        versions(SEVERAL, "base>=2", installed=there)
    assert "other 1.0 (installed) needs base <2" in caught.value.why
    assert versions(SEVERAL, "base", installed=there, upgrade=True) == "base 1.1"
    assert versions(SEVERAL, "top", installed=there) == "base 1.0, top 1.0"


def test_upgrade_touches_what_was_asked_and_what_that_forces() -> None:
    there = {"base": "1.0", "top": "1.0", "any": "1.0"}
    assert versions(SEVERAL, "any", installed=there, upgrade=True) == "base 1.0, any 1.0"
    assert versions(SEVERAL, "top", installed=there, upgrade=True) == "base 2.0, top 2.0"
    assert versions(SEVERAL, "base", installed=there, upgrade=True) == "base 1.1"
    assert versions(SEVERAL, "base", "top", "any", installed=there, upgrade=True) == "base 2.0, top 2.0, any 1.0"


def test_upgrade_never_goes_back() -> None:
    assert versions(SEVERAL, "base", installed={"base": "2.5"}, upgrade=True) == "base 2.5"
    assert versions(SEVERAL, "base", installed={"base": "3.0rc1"}, upgrade=True) == "base 3.0rc1"


def test_what_is_pinned_does_not_move() -> None:
    held = {"base": SEVERAL.held("base", "1.0", pinned=True)}
    assert str(resolve(["base"], SEVERAL, held, upgrade=True)[0]) == "base 1.0"
    with pytest.raises(RequestError, match=r"base is pinned at 1\.0") as caught:
        resolve(["top@2.0"], SEVERAL, held)
    assert caught.value.hint == "hive unpin base"


def test_only_what_is_reached_is_looked_at() -> None:
    universe = Universe({f"n{number}": {"1": []} for number in range(100)} | {"top": {"1": ["n7"]}})
    versions(universe, "top")
    assert universe.looked_at == {"top", "n7"}


def test_an_unknown_name_rules_out_the_version_that_needs_it() -> None:
    universe = Universe({"top": {"1": [], "2": ["nobody"]}})
    assert versions(universe, "top") == "top 1"
    with pytest.raises(RequestError, match="'nobody'") as caught:
        versions(universe, "top@2")
    assert "top 2 needs nobody" in caught.value.why


# Against a plain model: every combination, tried


NAMES = ("a", "b", "c", "d")
VERSIONS = ("1", "2", "3")
RANGES = ("", "==1", "==2", ">=2", "<2", "<3", "!=2", ">=3")


@st.composite
def universes(draw: st.DrawFn) -> tuple[Universe, list[str], dict[str, Held], bool]:
    """A small world: who depends only on later names, so that there are no circles."""
    table: dict[str, dict[str, list[str]]] = {}
    for place, name in enumerate(NAMES):
        later = NAMES[place + 1 :]
        needs = st.builds("{}{}".format, st.sampled_from(later), st.sampled_from(RANGES)) if later else st.nothing()
        table[name] = {
            version: draw(st.lists(needs, max_size=2, unique_by=lambda text: text[0])) if later else []
            for version in draw(st.sets(st.sampled_from(VERSIONS), min_size=1))
        }
    universe = Universe(table)
    requests = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True))
    requests = [name + draw(st.sampled_from(RANGES)) for name in requests]
    held: dict[str, Held] = {}
    for assignment in assignments(universe, {name: draw(st.sampled_from(["", *table[name]])) for name in NAMES}):
        held = {name: universe.held(name, version, draw(st.booleans())) for name, version in assignment.items()}
    return universe, requests, held, draw(st.booleans())


def assignments(universe: Universe, wish: Mapping[str, str]) -> list[dict[str, str]]:
    """The wish as something that can be installed: without those whose needs it does not meet."""
    chosen = {name: version for name, version in wish.items() if version}
    while broken := [
        name for name, version in chosen.items() if not all(met(chosen, text) for text in universe.table[name][version])
    ]:
        for name in broken:
            del chosen[name]
    return [chosen]


def met(chosen: Mapping[str, str], text: str) -> bool:
    name, wanted = split_request(text)
    return name in chosen and satisfies(chosen[name], wanted)


def is_answer(
    universe: Universe, requests: Sequence[str], held: Mapping[str, Held], upgrade: bool, chosen: Mapping[str, str]
) -> bool:
    """Whether a choice of versions keeps every rule: needs met, nothing pinned moved, who stays has its say."""
    after = {name: each.version for name, each in held.items()} | dict(chosen)
    asked = {split_request(text)[0] for text in requests}
    return (
        all(met(chosen, text) for text in requests)
        and all(met(chosen, text) for name, version in chosen.items() for text in universe.table[name][version])
        and all(met(after, text) for name, version in after.items() for text in universe.table[name][version])
        and not any(each.pinned and after[name] != each.version for name, each in held.items())
        and not any(upgrade and name in held and after[name] < held[name].version for name in asked)
        and set(chosen) == closure(universe, asked, chosen)
    )


def closure(universe: Universe, asked: set[str], chosen: Mapping[str, str]) -> set[str]:
    reached, pending = set(asked), list(asked)
    while pending:
        name = pending.pop()
        for text in universe.table[name][chosen[name]] if name in chosen else ():
            if (other := split_request(text)[0]) not in reached:
                reached.add(other)
                pending.append(other)
    return reached


@settings(max_examples=400, deadline=None)
@given(universes())
def test_an_answer_is_found_exactly_if_there_is_one(case: tuple[Universe, list[str], dict[str, Held], bool]) -> None:
    universe, requests, held, upgrade = case
    choices = [["", *sorted(universe.table[name])] for name in NAMES]
    answers = []
    for combination in itertools.product(*choices):
        chosen = {name: version for name, version in zip(NAMES, combination, strict=True) if version}
        if is_answer(universe, requests, held, upgrade, chosen):
            answers.append(chosen)
    try:
        found = {each.name: each.version for each in resolve(requests, universe, held, upgrade)}
    except RequestError as error:
        assert error.message and not answers, f"{answers} would do, but: {error.message}; {error.why}"
        return
    assert found in answers
    if not upgrade:  # what may stay as it is stays
        kept = {name: held[name].version if name in held else version for name, version in found.items()}
        assert found == kept or kept not in answers


def test_a_model_of_pre_releases_is_that_of_pep_440() -> None:
    assert [text for text in ("1.0", "1.0a1", "1.0b2", "1.0rc1", "1.0.dev3", "1.0.post1") if is_prerelease(text)] == [
        "1.0a1", "1.0b2", "1.0rc1", "1.0.dev3",
    ]  # fmt: skip


@given(st.lists(st.sets(st.integers(0, 9)), min_size=10, max_size=10))
def test_in_any_graph_without_circles_needs_come_first(edges: list[set[int]]) -> None:
    depends = {
        f"n{node}": [f"n{other}" for other in sorted(others) if other < node] for node, others in enumerate(edges)
    }
    order = names([f"n{node}" for node in reversed(range(10))], **depends)
    assert sorted(order) == sorted(depends)
    assert all(order.index(needed) < order.index(name) for name, needs in depends.items() for needed in needs)


def test_a_long_chain() -> None:
    """Deeper than any real one, within Python's own limit."""
    chain = {f"n{node}": [f"n{node - 1}"] if node else [] for node in range(300)}
    assert names(["n299"], **chain)[0] == "n0"
