"""Locks that keep two operators on one machine from acting on one target (S3)."""
