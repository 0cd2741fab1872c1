"""`kubectl lora`: adapters from the command line, with the rights of whoever types."""
