"""Tests of the trace sources that need no network."""
