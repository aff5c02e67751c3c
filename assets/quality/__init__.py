"""Validation: expectations as data, one adapter to Great Expectations, Data Docs, checks."""
