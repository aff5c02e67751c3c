"""Seeing an episode: a record of it (`record`, `events`), and one page that shows it (`page`).

The page is self-contained, has a time slider, and puts a second policy in the same weather beside
the first. `python -m marl.evaluate.viewer` makes one. Statistics over episodes are `report`'s.
"""
