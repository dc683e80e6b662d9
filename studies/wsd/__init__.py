"""Warm-up-stable-decay: why the loss falls in the decay, and whether it is as good as an oracle cosine."""
