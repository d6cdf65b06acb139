"""Adapters of the port StatusSink."""
