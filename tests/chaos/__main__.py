"""`python -m chaos`."""

from chaos.command import app

app()
