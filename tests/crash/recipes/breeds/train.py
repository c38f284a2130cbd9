"""Each descendant is deaf to SIGTERM, leads a session of its own, and has no parent but init."""

import subprocess
import sys
import time

CHILD = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
os.fork() and os._exit(0)
os.setsid()
for _ in range(3):
    os.fork()
time.sleep(60)
"""


def train(run):
    subprocess.run([sys.executable, "-c", CHILD, run.params.mark])
    time.sleep(0.5)  # they fork
    run.phase("grown")
    deadline = time.monotonic() + run.params.seconds
    while time.monotonic() < deadline and not run.should_stop:
        time.sleep(0.1)
    (run.out / "weights.json").write_text("[]")
