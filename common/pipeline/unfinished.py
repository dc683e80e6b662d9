"""What a build was to make again and did not: kept in Snakemake's memory, so that the same command makes it.

Snakemake asks for no missing file while what is made of it stands. So after a job has failed over something that no
edit mends (memory, a kill, a full disk), the figures of an earlier build would be up to date for it.
"""

from pathlib import Path
from typing import Any


def remember(workflow: Any) -> None:
    """Let Snakemake take the files of every job that it has not done for incomplete, until they are made.

    Args:
        workflow: Snakemake's, its graph of jobs included.
    """
    for job in workflow.dag.needrun_jobs():
        if any(Path(file).exists() for file in job.output):
            job.register()
