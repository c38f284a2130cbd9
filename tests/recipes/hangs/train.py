"""Says nothing for an hour, and does not listen to SIGTERM either: it never reaches a checkpoint."""

import time


def train(run):
    run.phase("train")
    deadline = time.monotonic() + run.params.seconds
    while time.monotonic() < deadline:
        time.sleep(min(60, run.params.seconds))
    (run.out / "weights.json").write_text("[]")
