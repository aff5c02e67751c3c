"""Tests of `marl.evaluate.robustness`."""
