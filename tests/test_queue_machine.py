"""Runs the state machine of queue_machine.py."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from queue_machine import QueueMachine

QueueMachine.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestQueue = QueueMachine.TestCase
