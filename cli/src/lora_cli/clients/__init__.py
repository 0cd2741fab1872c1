"""Talking: to the API server, and through it to the pods that serve."""
