"""`python -m bench.tiers`."""

from bench.tiers.command import app

app()
