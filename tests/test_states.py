"""The table of legal changes of state."""

from __future__ import annotations

from hive_runner.contract import FAILURE_KINDS

from hive.states import (
    FIRST_DELAY_S,
    MAX_ATTEMPTS,
    MAX_CHARGED_ATTEMPTS,
    RETRIED_KINDS,
    TRANSITIONS,
    UNCHARGED_KINDS,
    Event,
    JobState,
    origins,
    retry_delay_s,
)

OVER = {JobState.SUCCEEDED, JobState.FAILED, JobState.CANCELLED}


def test_what_succeeded_stays_so() -> None:
    assert not [event for (state, event) in TRANSITIONS if state is JobState.SUCCEEDED]


def test_only_a_person_wakes_what_is_over() -> None:
    assert {event for (state, event) in TRANSITIONS if state in OVER} == {Event.REQUEUE}


def test_only_a_claim_begins_an_attempt() -> None:
    assert {event for (_, event), target in TRANSITIONS.items() if target is JobState.RUNNING} == {Event.CLAIM}


def test_every_state_but_success_can_be_left_and_every_state_reached() -> None:
    assert {state for state, _ in TRANSITIONS} == set(JobState) - {JobState.SUCCEEDED}
    assert {*TRANSITIONS.values()} == set(JobState)


def test_every_live_state_can_be_cancelled() -> None:
    assert set(origins(Event.CANCEL)) == set(JobState) - OVER


def test_is_over() -> None:
    assert {state for state in JobState if state.is_over} == OVER


def test_kinds_are_those_of_the_contract() -> None:
    assert set(FAILURE_KINDS) >= RETRIED_KINDS >= UNCHARGED_KINDS


def test_what_would_fail_again_is_not_tried_blindly() -> None:
    assert not RETRIED_KINDS & {"out_of_memory", "gate_refused", "diverged", "recipe_error", "timeout", "disk_full"}
    assert MAX_CHARGED_ATTEMPTS <= MAX_ATTEMPTS


def test_pauses_double_from_the_kinds_first_to_five_minutes() -> None:
    assert [retry_delay_s("infrastructure", tries, 0.5) for tries in (0, 1, 2, 3, 4)] == [1, 1, 2, 4, 8]
    assert [retry_delay_s("no_heartbeat", tries, 0.5) for tries in (1, 2)] == [5, 10]
    assert retry_delay_s("stopped", 9, 0.5) == 0
    assert retry_delay_s("infrastructure", 1000, 0.5) == 300


def test_pauses_differ_by_chance_so_that_jobs_do_not_come_back_together() -> None:
    assert retry_delay_s("infrastructure", 3, 0.0) == 3
    assert retry_delay_s("infrastructure", 3, 1.0) == 5


def test_every_kind_that_is_tried_again_has_its_pause() -> None:
    assert set(FIRST_DELAY_S) == RETRIED_KINDS
