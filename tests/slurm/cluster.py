"""A SLURM cluster on this machine: munge, accounting with its database, a controller and virtual nodes.

Everything lies in one folder: configuration, keys, sockets, spool and logs. The daemons are children of this process,
known by their ids, and die with it; nothing of `/etc` or `/run` is read or written.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NAME = "ophiolite"
NODES = ("n1", "n2")
MEMORY_MB = 6000
ACCOUNTS = "jobid%4,comment%48,state%15,nodelist%8,reqmem,start,elapsed"
READY_S = 30
END_S = 10
PDEATHSIG = 1

SLURM_CONF = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/log/slurmctld.log
SlurmdLogFile={folder}/log/%n.log
SlurmctldPort={controller_port}
# Accounts of all jobs in a database, as clusters have: the plugin asks `sacct` how jobs are.
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={accounting_port}
AccountingStoragePass={folder}/munge.socket
AccountingStoreFlags=job_comment
# Memory is watched by sampling, without control groups: what a container lets one do.
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,sched_min_interval=0,batch_sched_delay=0
MpiDefault=none
ReturnToService=2
# A node that does not answer is down after this many seconds; its jobs go back into the queue.
SlurmdTimeout=4
MessageTimeout=4
KillWait=2
SlurmdParameters=config_overrides
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP LLN=YES
"""
NODE = "NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=2 RealMemory={memory} State=UNKNOWN\n"

SLURMDBD_CONF = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={accounting_port}
SlurmUser=root
LogFile={folder}/log/slurmdbd.log
PidFile={folder}/slurmdbd.pid
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database_port}
StorageUser=slurm
StoragePass=slurm
StorageLoc=slurm_acct_db
"""
DATABASE = """\
CREATE DATABASE slurm_acct_db;
CREATE USER 'slurm'@'127.0.0.1' IDENTIFIED BY 'slurm';
GRANT ALL ON slurm_acct_db.* TO 'slurm'@'127.0.0.1';
"""


def die_with_parent() -> None:
    """Make a child die when the process that started it does, however that ends."""
    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)


def free_ports(count: int) -> list[int]:
    """Ports of the loopback interface that nothing listens on."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def answers(port: int) -> bool:
    """Whether something listens on a port of the loopback interface."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def wait_for(what: str, true: Callable[[], bool], seconds: float = READY_S) -> None:
    """Wait until something is true; `TimeoutError` names it where it does not become so."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.1)


def processes_with(variables: Mapping[str, str]) -> Iterator[int]:
    """Processes whose environment holds all these variables."""
    wanted = [f"{key}={value}".encode() for key, value in variables.items()]
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            found = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if all(each in found for each in wanted):
            yield int(path.parent.name)


def parent_of(pid: int) -> int:
    """The parent of a process; 0 where it is gone."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def command_of(pid: int) -> str:
    """The command line of a process; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace").strip()
    except OSError:
        return ""


def program_of(pid: int) -> str:
    """The name of the program that a process runs; empty where it is gone."""
    try:
        return Path(f"/proc/{pid}/exe").resolve(strict=True).name
    except OSError:
        return ""


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process that may be gone already."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


@dataclass
class Cluster:
    """A cluster in a folder; `start` and `stop` it, or use it as a context."""

    folder: Path
    daemons: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    killed: list[str] = field(default_factory=list)

    def __enter__(self) -> Cluster:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def environment(self) -> dict[str, str]:
        """What a login shell of this cluster has set."""
        path = f"{self.folder / 'bin'}{os.pathsep}/usr/sbin{os.pathsep}{os.environ['PATH']}"
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def start(self) -> None:
        """Configure and start every daemon, and wait until the nodes are idle."""
        for name in ("state", "spool", "log", "bin", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        self._configure()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        self._daemon("munged", *self._munge_options())
        wait_for("munge's socket", (self.folder / "munge.socket").exists)
        self._start_accounting()
        self._daemon("slurmctld", "-D", "-i")
        for node in NODES:
            self.start_node(node)
        wait_for("idle nodes", lambda: self.states() == dict.fromkeys(NODES, "idle"))

    def stop(self) -> None:
        """Stop jobs and daemons; what does not end by itself is killed, and its command lines stand in `killed`."""
        if self._runs("slurmctld"):
            (self.folder / "sacct.txt").write_text(self.run("sacct", "-X", "-D", "-o", ACCOUNTS, check=False))
            self.run("scancel", "--user=root", check=False)
            with contextlib.suppress(TimeoutError):
                wait_for("the end of all jobs", lambda: not self.run("squeue", "-h", check=False).strip(), 15)
        for name in reversed(list(self.daemons)):  # munge, which all others need, is the last
            daemon = self.daemons.pop(name)
            daemon.terminate()
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                self.killed.append(command_of(daemon.pid))
                daemon.kill()
                daemon.wait()
        with contextlib.suppress(TimeoutError):
            wait_for("the end of all processes", lambda: not self.left_over(), END_S)
        for pid in self.left_over():
            self.killed.append(command_of(pid))
            send(pid, signal.SIGKILL)

    def left_over(self) -> list[int]:
        """Processes of this cluster's daemons and jobs that still run."""
        found = processes_with({"SLURM_CONF": self.environment["SLURM_CONF"]})
        return [pid for pid in found if pid != os.getpid()]

    def run(self, *command: str, check: bool = True) -> str:
        """Run one of SLURM's commands and return what it prints."""
        done = subprocess.run(
            command, env={**os.environ, **self.environment}, capture_output=True, text=True, timeout=60, check=False
        )
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done.stdout

    def states(self) -> dict[str, str]:
        """State of every node, as `sinfo` says it."""
        lines = self.run("sinfo", "-h", "-N", "-o", "%N %T", check=False).splitlines()
        return dict(line.split() for line in lines)

    def start_node(self, node: str) -> None:
        """Start the daemon of a node."""
        self._daemon(f"slurmd.{node}", "-D", "-N", node)

    def crash_node(self, node: str) -> None:
        """Let a node die as by a power cut: its daemon, and every job on it, without a word to the controller."""
        daemon = self.daemons.pop(f"slurmd.{node}")
        daemon.kill()
        daemon.wait()
        mine = {"SLURM_CONF": self.environment["SLURM_CONF"], "SLURMD_NODENAME": node}
        jobs = list(processes_with(mine))
        stewards = {pid for pid in map(parent_of, jobs) if program_of(pid).startswith("slurmstepd")}
        for number in (signal.SIGSTOP, signal.SIGKILL):  # first all stand still, so that none reports another's death
            for pid in (*stewards, *jobs):
                send(pid, number)

    def _configure(self) -> None:
        controller, accounting, database, *ports = free_ports(3 + len(NODES))
        host = socket.gethostname()
        facts = {"name": NAME, "host": host, "folder": self.folder}
        facts |= {"controller_port": controller, "accounting_port": accounting, "database_port": database}
        self.database_port, self.accounting_port = database, accounting
        nodes = [
            NODE.format(node=node, host=host, port=port, memory=MEMORY_MB)
            for node, port in zip(NODES, ports, strict=True)
        ]
        (self.folder / "slurm.conf").write_text(SLURM_CONF.format(**facts, nodes="".join(nodes)))
        dbd = self.folder / "slurmdbd.conf"
        dbd.write_text(SLURMDBD_CONF.format(**facts))
        dbd.chmod(0o600)
        # The plugin's job step drops every SLURM_* variable, so `srun` there would look for /etc/slurm/slurm.conf.
        srun = self.folder / "bin" / "srun"
        srun.write_text(f'#!/bin/sh\nSLURM_CONF="{self.folder}/slurm.conf" exec {shutil.which("srun")} "$@"\n')
        srun.chmod(0o755)

    def _munge_options(self) -> Sequence[str]:
        names = ("key", "pid", "seed", "socket")
        options = [f"--{name}-file={self.folder}/munge.{name}" for name in names if name != "socket"]
        return (
            "-F",
            "--force",
            f"--socket={self.folder}/munge.socket",
            f"--log-file={self.folder}/log/munged.log",
            *options,
        )

    def _start_accounting(self) -> None:
        data, tcp = self.folder / "database", f"--port={self.database_port}"
        common = ("--no-defaults", f"--datadir={data}", "--user=root")
        initial = self.folder / "database.sql"
        initial.write_text(DATABASE)
        install = ("mariadb-install-db", *common, "--skip-test-db", "--auth-root-authentication-method=normal")
        self.run(*install)
        here = (f"--socket={self.folder}/database.socket", f"--pid-file={self.folder}/database.pid")
        self._daemon("mariadbd", *common, *here, tcp, "--bind-address=127.0.0.1", f"--init-file={initial}")
        wait_for("the database", (self.folder / "database.socket").exists)
        self._daemon("slurmdbd", "-D")
        account = ("sacctmgr", "-i", "add")
        wait_for("the accounting", lambda: answers(self.accounting_port))
        self.run(*account, "cluster", NAME)
        self.run(*account, "account", "science", f"cluster={NAME}")
        self.run(*account, "user", "root", "account=science")

    def _daemon(self, program: str, *args: str) -> None:
        with (self.folder / "log" / f"{program}.out").open("ab") as log:
            self.daemons[program] = subprocess.Popen(
                [program.partition(".")[0], *args],
                env={**os.environ, **self.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    def _runs(self, program: str) -> bool:
        return program in self.daemons and self.daemons[program].poll() is None
