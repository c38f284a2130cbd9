# The tools a developer needs; `scripts/test` sets them up in .venv.

export PATH := justfile_directory() / ".venv/bin:" + env_var("PATH")

# every check and test, as in CI
test *ARGS:
    scripts/test {{ARGS}}

# style, types, layers
check:
    ruff check .
    ruff format --check .
    mypy
    pytest -q tests/test_layers.py

# all kills, faults and jumps of the clock, not just the few of `just test`; prints a table. --seed N repeats a run
crash *ARGS:
    pytest -q -n "${PYTEST_WORKERS:-2}" tests/crash --whole {{ARGS}}

# figures, each beside a floor or a peer
bench:
    python benchmarks/all.py

# the tests of one recipe
recipe NAME:
    pytest -q recipes/{{NAME}}
