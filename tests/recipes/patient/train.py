"""Draws from Python's global generator: a resume that forgets where that stood is found out."""

import json
import random
import time


def train(run):
    random.seed(run.seed)
    state = run.resume() or {"step": 0, "total": 0.0}
    run.phase("train", total=run.params.steps)
    for step in range(state["step"] + 1, run.params.steps + 1):
        number = random.random()
        state = {"step": step, "total": state["total"] + number}
        run.progress(step, loss=number)
        run.checkpoint(step, lambda state=state: state)
        time.sleep(run.params.pause_ms / 1000)
    run.report("mean", state["total"] / run.params.steps)
    (run.out / "weights.json").write_text(json.dumps(state))
