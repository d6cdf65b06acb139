"""Adapters of the port `Consultant`: models that give a second opinion."""
