"""Two hosts: network namespaces with a cable between them, each with processes, a name and mounts of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dyto.synthetic.videos import sample_video

VIDEOS, QUESTIONS = 20, 10
TOOLS = ("ip", "unshare", "nsenter", "mount")
HEAD = "10.77.0.1"
ENVIRON = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled", "OMP_NUM_THREADS": "1"}

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(
        sys.platform != "linux" or os.geteuid() != 0 or not all(map(shutil.which, TOOLS)),
        reason=f"network namespaces need Linux, root and {', '.join(TOOLS)}",
    ),
]

NOTED = """
import pathlib, socket, dyto

def Noted(frames, encode, question=None):
    pathlib.Path(__file__).with_name(f"by-{socket.gethostname()}").touch()
    return dyto.build_strategy("dyto")(frames, encode)
"""


@dataclass
class Host:
    """A network namespace and, once it is up, the first process in it."""

    name: str
    address: str
    process: subprocess.Popen | None = None

    @property
    def space(self) -> str:
        """Its name among network namespaces."""
        return f"dyto-{os.getpid()}-{self.name}"

    def start(self, *words: object) -> None:
        """Boot: run a command that ends when the host does. Of what Ray keeps on disk, each host has its own."""
        own = "; ".join(f"mkdir -p {place} && mount -t tmpfs none {place}" for place in ("/tmp/ray", "/dev/shm"))
        inside = ["sh", "-c", f'hostname {self.name}; {own}; exec "$@"', "sh", *map(str, words)]
        apart = ["unshare", "--uts", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", *inside]
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.space, *apart],
            env=ENVIRON,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def first(self) -> str:
        """The process id of the first process inside."""
        assert self.process is not None
        return Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()[0]

    def command(self, *words: object) -> list[str]:
        """A command that runs on this host in the current folder."""
        return ["nsenter", "-t", self.first(), "-m", "-n", "-u", "-p", f"--wd={Path.cwd()}", *map(str, words)]

    def cut(self) -> None:
        """Cut the power: no process ends in order, and nobody is told."""
        subprocess.run(["ip", "-n", self.space, "link", "set", "cable", "down"], check=True)
        assert self.process is not None
        self.process.kill()
        self.process.wait()


def ray(*words: str) -> list[str]:
    return [sys.executable, "-m", "ray.scripts.scripts", *words]


@contextlib.contextmanager
def cabled(one: Host, two: Host) -> Iterator[None]:
    """Two hosts with a cable between them."""
    try:
        for host in (one, two):
            if subprocess.run(["ip", "netns", "add", host.space], stderr=subprocess.DEVNULL).returncode:
                pytest.skip("this machine does not let us make network namespaces")
        cable = ["type", "veth", "peer", "name", "cable", "netns", two.space]
        subprocess.run(["ip", "-n", one.space, "link", "add", "cable", *cable], check=True)
        for host in (one, two):
            for words in (["link", "set", "lo", "up"], ["addr", "add", f"{host.address}/24", "dev", "cable"]):
                subprocess.run(["ip", "-n", host.space, *words], check=True)
            subprocess.run(["ip", "-n", host.space, "link", "set", "cable", "up"], check=True)
        yield
    finally:
        for host in (one, two):
            if host.process is not None:
                host.process.send_signal(signal.SIGKILL)
                host.process.wait()
            subprocess.run(["ip", "netns", "del", host.space], stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def hosts() -> Iterator[tuple[Host, Host]]:
    """The head and another host of one cluster."""
    pytest.importorskip("ray", reason="clusters need the extra 'ray'")
    head, other = Host("head", HEAD), Host("other", "10.77.0.2")
    with cabled(head, other):
        places = ["--num-cpus=1", "--disable-usage-stats", "--block"]
        head.start(
            *ray("start", "--head", f"--node-ip-address={HEAD}", "--port=6379", "--include-dashboard=false", *places)
        )
        wait_for(lambda: head.first() and nodes(head) == 1)
        other.start(*ray("start", f"--address={HEAD}:6379", f"--node-ip-address={other.address}", *places))
        wait_for(lambda: nodes(head) == 2)
        yield head, other


def nodes(head: Host) -> int:
    """How many nodes the cluster has."""
    words = head.command(*ray("status", f"--address={HEAD}:6379"))
    told = subprocess.run(words, env=ENVIRON, capture_output=True, text=True).stdout
    return told.partition("Pending:")[0].count(" node_")


def wait_for(there, seconds: float = 180) -> None:
    give_up = time.monotonic() + seconds
    while True:
        with contextlib.suppress(OSError, IndexError):
            if there():
                return
        assert time.monotonic() < give_up
        time.sleep(0.2)


@pytest.fixture(scope="module")
def world(tmp_path_factory) -> Iterator[Path]:
    """The current folder with twenty videos and 200 questions, and the answers of one process."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "videos").mkdir()
    for n in range(VIDEOS):
        sample_video(folder / f"videos/v{n}.mp4", seed=n)
    rows = [
        {"video": f"videos/v{n}.mp4", "question": f"what is shape {q} ?"}
        for q in range(QUESTIONS)
        for n in range(VIDEOS)
    ]
    (folder / "q.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "noted.py").write_text(NOTED)
    before = Path.cwd()
    os.chdir(folder)
    subprocess.run(batch("whole.jsonl"), env=ENVIRON, check=True)
    (folder / "by-head").unlink(missing_ok=True)
    yield folder
    os.chdir(before)


def batch(out: str, *more: str) -> list[str]:
    words = [sys.executable, "-m", "dyto", "batch", "q.jsonl", "--out", out, "--strategy", "noted.py:Noted"]
    return [*words, "--model", "tiny", "--num-frames", "8", "--max-new-tokens", "3", *more]


def shared(head: Host, out: str) -> list[str]:
    return head.command(*batch(out, "--ray", f"{HEAD}:6379", "--workers", "2"))


def same(folder: Path, out: str) -> bool:
    return (folder / out).read_bytes() == (folder / "whole.jsonl").read_bytes()


def test_two_hosts_answer_as_one_process_and_relative_paths_mean_the_same_on_both(world, hosts):
    subprocess.run(shared(hosts[0], "two.jsonl"), env=ENVIRON, check=True)
    assert same(world, "two.jsonl")
    assert (world / "by-head").exists()
    assert (world / "by-other").exists()


def test_one_host_lacks_a_file(world, hosts):
    (world / "fewer").mkdir()
    for path in (world / "videos").iterdir():
        if path.name != "v3.mp4":
            os.link(path, world / "fewer" / path.name)
    subprocess.run(hosts[1].command("mount", "--bind", world / "fewer", world / "videos"), check=True)
    there = [subprocess.run(host.command("test", "-e", world / "videos/v3.mp4")).returncode == 0 for host in hosts]
    assert there == [True, False]
    subprocess.run(shared(hosts[0], "lacking.jsonl"), env=ENVIRON, check=True)
    subprocess.run(hosts[1].command("umount", world / "videos"), check=True)
    assert same(world, "lacking.jsonl")


def test_the_power_of_one_host_is_cut(world, hosts):
    """The last test: there is one host afterwards."""
    running = subprocess.Popen(shared(hosts[0], "cut.jsonl"), env=ENVIRON)
    rows = world / "cut.jsonl.dyto/rows"
    wait_for(lambda: running.poll() is not None or sum(path.read_bytes().count(b"\n") for path in rows.iterdir()) > 40)
    assert running.poll() is None
    hosts[1].cut()
    assert running.wait(400) == 0
    assert same(world, "cut.jsonl")
