"""Tests of the embedded trace."""
