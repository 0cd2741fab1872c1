"""Where files come from. Each source pins what it finds, and copies exactly that."""
