"""Files and processes of a run: from a job to records, checkpoints and snapshots."""
