"""Champion and challenger."""
