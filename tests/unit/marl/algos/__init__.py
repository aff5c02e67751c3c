"""Unit tests of marl.algos."""
