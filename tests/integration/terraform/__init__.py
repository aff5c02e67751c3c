"""The written module under the real Terraform, against the stand-in provider."""
