"""Adapters of the port `Transcripts`: where the words to and from models are kept."""
