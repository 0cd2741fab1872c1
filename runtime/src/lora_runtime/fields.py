"""What requests of OpenAI's API may say beside OpenAI's own fields."""

COMPOSITION = "lora"
MAPPING = "prompt_to_adapter_mapping"
