"""Tests of `marl.cloud`."""
