"""Features of a trace: demand over time, profiles of collections, the cache that answers SQL."""
