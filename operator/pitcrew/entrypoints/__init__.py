"""How PitCrew is reached: the command line, and the operator on one machine. Nothing is decided here."""
