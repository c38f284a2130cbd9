"""Runs the state machines of queue_machine.py and scheduler_machine.py: some steps in every run, many with --whole."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test
from queue_machine import QueueMachine
from scheduler_machine import SchedulerMachine


@pytest.mark.parametrize(("machine", "examples"), [(QueueMachine, 40), (SchedulerMachine, 40)])
def test_hive_does_as_the_model_does(
    machine: type[RuleBasedStateMachine], examples: int, request: pytest.FixtureRequest
) -> None:
    whole = request.config.getoption("--whole")
    chosen = settings(
        max_examples=(20 if whole else 1) * examples,
        stateful_step_count=80 if whole else 40,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=chosen)
