"""Adapters of the port ReportSink."""
