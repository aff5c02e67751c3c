"""Group `terraform`: what the chosen policy would provision, and that as HCL."""
