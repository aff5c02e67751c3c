"""The workload: classes, demand per class, the fitted model, generators, goodness of fit."""
