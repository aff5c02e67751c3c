"""Networks: stacked MLPs, normalisation, actors. What they are trained for is not here."""
