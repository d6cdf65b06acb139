"""Languages that policies are written in."""
