"""Group `traces`: the raw slice of a trace and the four canonical tables made from it."""
