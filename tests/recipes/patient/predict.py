"""Copy the text in upper case, with the weights below it."""

import json


def load(artifact, threads=1, device="cpu"):
    return json.loads((artifact / "weights.json").read_text())


def predict(run):
    weights = load(run.artifact)
    run.output.write_text("".join(path.read_text().upper() for path in run.inputs) + f"{weights}\n")
    run.summary["weights"] = len(weights)


def sample(run):
    run.output.write_text("hello\n")
