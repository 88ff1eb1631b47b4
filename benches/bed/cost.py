"""What one request costs: instructions (callgrind), heap allocations (LD_PRELOAD), system calls (perf)."""
import mmap
import re
import signal
import struct
import subprocess
import tempfile
import time
from pathlib import Path

from .config import FRONT, HERE, ROWS, RUN, Fail, log, need
from .front import front_n
from .load import h2load_n, load
from .process import Server

CALLGRIND = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", "--trace-children=no", "--fair-sched=yes"]
SYSCALLS = ("read readv recvfrom recvmsg write writev sendto sendmsg epoll_wait epoll_pwait epoll_ctl accept4 accept close "
            "futex io_uring_enter sendfile64 openat statx newfstat pread64 lseek sched_yield setsockopt shutdown madvise "
            "mmap munmap ioctl fcntl getsockname getsockopt timerfd_settime").split()


def each(conf, caps, save, measure):
    """Calls measure(server, cap) for every pair that goes together; False if one failed."""
    good = True
    for s in conf.chosen:
        for cap in (c for c in caps if c in s["caps"]):
            try:
                measure(s, cap)
            except (Fail, OSError, subprocess.TimeoutExpired) as e:
                log(f"{s['name']:16} {cap:10} failed: {e}")
                good = False
        save()
    return good


def command(cap):
    return "h2_cmd" if cap == "h2" else "cmd"


def cmd_insn(conf, a, out, save):
    """User-space instructions per request: callgrind totals of two runs that differ in their number of
    requests only, so that start, connections and stop cancel out. h2load sends the requests, one at a
    time on each of 16 connections."""
    section = out.setdefault("insn", {})

    def total(s, cap, n):
        front = cap in FRONT
        with Server(conf, dict(s, cmd=[*s["cmd"], cap]) if front else s, command(cap), CALLGRIND, wait=60) as srv:
            if front:
                front_n(srv.port, cap, n, 16)
            else:
                h2load_n(conf, s, srv.port, cap, n, 16)
            srv.stop(grace=20)
            m = re.search(r"Collected : (\d+)", srv.output())
            need(m, f"no callgrind total: {srv.output()[-300:]}")
            return int(m[1])

    def measure(s, cap):
        per = (total(s, cap, 3 * a.n) - total(s, cap, a.n)) / (2 * a.n)
        section.setdefault(s["name"], {})[cap] = per
        log(f"{s['name']:16} {cap:10} {per:9.0f} instructions/request")

    return each(conf, [*conf.counted, *conf.front], save, measure)


def cmd_alloc(conf, a, out, save):
    """Heap allocations per request and their bytes; the connections' own cancel out."""
    section = out.setdefault("alloc", {})
    lib = HERE / "bin/libcount.so"

    def measure(s, cap):
        n = a.n * 10
        with tempfile.NamedTemporaryFile(dir=RUN) as f:
            f.truncate(4096)
            env = {"LD_PRELOAD": str(lib), "COUNT_FILE": f.name}
            with mmap.mmap(f.fileno(), 4096) as m, Server(conf, s, command(cap), env=env) as srv:
                reads = []
                for requests in (2000, 2000 + n, 2000):
                    h2load_n(conf, s, srv.port, cap, requests, 16)
                    reads.append(struct.unpack("QQ", m[:16]))
        c0, c1, c2 = reads
        calls, size = (((c1[i] - c0[i]) - (c2[i] - c1[i])) / n for i in (0, 1))
        section.setdefault(s["name"], {})[cap] = {"calls": calls, "bytes": size}
        log(f"{s['name']:16} {cap:10} {calls:6.2f} allocations, {size:7.0f} bytes per request")

    return each(conf, conf.counted, save, measure)


def cmd_sys(conf, a, out, save):
    """System calls and context switches per request while the row runs at full speed."""
    conf.need_cpus()
    section = out.setdefault("sys", {})
    roots = [Path("/sys/kernel/tracing"), Path("/sys/kernel/debug/tracing")]
    known = [x for x in SYSCALLS if any((r / f"events/syscalls/sys_enter_{x}").exists() for r in roots)]
    events = ",".join(["cs", "raw_syscalls:sys_enter"] + [f"syscalls:sys_enter_{x}" for x in known])

    def measure(name, s):
        row = ROWS[name]
        with Server(conf, s, command(row["cap"])) as srv:
            load(conf, s, srv.port, row, 1)
            pids = ",".join(map(str, srv.pids()))
            p = subprocess.Popen(["perf", "stat", "-x", ",", "-e", events, "-p", pids], stderr=subprocess.PIPE, text=True)
            time.sleep(0.7)
            d = load(conf, s, srv.port, row, 2)
            p.send_signal(signal.SIGINT)
            text = p.communicate(timeout=20)[1]
        count = {}
        for f in (line.split(",") for line in text.splitlines()):
            if len(f) > 3 and f[0].isdigit():
                count[f[2].split(":")[-1].removeprefix("sys_enter_")] = int(f[0]) / d["requests"]
        total = count.pop("sys_enter", count.pop("", 0))
        res = {"total": total, "cs": count.pop("cs", 0), **{k: v for k, v in count.items() if v >= 0.004}}
        section.setdefault(name, {})[s["name"]] = res
        log(f"{name:15} {s['name']:16} " + " ".join(f"{k} {v:.3f}" for k, v in sorted(res.items(), key=lambda x: -x[1])))

    good = True
    for name in (r for r in conf.rows if ROWS[r]["tool"] != "rate"):
        for s in (s for s in conf.chosen if ROWS[name]["cap"] in s["caps"]):
            try:
                measure(name, s)
            except (Fail, OSError, subprocess.TimeoutExpired) as e:
                log(f"{name:15} {s['name']:16} failed: {e}")
                good = False
        save()
    return good
