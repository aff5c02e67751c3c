"""Unit tests of marl.nets."""
