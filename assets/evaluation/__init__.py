"""Group `evaluation`: tuned baselines, paired held-out episodes, and the report on them."""
