"""Servers: what PitCrew answers over the network.

`access` says who may call what, and `unguarded` finds what the table forgot; `hygiene` is the middleware in front of
every application; `protocol` keeps connections short and few; `serving` starts servers, and nothing else does.
"""
