"""Forgets to save."""


def train(run):
    run.phase("train", total=1)
    run.progress(1)
    run.report("accuracy", 1.0)
