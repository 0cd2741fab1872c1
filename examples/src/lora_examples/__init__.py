"""The demo: a small base model, LoRA adapters trained on it, and the commands that make and show them."""
