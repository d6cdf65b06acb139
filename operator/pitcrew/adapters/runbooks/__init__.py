"""Adapters of the port RunbookSource."""
