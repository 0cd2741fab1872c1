"""Trained adapters as files and tensors: what they are, whether they fit, and the tensors that a revision serves.

Everything here is a plain blocking function: no network, no engine. Call it in a thread.
"""
