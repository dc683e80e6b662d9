"""The training loop, alone or for members side by side, with its evaluations and probes."""
