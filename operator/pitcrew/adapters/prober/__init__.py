"""Probes that go over the network. Only looking lives here: nothing changes a target, nothing is retried.

An answer of the service is a Success or a Failure; what our side could not carry out is Unknown (S5).
"""
