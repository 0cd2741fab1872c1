"""Turning wishes into acts: a queue of LoRAModels, and for each of them look, decide, act."""
