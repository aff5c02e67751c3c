"""Unit tests of marl.replay."""
