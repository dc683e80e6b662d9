"""A Slurm cluster on this machine, for as long as a test wants it: munge, one controller, and one slurmd a node.

All nodes are this host, each with a port of its own. There is no database, and nothing is limited by cgroups: the tests
are about what Slurm does to jobs (start, end, requeue), not about how it fences them in.
"""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

CONFIGURATION = Path("/etc/slurm/slurm.conf")
"""Where Slurm looks for it. SLURM_CONF is no way out: the plugin clears Slurm's variables before it submits a job."""

MUNGE = Path("/run/munge/munge.socket.2")

PROGRAMS = ("slurmctld", "slurmd", "sbatch", "munged", "runuser")
"""All that is needed; Debian's packages slurmctld, slurmd, slurm-client and munge have it."""

GENERAL = """\
ClusterName=training
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
SlurmctldPort=7817
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdParameters=config_overrides
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MpiDefault=none
ReturnToService=2
MinJobAge=3600
KillWait=20
OverTimeLimit=0
SchedulerParameters=sched_min_interval=500000,batch_sched_delay=1,bf_interval=5
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
"""

NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cores} RealMemory=16000 State=UNKNOWN\n"
)

PARTITIONS = """\
PartitionName=main Nodes=ALL Default=YES MaxTime=2:00:00 DefaultTime=30:00 PriorityTier=1 GraceTime=20 State=UP
PartitionName=urgent Nodes=ALL MaxTime=2:00:00 DefaultTime=10:00 PriorityTier=10 State=UP
"""


def obstacle() -> str | None:
    """Why no cluster can be started here; None where one can."""
    if os.geteuid() != 0:
        return "starting Slurm needs root"
    if missing := [program for program in PROGRAMS if not shutil.which(program)]:
        return f"{', '.join(missing)} not found: apt install slurmctld slurmd slurm-client munge (Debian)"
    if subprocess.run(["scontrol", "ping"], capture_output=True, text=True, check=False).stdout.count("UP"):
        return f"a Slurm is running here already, by {CONFIGURATION}"
    return None


class Slurm:
    """A cluster that runs until `stop`.

    Args:
        folder: where it keeps its state.
        nodes: how many, called n1, n2, ...
        cores: of each.
    """

    def __init__(self, folder: Path, *, nodes: int = 1, cores: int = 2) -> None:
        self.folder = folder
        self.nodes = [f"n{number}" for number in range(1, nodes + 1)]
        folder.mkdir(parents=True)
        (folder / "state").mkdir()
        self.before = CONFIGURATION.read_bytes() if CONFIGURATION.exists() else None
        host = socket.gethostname()
        described = [NODE.format(name=n, host=host, port=7820 + i, cores=cores) for i, n in enumerate(self.nodes)]
        CONFIGURATION.parent.mkdir(exist_ok=True)
        CONFIGURATION.write_text("".join([GENERAL.format(host=host, folder=folder), *described, PARTITIONS]))
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        if not MUNGE.is_socket():
            MUNGE.parent.mkdir(parents=True, exist_ok=True)
            shutil.chown(MUNGE.parent, "munge", "munge")
            pid = self.folder / "munged.pid"
            self.folder.chmod(0o755)
            command = ["runuser", "-u", "munge", "--", "/usr/sbin/munged", "--force"]
            subprocess.run([*command, "--pid-file", "/run/munge/tests.pid"], check=True)
            pid.symlink_to("/run/munge/tests.pid")
        subprocess.run(["slurmctld", "-c"], check=True)
        for node in self.nodes:
            (self.folder / f"spool-{node}").mkdir()
            subprocess.run(["slurmd", "-N", node], check=True)
        wait(lambda: self.states() == ["idle"] * len(self.nodes), "the nodes are idle", seconds=60)

    def states(self) -> list[str]:
        """What the controller says of each node."""
        return run("sinfo", "--noheader", "--Node", "--partition=main", "--format=%t").split()

    def jobs(self, *, state: str | None = None) -> list[int]:
        """Ids of the jobs in a state, such as RUNNING, the oldest first; of all that have not ended if None."""
        chosen = ["--states", state] if state else []
        return sorted(map(int, run("squeue", "--noheader", "--format=%i", *chosen).split()))

    def told(self, job: int) -> dict[str, str]:
        """What Slurm says of a job, by name."""
        words = run("scontrol", "show", "job", str(job), "--oneliner").split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def clear(self) -> None:
        """End all jobs, and wait until the nodes are idle."""
        if jobs := self.jobs():
            subprocess.run(["scancel", "--full", *map(str, jobs)], check=False, capture_output=True)
        wait(lambda: not self.jobs() and set(self.states()) == {"idle"}, "all jobs are gone", seconds=60)

    def stop(self) -> None:
        """End all jobs and all that was started, by process id, and put the configuration back."""
        with suppress(AssertionError, OSError, subprocess.SubprocessError):  # it may never have come up
            self.clear()
        for file in sorted(self.folder.glob("*.pid"), reverse=True):  # the nodes before the controller
            _end(file)
        if self.before is None:
            CONFIGURATION.unlink(missing_ok=True)
        else:
            CONFIGURATION.write_bytes(self.before)


def _end(file: Path) -> None:
    """End the process that a file names, and wait for it."""
    try:
        process = int(file.read_text(encoding="ascii"))
        os.kill(process, signal.SIGTERM)
    except (FileNotFoundError, ValueError, ProcessLookupError):
        return
    wait(lambda: not Path(f"/proc/{process}").exists(), f"{file.stem} has ended", seconds=30)


def run(*command: str) -> str:
    """Output of a command that has to succeed."""
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def batch(folder: Path, script: str, *options: str, environment: dict[str, str]) -> int:
    """Submit a script that works in a folder; the id of its job, whose output is `slurm-<id>.out` there."""
    command: Sequence[str] = ["sbatch", "--parsable", *options, "--wrap", script]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    return int(done.stdout)


def wait(condition, what: str, *, seconds: float) -> None:
    """Return as soon as a condition holds.

    Raises: AssertionError if it does not within so many seconds.
    """
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds} s: {what}")
        time.sleep(0.2)
