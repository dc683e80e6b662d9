"""The stability gap: what an old task loses within the first updates after a switch, and what removes it."""
