"""A request -> recipes in build order."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from builders import recipe
from hypothesis import given
from hypothesis import strategies as st

from hive.errors import RequestError
from hive.resolve import resolve, split_request


def names(requests: Iterable[str], **depends: Iterable[str]) -> list[str]:
    """The build order of `requests` among recipes that depend on each other like this (underscores are dashes)."""
    known = {name.replace("_", "-"): recipe(name.replace("_", "-"), depends=needs) for name, needs in depends.items()}

    def recipe_of(name: str) -> object:
        if name not in known:
            raise RequestError(f"there is no model called {name!r}")
        return known[name]

    return [each.name for each in resolve(requests, recipe_of)]  # type: ignore[arg-type]


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


@pytest.mark.parametrize("request_text", ["a@1.2.0", "a>=1", "a>=1.1,<2", "a~=1.2", "a==1.*", "a != 1.3"])
def test_versions_that_fit(request_text: str) -> None:
    assert [each.version for each in resolve([request_text], lambda name: recipe(name, "1.2.0"))] == ["1.2.0"]


@pytest.mark.parametrize("request_text", ["a@1.2.1", "a>=2", "a<1.2", "a!=1.2.0"])
def test_versions_that_do_not_fit(request_text: str) -> None:
    with pytest.raises(RequestError, match="no source has a") as caught:
        resolve([request_text], lambda name: recipe(name, "1.2.0"))
    assert "test has 1.2.0" in caught.value.why


def test_a_range_that_another_recipe_needs_is_explained() -> None:
    known = {"top": recipe("top", depends=["base>=2"]), "base": recipe("base", "1.0.0")}
    with pytest.raises(RequestError) as caught:
        resolve(["top"], known.__getitem__)
    assert caught.value.why.startswith("top needs base >=2")


@pytest.mark.parametrize("request_text", ["a>=", "a>=x", "a==1,,2", "a<>1", "a=1"])
def test_a_range_that_cannot_be_read(request_text: str) -> None:
    with pytest.raises(RequestError):
        resolve([request_text], recipe)


@given(st.text(max_size=30))
def test_any_text_is_a_request_or_an_error_for_people(text: str) -> None:
    try:
        resolve([text], recipe)
    except RequestError as error:
        assert error.message


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
