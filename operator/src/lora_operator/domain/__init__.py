"""Deciding. Everything here is a pure function of frozen values: no I/O, clock, logging or environment."""
