"""PitCrew keeps declared services healthy, under governance."""

__version__ = "0.1.0"
