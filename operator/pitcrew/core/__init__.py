"""The core decides: pure functions over frozen values, one file per stage.

What must not live here: I/O, clocks, randomness, logging, async. A stage may read the results of earlier
stages only; import-linter holds the order (see `pyproject.toml`).
"""
