"""How fast extraction and training are, and what they cost."""
