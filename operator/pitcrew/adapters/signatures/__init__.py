"""Whose signature a decision carries; public keys only, and nothing here can sign."""
