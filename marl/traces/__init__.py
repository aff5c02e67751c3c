"""Real and synthetic cluster traces: where they come from, how they are read, one canonical form."""
