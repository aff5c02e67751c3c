"""Serving: trained policies outside training. Learning is in `train`, judging in `evaluate`."""
