"""Training: settings, loop, checkpoints, tracking, policy files. Algorithms are in `algos`."""
