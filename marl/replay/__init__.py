"""Replay buffers on tensors. What the rows mean belongs to the learner."""
