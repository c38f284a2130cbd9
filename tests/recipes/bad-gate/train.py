"""Trains well by its own account; its gate thinks otherwise."""


def train(run):
    run.phase("train", total=1)
    run.progress(1)
    run.report("accuracy", 0.6, dataset="nothing")
    (run.out / "weights.json").write_text("[]")
