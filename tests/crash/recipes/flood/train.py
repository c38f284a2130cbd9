import os


def train(run):
    line = b"x" * 99 + b"\n"
    for step in range(run.params.megabytes):
        os.write(1, line * 10_000)
        run.progress(step + 1)
    (run.out / "weights.json").write_text("[]")
