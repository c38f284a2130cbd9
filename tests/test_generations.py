"""Generations: what changed when, and the way back."""

from __future__ import annotations

import pytest
from test_installed import artifact, holdings, install

from hive import generations, installed
from hive.db import Database
from hive.errors import RequestError


def test_each_generation_says_what_it_changed(db: Database) -> None:
    a, b, c = (artifact(db, letter) for letter in "abc")
    install(db, "one", a)
    install(db, "two", b)
    install(db, "one", c)
    installed.remove(db, ["two"])
    told = [(g.id, g.reason, g.changes) for g in generations.generations(db)]
    assert told == [
        (1, "install one 1.0.0", ("+one 1.0.0",)),
        (2, "install two 1.0.0", ("+two 1.0.0",)),
        (3, "install one 1.0.0", ("one 1.0.0, another build",)),
        (4, "remove two", ("-two 1.0.0",)),
    ]


def test_rollbacks_in_a_row_lead_on_into_the_past(db: Database) -> None:
    for name, letter in (("one", "a"), ("two", "b"), ("three", "c")):
        install(db, name, artifact(db, letter))
    seen = []
    for _ in range(2):
        with db.write():
            generations.roll_back(db, generations.target(db, None))
        seen.append(holdings(db))
    assert seen == [{"one": "a", "two": "b"}, {"one": "a"}]
    with pytest.raises(RequestError, match="nothing to go back to"):
        generations.target(db, None)


def test_a_rollback_can_be_undone_by_number_and_is_exact(db: Database) -> None:
    install(db, "one", artifact(db, "a"), automatic=True)
    before = installed.packages(db)
    installed.remove(db, ["one"])
    with db.write():
        made = generations.roll_back(db, generations.target(db, 1))
    assert installed.packages(db) == before and before[0].automatic
    assert generations.generations(db)[-1].origin == 1 and made == 3
    with db.write():
        generations.roll_back(db, generations.target(db, 2))
    assert installed.packages(db) == []


def test_a_change_after_a_rollback_goes_back_to_the_rollback(db: Database) -> None:
    for name, letter in (("one", "a"), ("two", "b")):
        install(db, name, artifact(db, letter))
    with db.write():
        generations.roll_back(db, 1)
    install(db, "three", artifact(db, "c"))
    assert generations.target(db, None) == 3


def test_what_is_not_on_record_is_refused_with_what_is(db: Database) -> None:
    with pytest.raises(RequestError, match="nothing to go back to"):
        generations.target(db, None)
    for letter in "abcd":
        install(db, "one", artifact(db, letter))
    with db.write():
        db.run("packages.forget_generation", generation=2)
    with pytest.raises(RequestError) as caught:
        generations.target(db, 9)
    assert caught.value.why == "known are 1, 3 to 4"


def test_only_generations_replaced_before_the_moment_are_forgotten(db: Database) -> None:
    for letter in "abc":
        install(db, "one", artifact(db, letter))
    times = [g.at for g in generations.generations(db)]
    with db.write():
        assert generations.forget(db, times[1]) == []
        assert generations.forget(db, times[1] + (times[2] - times[1]) / 2) == [1]
        assert generations.forget(db, times[2] + 1e6) == [2], "the present one always stays"
    assert [g.id for g in generations.generations(db)] == [3]
