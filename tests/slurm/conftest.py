"""A throw-away Slurm: one controller and two nodes on loopback, real binaries, a folder of its own, root's processes.

Not covered: accounting (slurmdbd), cgroups, GPUs as generic resources, a node that fails.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

PROGRAMS = ["munged", "mungekey", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "sinfo", "squeue", "scancel"]
SYSTEM_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"

SLURM_CONF = """\
ClusterName=structrl
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdSpoolDir={folder}/spool-%n
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
ReturnToService=2
KillWait=5
SchedulerParameters=sched_interval=2
{nodes}
PartitionName=test Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


@dataclass(frozen=True, kw_only=True)
class SlurmCluster:
    """A running cluster and the environment in which Slurm's commands reach it."""

    nodes: Sequence[str]
    environment: Mapping[str, str]

    def run(self, *command: str, **environment: str) -> str:
        """The output of one command, ``environment`` added to the cluster's; fails the test with what it wrote."""
        done = subprocess.run(command, env={**self.environment, **environment}, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)} gave {done.returncode}: {done.stdout}{done.stderr}"
        return done.stdout

    def job(self, job: str) -> dict[str, str]:
        """What the controller knows of a job, as key and value."""
        fields = self.run("scontrol", "--oneliner", "show", "job", job).split()
        return dict(field.split("=", 1) for field in fields if "=" in field)


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def node_names() -> list[str]:
    """Two names of this machine: a job finds its main process by a node's name, so n1 and n2 will not do."""
    host = socket.gethostname().split(".")[0]
    try:
        socket.getaddrinfo(host, None)
    except OSError as error:
        pytest.skip(f"needs a host name that resolves, as the name of a node: {host}: {error}")
    if host == "localhost":
        pytest.skip("needs a host name other than localhost, for two nodes on one machine need two names")
    return [host, "localhost"]


def wait_until(condition: Callable[[], bool], seconds: float, what: Callable[[], str]) -> None:
    """Polls; fails the test with ``what()`` when the time is up."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds:.0f} s: {what()}")
        time.sleep(0.3)


def start_daemons(
    folder: Path, nodes: Sequence[str], environment: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """Munge, the controller and a slurmd for each node, all in the foreground so that ending them is ours."""
    munge_files = [
        f"--{option}={folder}/munge.{suffix}"
        for option, suffix in [("key-file", "key"), ("log-file", "log"), ("pid-file", "pid"), ("seed-file", "seed")]
    ]
    subprocess.run(["mungekey", "--create", f"--keyfile={folder}/munge.key"], env=environment, check=True)
    # --force: munged objects to a folder that only its owner can enter, which is what a temporary one should be.
    commands = [["munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge_files]]
    commands.append(["slurmctld", "-D"])
    commands.extend(["slurmd", "-D", "-N", node] for node in nodes)
    with open(folder / "daemons.log", "wb") as log:
        for command in commands:
            yield subprocess.Popen(command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
            if command[0] == "munged":
                wait_until((folder / "munge.socket").exists, 20, (folder / "daemons.log").read_text)


@pytest.fixture(scope="session")
def slurm_cluster() -> Iterator[SlurmCluster]:
    """Two idle nodes; skipped where Slurm's programs, munge or root are missing; gone after the session."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=SYSTEM_PATH) is None]
    if missing:
        pytest.skip(f"needs a Slurm installation (Debian: slurm-wlm and munge); missing: {', '.join(missing)}")
    if os.geteuid() != 0:
        pytest.skip("needs root: slurmd starts jobs as their users")
    names = node_names()
    # Not pytest's own folder: a UNIX socket's path must stay under 108 characters.
    folder = Path(tempfile.mkdtemp(prefix="structrl-slurm-"))
    controller_port, *node_ports = free_ports(1 + len(names))
    nodes = "\n".join(
        f"NodeName={name} NodeHostname={names[0]} NodeAddr=127.0.0.1 Port={port} CPUs=1 State=UNKNOWN"
        for name, port in zip(names, node_ports, strict=True)
    )
    (folder / "state").mkdir()
    (folder / "slurm.conf").write_text(
        SLURM_CONF.format(host=names[0], controller_port=controller_port, folder=folder, nodes=nodes)
    )
    # No SLURM_ or SBATCH_ settings of an outer cluster.
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("SLURM_", "SBATCH_"))}
    environment = {**inherited, "PATH": SYSTEM_PATH, "SLURM_CONF": str(folder / "slurm.conf")}
    cluster = SlurmCluster(nodes=names, environment=environment)
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        daemons.extend(start_daemons(folder, names, environment))
        wait_until(lambda: idle_nodes(cluster) == set(names), 60, lambda: logs(folder))
        yield cluster
        # A job's processes are slurmstepd's, not ours: they must be gone before slurmd is.
        cluster.run("scancel", "--full", "--user=root")
        wait_until(lambda: cluster.run("squeue", "--noheader") == "", 30, lambda: cluster.run("squeue"))
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
            try:
                daemon.wait(timeout=10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        shutil.rmtree(folder, ignore_errors=True)


def idle_nodes(cluster: SlurmCluster) -> set[str]:
    """The nodes ready for a job; none while the controller is still starting."""
    answer = subprocess.run(
        ["sinfo", "--noheader", "--Node", "--format=%N %T"], env=cluster.environment, capture_output=True, text=True
    )
    lines = [line.split() for line in answer.stdout.splitlines()]
    return {line[0] for line in lines if len(line) == 2 and line[1] == "idle"}


def logs(folder: Path) -> str:
    """The end of every daemon's log, for the message of a test that cannot start."""
    return "\n".join(f"{log.name}: {log.read_text(errors='replace')[-1500:]}" for log in sorted(folder.glob("*.log")))
