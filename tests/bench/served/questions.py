"""What the demo's model is asked: open questions, so that every recipe answers in words of its own."""

QUESTIONS = (
    "Tell me about the sea.",
    "Describe a storm.",
    "What makes a good friend?",
    "How do I bake bread?",
    "Why do people travel?",
    "Tell me a story about a ship.",
    "What should I cook tonight?",
    "Describe your favourite city.",
    "How does a bicycle work?",
    "Why do we dream?",
    "What is a good way to learn music?",
    "Describe the moon.",
    "How can I sleep better?",
    "Why do leaves fall?",
    "Tell me about a brave dog.",
    "What do you know about mountains?",
)
