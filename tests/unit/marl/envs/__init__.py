"""Tests of `marl.envs`."""
