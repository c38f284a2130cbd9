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

# SIGKILL at named points
crash:
    pytest -q tests/crash

# figures, each beside a floor or a peer
bench:
    python benchmarks/all.py

# the tests of one recipe
recipe NAME:
    pytest -q recipes/{{NAME}}
