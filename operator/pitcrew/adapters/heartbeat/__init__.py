"""A heartbeat to an address outside, whose silence says that PitCrew is dead or unable. Nothing else is here."""
