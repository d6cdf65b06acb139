"""Whole looks at services: the runtime, and the probes that are due. Nothing here changes a target."""
