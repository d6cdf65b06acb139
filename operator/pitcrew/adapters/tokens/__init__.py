"""Where bearer tokens are kept: `files` is a file of their hashes."""
