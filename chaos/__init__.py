"""Breaks a service from outside, on purpose, and puts it right again.

The law of this package: it imports nothing of PitCrew and asks nothing of it. It acts as the world does: with files,
signals and the Docker engine, on one named target that was found without doubt, and never on anything else.
The docker SDK and PyYAML are imported where they are used, so that a local process needs neither.
"""
