"""Unit tests of the provisioning plan, its cost and its HCL."""
