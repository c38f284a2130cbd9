"""Recipes and choices -> what is kept, reused or built. All of it without a file."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from builders import build, recipe
from hypothesis import given
from hypothesis import strategies as st

from hive.errors import GateRefused, NoCapacity, RequestError
from hive.model import Artifact, Build, DataSource, Gate, Limits, Package, Profile, Recipe, Step
from hive.plan import Choices, Machine, fit, keeps, longest_first, make_build, pick_params, pick_profile, step_of

MACHINE = Machine(cpus=4, memory_bytes=8 << 30, free_disk_bytes=100 << 30)
ENVIRONMENT = "sha256:" + "1" * 64


def made(wanted: Build, real: bool = True, **metrics: float) -> tuple[Package, Artifact]:
    """`wanted`, built and installed."""
    digest = "sha256:" + "a" * 64
    package = Package(wanted.name, wanted.version, digest, False, 0.0, wanted.profile, real, 10)
    figures: list[dict[str, Any]] = [{"name": name, "value": value} for name, value in metrics.items()]
    artifact = Artifact(digest, wanted.name, wanted.version, wanted.key, 10, 0.0, real, wanted, figures, (), "", 1.0)
    return package, artifact


def keeps_after(first: Choices, then: Choices, before: Recipe | None = None, after: Recipe | None = None) -> str | None:
    """What is said of a model built by `first` when `then` is asked for."""
    before, after = before or recipe(), after or before or recipe()
    wanted = make_build(before, first, ENVIRONMENT, {})
    return keeps(after, then, *made(wanted, real=before.profiles[wanted.profile].real))


# Profile and parameters


def test_standard_unless_said_otherwise() -> None:
    assert pick_profile(recipe(), Choices()).name == "standard"
    assert pick_profile(recipe(), Choices(profile="smoke")).name == "smoke"
    with pytest.raises(RequestError, match="no profile 'smok'") as caught:
        pick_profile(recipe(), Choices(profile="smok"))
    assert caught.value.hint == "did you mean smoke?"


def test_the_user_beats_the_profile_beats_the_default() -> None:
    model = recipe()
    assert pick_params(model, model.profiles["standard"], Choices()) == {"steps": 100, "rate": 0.5, "mode": "a"}
    assert pick_params(model, model.profiles["smoke"], Choices())["steps"] == 5
    assert pick_params(model, model.profiles["smoke"], Choices(params={"steps": "7", "rate": "1"})) == {
        "steps": 7, "rate": 1.0, "mode": "a",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"stesp": "7"}, "no parameter 'stesp'"),
        ({"steps": "0"}, "steps cannot be '0'"),
        ({"mode": "c"}, "mode cannot be 'c'"),
    ],
)
def test_parameters_that_cannot_be(params: dict[str, str], message: str) -> None:
    with pytest.raises(RequestError, match=message):
        pick_params(recipe(), recipe().profiles["standard"], Choices(params=params))


def test_data_only_where_the_recipe_takes_some() -> None:
    data = DataSource("/data", "sha256:d")
    with pytest.raises(RequestError, match="does not train on data"):
        make_build(recipe(), Choices(data=data), ENVIRONMENT, {})
    assert make_build(recipe(data_help="tiles"), Choices(data=data), ENVIRONMENT, {}).data == {"user": data}


# The build key


CHANGES: list[dict[str, Any]] = [
    {"name": "other"},
    {"version": "1.0.1"},
    {"recipe_digest": "sha256:" + "9" * 64},
    {"profile": "smoke"},
    {"params": {"steps": 2}},
    {"params": {"steps": 1.0}},
    {"seed": 1},
    {"threads": 2},
    {"device": "cuda"},
    {"environment": "sha256:" + "8" * 64},
    {"data": {"user": DataSource("/a", "sha256:d")}},
    {"dependencies": {"base": "sha256:k"}},
]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: next(iter(change)))
def test_whatever_can_change_the_weights_changes_the_key(change: dict[str, Any]) -> None:
    assert build(**{"name": "model", "params": {"steps": 1}, **change}).key != build("model", params={"steps": 1}).key


def test_where_the_data_lies_does_not_change_the_key() -> None:
    here, there = DataSource("/here", "sha256:d"), DataSource("/there", "sha256:d")
    assert build(data={"user": here}).key == build(data={"user": there}).key


@given(
    st.dictionaries(
        st.text(max_size=5),
        st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.booleans() | st.text(max_size=5),
    )
)
def test_the_key_does_not_depend_on_the_order_of_parameters(params: dict[str, Any]) -> None:
    assert build(params=params).key == build(params=dict(reversed(params.items()))).key


# Keep


def test_nothing_installed_nothing_kept() -> None:
    assert keeps(recipe(), Choices(), None, None) is None


def test_what_is_installed_is_kept() -> None:
    assert keeps_after(Choices(), Choices()) == ""


def test_a_plain_request_keeps_a_real_model_however_it_was_made() -> None:
    assert keeps_after(Choices(seed=3, params={"steps": "7"}), Choices()) == ""


def test_a_plain_request_does_not_keep_what_is_no_real_model() -> None:
    assert keeps_after(Choices(profile="smoke"), Choices()) is None


def test_the_same_request_for_no_real_model_keeps_it() -> None:
    assert keeps_after(Choices(profile="smoke"), Choices(profile="smoke")) == ""


@pytest.mark.parametrize(
    "then", [Choices(seed=1), Choices(params={"steps": "7"}), Choices(profile="smoke"), Choices(rebuild=True)]
)
def test_another_request_is_not_met_by_it(then: Choices) -> None:
    assert keeps_after(Choices(), then) is None


@pytest.mark.parametrize("then", [Choices(seed=0), Choices(params={"steps": "100"}), Choices(profile="standard")])
def test_defaults_that_are_spelt_out_are_the_same_request(then: Choices) -> None:
    assert keeps_after(Choices(), then) == ""


def test_a_new_version_is_not_met_by_the_old_one() -> None:
    assert keeps_after(Choices(), Choices(), recipe(version="1.0.0"), recipe(version="1.1.0")) is None


def test_an_edited_recipe_keeps_the_model_and_says_so() -> None:
    note = keeps_after(Choices(), Choices(), recipe(), recipe(digest="sha256:" + "7" * 64))
    assert note is not None
    assert "--rebuild" in note


def test_another_environment_keeps_the_model() -> None:
    model = recipe()
    package, artifact = made(make_build(model, Choices(seed=1), "sha256:" + "6" * 64, {}))
    assert keeps(model, Choices(seed=1), package, artifact) == ""


# Limits


def test_limits_that_fit_are_given_whole() -> None:
    limits, note = fit(recipe(), Profile("standard"), MACHINE)
    assert (limits, note) == (recipe().limits, "")


def test_a_small_machine_gives_what_it_has_and_says_so() -> None:
    greedy = recipe(limits=Limits(cpus=16, memory_bytes=64 << 30, disk_bytes=1))
    limits, note = fit(greedy, Profile("standard"), MACHINE)
    assert (limits.cpus, limits.memory_bytes) == (4, 8 << 30)
    assert "16 CPUs" in note
    assert "memory" in note


def test_a_profile_has_a_time_limit_of_its_own() -> None:
    assert fit(recipe(), Profile("smoke", wall_s=60), MACHINE)[0].wall_s == 60


def test_too_little_disk_is_refused_before_anything_starts() -> None:
    with pytest.raises(NoCapacity, match="not enough disk"):
        fit(recipe(limits=Limits(disk_bytes=4 << 30)), Profile("standard"), replace_disk(1 << 30))


def replace_disk(free_disk_bytes: int) -> Machine:
    return Machine(MACHINE.cpus, MACHINE.memory_bytes, free_disk_bytes)


# Steps


def test_built_if_the_store_has_nothing() -> None:
    model = recipe()
    wanted = make_build(model, Choices(profile="smoke"), ENVIRONMENT, {})
    step = step_of(model, wanted, Choices(profile="smoke"), MACHINE, None)
    assert (step.action, step.artifact, step.expected_s, step.limits.wall_s) == ("build", "", 3, 60)


def test_reused_if_the_store_has_it_unless_a_rebuild_is_asked_for() -> None:
    model = recipe()
    wanted = make_build(model, Choices(), ENVIRONMENT, {})
    _, artifact = made(wanted)
    step = step_of(model, wanted, Choices(), replace_disk(0), artifact)
    assert (step.action, step.artifact) == ("reuse", artifact.digest)
    assert step_of(model, wanted, Choices(rebuild=True), MACHINE, artifact).action == "build"


def test_not_reused_below_a_gate_that_has_risen() -> None:
    model = recipe(profiles={"standard": Profile("standard", gates=(Gate("miou", ">=", 0.7),))})
    wanted = make_build(model, Choices(), ENVIRONMENT, {})
    assert step_of(model, wanted, Choices(), MACHINE, made(wanted, miou=0.7)[1]).action == "reuse"
    with pytest.raises(GateRefused, match="built before"):
        step_of(model, wanted, Choices(), MACHINE, made(wanted, miou=0.6)[1])


# The order of builds


def step(name: str, expected_s: float | None, *needs: str) -> Step:
    made = build(name, dependencies=dict.fromkeys(needs, "key"))
    return Step("build", recipe(name), made, (), Limits(), expected_s=expected_s)


def order(*steps: Step) -> list[str]:
    return [each.build.name for each in longest_first(steps)]


def test_the_longest_build_of_a_request_is_queued_first() -> None:
    assert order(step("a", 5), step("b", 60), step("c", 30)) == ["b", "c", "a"]
    assert order(step("a", 5), step("b", 5)) == ["a", "b"], "as asked where it makes no difference"


def test_what_a_long_build_needs_is_as_urgent_as_both() -> None:
    assert order(step("base", 1), step("other", 50), step("top", 60, "base")) == ["base", "top", "other"]


def test_the_order_asked_for_stands_where_a_time_is_unknown() -> None:
    assert order(step("a", 5), step("b", None), step("c", 30)) == ["a", "b", "c"]


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0, 7.0]), st.sets(st.integers(0, 8))), max_size=9))
def test_nothing_comes_before_what_it_needs(drawn: list[tuple[float, set[int]]]) -> None:
    steps = [
        step(f"m{number}", seconds, *(f"m{earlier}" for earlier in needs if earlier < number))
        for number, (seconds, needs) in enumerate(drawn)
    ]
    seen: set[str] = set()
    for each in longest_first(steps):
        assert set(each.build.dependencies) <= seen
        seen.add(each.build.name)
    assert len(seen) == len(steps)


def test_values_are_values() -> None:
    """Equal by content, unchangeable, and known to the standard library as dataclasses."""
    assert replace(build(), seed=1) == build(seed=1)
    with pytest.raises(AttributeError):
        build().seed = 2  # type: ignore[misc]
