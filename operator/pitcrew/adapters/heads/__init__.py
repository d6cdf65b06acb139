"""Heads of the journal leave the host, for `pitcrew audit verify --heads`: `leaving` says when, each other module one
place where they go. Nothing here may delay an incident."""
