"""A model whose predictions leave more behind than they should."""

import json


def train(run):
    run.phase("train", total=run.params.size)
    weights = [run.seed + index for index in range(run.params.size)]
    run.progress(run.params.size)
    run.report("quality", 1.0)
    (run.out / "weights.json").write_text(json.dumps(weights))
