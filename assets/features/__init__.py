"""Group `features`: demand every five minutes, a profile of every collection, the SQL cache."""
