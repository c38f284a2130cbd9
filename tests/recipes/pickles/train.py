"""Saves its weights in a format that runs code when it is opened."""

import pickle


def train(run):
    run.phase("train", total=1)
    run.progress(1)
    (run.out / "weights.pkl").write_bytes(pickle.dumps([1, 2, 3]))
