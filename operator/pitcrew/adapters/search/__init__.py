"""Adapters of the port RunbookSearch."""
