"""The development half of the labelled incidents, as drafts: apps and their voices, and one module per kind of fault.

Written from FAULTS.md and from how real services fail; rules are tuned on this half and on no other.
"""
