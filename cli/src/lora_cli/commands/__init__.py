"""One function for each command: read its words, ask, decide in `domain`, print."""
