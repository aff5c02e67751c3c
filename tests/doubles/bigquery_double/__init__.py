"""A BigQuery stand-in: REST in front, DuckDB behind, faults on demand."""
