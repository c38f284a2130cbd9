"""Fails halfway, as a bug in a recipe does."""


def train(run):
    run.phase("train", total=10)
    for step in range(10):
        run.progress(step)
        if step == 5:
            _divide(step, 0)


def _divide(a, b):
    return a / b
