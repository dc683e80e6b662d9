"""Rows of sampled runs at the smoke scale, as they were: an edit of the training loop keeps them.

`digests.json` holds SHA-256 of metrics.csv by class of machine, the CSV files the rows of some of them, which another
class of machine meets up to rounding. A change that is meant to change numbers says so in the changelog, and
`python -m tests.golden scales/smoke/results` writes both anew on a machine of a known class; one of another class adds
its digests.
"""
