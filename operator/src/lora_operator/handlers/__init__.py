"""Everything that Kopf calls. Nothing is decided here: a handler rings the bell of a LoRAModel and returns."""
