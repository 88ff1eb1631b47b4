"""Started servers: pinned, accounted for, and ended with everything they started."""
import os
import random
import re
import signal
import socket
import statistics
import subprocess
import tempfile
import time
from pathlib import Path

from .config import FILE, HERE, Fail

TICK = os.sysconf("SC_CLK_TCK")
_port = random.randrange(21000, 29000)


def free_port():
    """A port nobody listens on; never the same one twice, so that TIME_WAIT never carries over."""
    global _port
    while True:
        _port = _port + 1 if _port < 29999 else 21000
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", _port))
                return _port
            except OSError:
                continue


class Server:
    """A server of the servers file, running; its own session, so that it is ended as a group."""

    def __init__(self, conf, s, cmd="cmd", wrap=(), env=None, wait=10.0):
        self.conf, self.s, self.port = conf, s, free_port()
        argv = [str(a).format(port=self.port, workers=conf.workers) for a in s.get(cmd) or s["cmd"]]
        if not argv[0].startswith("/"):
            argv[0] = str(conf.dir / argv[0])
        e = dict(os.environ, BENCH_FILE=str(FILE), **(env or {}))
        self.err = tempfile.TemporaryFile()
        self.t0 = time.perf_counter()
        self.p = subprocess.Popen(
            list(wrap) + argv, env=e, cwd=conf.dir, stdin=subprocess.DEVNULL, stdout=self.err, stderr=self.err,
            start_new_session=True, preexec_fn=lambda: os.sched_setaffinity(0, conf.server_cpus))
        self.wait(wait)

    def wait(self, limit):
        """Until the port takes a connection; self.up is when that was."""
        end = time.perf_counter() + limit
        while time.perf_counter() < end and self.p.poll() is None:
            try:
                with socket.create_connection(("127.0.0.1", self.port), 1):
                    self.up = time.perf_counter()
                return
            except OSError:
                time.sleep(0.0005)
        out = self.output()
        self.stop()
        raise Fail(f"does not start: {out[-500:]}")

    def output(self):
        self.err.seek(0)
        return self.err.read().decode(errors="replace")

    def pids(self):
        """Every process of the group (a master and its workers are several)."""
        r = []
        for d in os.listdir("/proc"):
            if d.isdigit():
                try:
                    if int(stat_of(d)[2]) == self.p.pid:
                        r.append(int(d))
                except OSError:
                    continue
        return r

    def cpu(self):
        """(user, system) seconds of the group so far."""
        u = k = 0
        for pid in self.pids():
            try:
                f = stat_of(pid)
            except OSError:
                continue
            u += int(f[11])
            k += int(f[12])
        return u / TICK, k / TICK

    def mem(self):
        """Proportional set size of the group in bytes (RSS with shared pages counted once)."""
        n = 0
        for pid in self.pids():
            try:
                t = Path(f"/proc/{pid}/smaps_rollup").read_text()
            except OSError:
                continue
            n += int(re.search(r"^Pss:\s+(\d+)", t, re.M)[1]) * 1024
        return n

    def stop(self, grace=1.5):
        for sig in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.p.pid, sig)
            except ProcessLookupError:
                pass
            try:
                self.p.wait(grace)
                if sig == signal.SIGTERM and self.pids():
                    time.sleep(0.1)
                    continue
                break
            except subprocess.TimeoutExpired:
                continue

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
        self.err.close()


def stat_of(pid):
    """/proc/PID/stat after the command name: [0] state [1] ppid [2] pgrp ... [11] utime [12] stime"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def machine_busy():
    """Seconds of CPU anybody used, over all cores, since boot."""
    f = [int(x) for x in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _iowait, irq, soft, steal = f[:8]
    return (user + nice + system + irq + soft + steal) / TICK


def calib(conf):
    """CPU nanoseconds per loopback round trip on the servers' cores, now (tools/calib.c)."""
    ps = [subprocess.Popen([str(HERE / "bin/calib")], stdout=subprocess.PIPE, text=True,
                           preexec_fn=lambda c=c: os.sched_setaffinity(0, {c})) for c in sorted(conf.server_cpus)]
    return statistics.mean(int(p.communicate()[0]) for p in ps)


def wait_quiet(limit, longest):
    """Returns when others use less than `limit` cores, or after `longest` seconds."""
    end = time.monotonic() + longest
    while time.monotonic() < end:
        b, t = machine_busy(), time.monotonic()
        time.sleep(0.4)
        if (machine_busy() - b) / (time.monotonic() - t) <= limit:
            return
        time.sleep(0.6)
