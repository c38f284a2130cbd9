"""A loss that grows until it is none."""


def train(run):
    run.phase("train", total=5000)
    loss = 1.0
    for step in range(5000):
        loss = loss * 2.0 if loss < 1e300 else loss * 1e300 - loss * 1e300  # inf - inf
        run.progress(step, loss=loss)
