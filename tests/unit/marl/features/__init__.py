"""Tests of marl.features: windows, profiles, cache and questions."""
