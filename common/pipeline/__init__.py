"""The graph of all studies: loading and checking them, scales, digests, cost, and Snakemake's rules."""
