"""Talking to the world outside: one thin file per system, no decisions."""
