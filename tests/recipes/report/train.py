"""A model with nothing to learn."""


def train(run):
    (run.out / "weights.json").write_text("[]")
