"""`python -m bench.two_hundred`."""

from bench.two_hundred.command import app

app()
