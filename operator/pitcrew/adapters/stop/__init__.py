"""The switch by which a person stops PitCrew."""
