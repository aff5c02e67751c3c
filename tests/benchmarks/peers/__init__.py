"""Training beside BenchMARL on VMAS `simple_spread`: the world, both sides, a worker."""
