"""TGI's API, as a translation to and from completions: whatever generates, admits and counts is that of the OpenAI routes."""
