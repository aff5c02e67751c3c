"""Ablations: what each component of learning is worth, one change of one base at a time.

`grid` says what a base and a component are, `bases` and `components` list them, `setups` makes runs
of them, `worlds` the clouds, `cells` trains, plays and stores, `effects` are the statistics, `told`
and `forest` what is shown. `python -m marl.evaluate.ablation` runs it (`command`).
"""
