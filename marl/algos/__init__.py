"""Learners and their pure maths: returns, losses, exploration. They see specs, no environment."""
