"""Unit tests of what the bucket and BigQuery sources are made of."""
