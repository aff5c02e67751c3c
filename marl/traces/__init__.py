"""Cluster traces, real and synthetic: where they come from, how they are read, one form."""
