"""Runtimes of workloads: `docker` and `process`. Kinds are never substituted for one another."""
