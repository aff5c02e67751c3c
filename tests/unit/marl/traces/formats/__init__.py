"""Readers of native layouts: bytes to typed columns, nothing lost."""
