"""`hive`, `hive-control` and `python -m hive`."""

from __future__ import annotations

from hive.cli import main

if __name__ == "__main__":
    main()
