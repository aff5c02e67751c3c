"""Tests of `marl.workload`."""
