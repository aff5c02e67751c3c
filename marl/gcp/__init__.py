"""Google Cloud: the provisioning plan, its cost, and the Terraform that carries it out."""
