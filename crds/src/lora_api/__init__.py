"""The contract: what users write, and what the operator and the runtime say to each other.

Nothing here does I/O or knows either program.
"""
