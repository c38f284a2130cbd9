"""The global generator is part of the state: a resume that forgets it ends with another sum."""

import json
import random
import time


def train(run):
    state = run.resume() or {"step": 0, "total": 0.0}
    run.phase("train", total=run.params.steps)
    while state["step"] < run.params.steps:
        number = random.random()
        state = {"step": state["step"] + 1, "total": state["total"] + number}
        run.progress(state["step"], loss=number)
        run.checkpoint(state["step"], lambda state=state: state)
        time.sleep(run.params.pause_ms / 1000)
    run.report("total", state["total"])
    (run.out / "weights.json").write_text(json.dumps(state))
    if run.params.ballast_kib:
        (run.out / "ballast").write_bytes(b"ballast " * 128 * run.params.ballast_kib)
