"""Canonical tables: rules, selection, partition, accounting."""
