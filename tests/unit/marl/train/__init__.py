"""Unit tests of marl.train."""
