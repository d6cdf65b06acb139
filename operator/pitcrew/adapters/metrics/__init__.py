"""Metrics for Prometheus: `catalogue` says which, `witness` counts what the loop tells, `server` shows them. The only
place that knows prometheus-client."""
