"""Tests of marl.evaluate.ablation."""
