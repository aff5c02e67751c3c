"""Tests of the episode viewer."""
