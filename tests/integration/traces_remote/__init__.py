"""The bucket and BigQuery sources against doubles, through the real client libraries."""
