"""Takes memory 16 MiB at a time and touches every page. Stops by itself, so that no machine is lost to a test."""

import time


def train(run):
    run.phase("train", total=run.params.mebibytes)
    taken = []
    for mebibytes in range(0, run.params.mebibytes, 16):
        taken.append(b"\x01" * (16 << 20))
        run.progress(mebibytes)
        time.sleep(0.01)  # a watchdog that looks ten times a second must have a chance
    (run.out / "weights.json").write_text(str(len(taken)))
