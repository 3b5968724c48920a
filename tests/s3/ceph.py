"""Ceph with its S3 gateway, all on the loopback and in a folder of its own: a monitor, one disk, the gateway."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
import uuid
from pathlib import Path
from typing import IO, Any, Self

from slurm.cluster import die_with_parent

PROGRAMS = ("monmaptool", "ceph-mon", "ceph-osd", "ceph", "radosgw", "radosgw-admin")
DISK_BYTES = 3 * 2**30
KEY, SECRET = "OPHIOLITETESTKEY", "planted-secret-that-must-never-be-seen"

CONFIG = """[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
mon initial members = a
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
ms client mode = crc
ms mon service mode = crc
ms mon cluster mode = crc
ms service mode = crc
ms cluster mode = crc
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 8
osd pool default pgp num = 8
osd pool default pg autoscale mode = off
mon allow pool size one = true
osd crush chooseleaf type = 0
osd objectstore = bluestore
bluestore block size = {disk}
bluestore fsck quick fix on mount = false
osd memory target = 939524096
mon data avail warn = 1
mon data avail crit = 1
mon osd full ratio = 0.99
keyring = {folder}/keyring
run dir = {folder}/run
admin socket = {folder}/run/$name.asok
log file = {folder}/log/$name.log
crash dir = {folder}/crash
mon data = {folder}/mon
osd data = {folder}/osd
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{http}
rgw thread pool size = 32
rgw gc obj min wait = 60
"""


def missing() -> list[str]:
    """The programs that are not installed."""
    return [name for name in PROGRAMS if shutil.which(name) is None]


def free_port() -> int:
    """A port nobody listens on."""
    with contextlib.closing(socket.socket()) as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Ceph:
    """A running cluster; a context manager that ends what it started."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self._running: list[subprocess.Popen[bytes]] = []
        self._logs: list[IO[Any]] = []

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a user of this server sets."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET,
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill the daemons: nothing of theirs is kept, and a disk whose monitor went first would wait for ever."""
        for process in reversed(self._running):
            process.send_signal(signal.SIGKILL)
            process.wait()
        self._running.clear()
        for log in self._logs:
            log.close()
        shutil.rmtree(self.folder / "osd", ignore_errors=True)

    def _start(self) -> None:
        folder, fsid = self.folder, str(uuid.uuid4())
        for name in ("run", "log", "crash", "mon", "osd", "rgw"):
            (folder / name).mkdir(parents=True)
        v1, v2 = free_port(), free_port()
        (folder / "ceph.conf").write_text(
            CONFIG.format(fsid=fsid, v1=v1, v2=v2, disk=DISK_BYTES, http=self.port, folder=folder)
        )
        (folder / "keyring").write_text("")
        place = f"[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]"
        self._run("monmaptool", "--create", "--clobber", "--addv", "a", place, "--fsid", fsid, str(folder / "monmap"))
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(folder / "monmap"))
        self._spawn("ceph-mon", "-f", "-i", "a")
        disk = str(uuid.uuid4())
        self._run("ceph", "osd", "create", disk)
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", disk)
        self._spawn("ceph-osd", "-f", "-i", "0")
        self._run("ceph", "osd", "crush", "add", "osd.0", "1.0", "host=h", "root=default")
        self._spawn("radosgw", "-f", "-n", "client.rgw")
        self._run(
            *("radosgw-admin", "user", "create", "--uid=u", "--display-name=u"),
            *(f"--access-key={KEY}", f"--secret-key={SECRET}"),
        )
        self._wait()

    def _conf(self) -> tuple[str, str]:
        return "-c", str(self.folder / "ceph.conf")

    def _run(self, program: str, *args: str) -> None:
        done = subprocess.run(
            [program, *self._conf(), *args], capture_output=True, text=True, timeout=120, check=False, env=self._env()
        )
        if done.returncode:
            raise RuntimeError(f"{program} {' '.join(args)}: {done.stdout}{done.stderr}")

    def _spawn(self, program: str, *args: str) -> None:
        log = (self.folder / "log" / f"{program}.out").open("wb")
        self._logs.append(log)
        process = subprocess.Popen(
            [program, *self._conf(), *args], stdout=log, stderr=log, env=self._env(), preexec_fn=die_with_parent
        )
        self._running.append(process)

    @staticmethod
    def _env() -> dict[str, str]:
        return {**os.environ, "CEPH_CONF": "", "CEPH_ARGS": ""}

    def _wait(self) -> None:
        """Until the gateway answers."""
        for _ in range(300):
            for process in self._running:
                if process.poll() is not None:
                    raise RuntimeError(f"{process.args}: ended with {process.returncode}; see {self.folder}/log")
            with contextlib.suppress(OSError), urllib.request.urlopen(self.endpoint, timeout=2):
                return
            time.sleep(0.2)
        raise RuntimeError(f"the gateway does not answer; see {self.folder}/log")
