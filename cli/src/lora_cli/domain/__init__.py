"""From objects to rows and sentences, and from words to objects. Nothing here talks to anybody."""
