"""Deciding. Everything here is a pure function of frozen values: no I/O, no clock, no logging, no environment."""
