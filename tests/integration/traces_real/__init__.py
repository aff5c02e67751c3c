"""Canonical tables from the real traces, against independent counts and a slow reader."""
