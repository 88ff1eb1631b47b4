"""The loaders, wrk and h2load: one run, its numbers, and what it cost both sides."""
import json
import os
import re
import resource
import subprocess
import tempfile
import time
from pathlib import Path

from .config import ECHO, HERE, RUN, cpu_list, need, path_of
from .contract import check_row, session_cookie
from .process import Server, calib, machine_busy

WRK_ERRORS = ("connect", "read", "write", "status", "timeout")


def load(conf, s, port, row, secs):
    """Runs the row's loader once on the loader's cores; returns its numbers and the CPU it used."""
    url = f"http://127.0.0.1:{port}{path_of(s, row['path'])}"
    threads, conns = str(len(conf.loader_cpus)), str(row["conns"])
    with tempfile.NamedTemporaryFile("r", prefix="h2load", dir=RUN) as times:
        if row["tool"] == "wrk":
            cmd = ["wrk", "-t", threads, "-c", conns, "-d", f"{secs}s", "-s", str(HERE / "lua/bench.lua"), url]
        elif row["tool"] == "h2load":
            cmd = ["h2load", "-t", threads, "-c", conns, "-m", str(row["streams"]), "-D", str(secs), url]
        else:
            per = max(1, row["rps"] // row["conns"])
            cmd = ["h2load", "--h1", "-t", threads, "-c", conns, "--rps", str(per), "-D", str(secs), "--log-file", times.name, url]
        env = dict(os.environ, BENCH_DEPTH=str(row.get("depth", 1)))
        if row.get("body"):
            env["BENCH_BODY"] = str(ECHO)
        if row.get("cookie"):
            env["BENCH_COOKIE"] = session_cookie(name="ann")
        if row.get("close"):
            env["BENCH_CLOSE"] = "1"
        r0, t0 = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        p = subprocess.run(["taskset", "-c", cpu_list(conf.loader_cpus), *cmd], env=env, capture_output=True, text=True, timeout=secs + 30)
        wall, r1 = time.perf_counter() - t0, resource.getrusage(resource.RUSAGE_CHILDREN)
        d = wrk_numbers(p) if row["tool"] == "wrk" else h2load_numbers(p)
        if row["tool"] == "rate":
            d.update(percentiles(Path(times.name).read_text()))
    d.update(wall=wall, loader_cpu=r1.ru_utime + r1.ru_stime - r0.ru_utime - r0.ru_stime)
    return d


def wrk_numbers(p):
    m = re.search(r"^BENCH (\{.*\})$", p.stdout, re.M)
    need(m, f"wrk said: {p.stdout[-300:]} {p.stderr[-300:]}")
    j = json.loads(m[1])
    return dict(requests=j["requests"], rps=j["requests"] / (j["us"] / 1e6), errors=sum(j[k] for k in WRK_ERRORS),
                errdetail={k: j[k] for k in WRK_ERRORS if j[k]}, p50=j["p50"], p99=j["p99"], p999=j["p999"])


def h2load_numbers(p):
    rate = re.search(r"finished in [\d.]+(?:s|ms), ([\d.]+) req/s", p.stdout)
    done = re.search(r"requests: \d+ total, \d+ started, (\d+) done", p.stdout)
    need(rate and done, f"h2load said: {p.stdout[-300:]} {p.stderr[-300:]}")
    good = re.search(r"status codes: (\d+) 2xx", p.stdout)
    requests = int(done[1])
    return dict(requests=requests, rps=float(rate[1]), errors=requests - (int(good[1]) if good else 0))


def percentiles(times):
    """Of h2load's log: start, status and microseconds of each request."""
    us = sorted(int(x.split("\t")[2]) for x in times.splitlines() if x)
    pick = lambda f: us[min(len(us) - 1, int(len(us) * f))]
    return dict(p50=pick(.5), p99=pick(.99), p999=pick(.999)) if us else {}


def one_run(conf, s, row, secs):
    """Start, check, warm up, measure, stop."""
    with Server(conf, s, "h2_cmd" if row["cap"] == "h2" else "cmd") as srv:
        check_row(s, srv.port, row)
        load(conf, s, srv.port, row, 1)
        c0 = calib(conf)
        u0, k0 = srv.cpu()
        b0 = machine_busy()
        d = load(conf, s, srv.port, row, secs)
        b1 = machine_busy()
        u1, k1 = srv.cpu()
        n, used = max(1, d["requests"]), u1 - u0 + k1 - k0
        d.update(
            user_us=(u1 - u0) / n * 1e6, sys_us=(k1 - k0) / n * 1e6, cpu_us=used / n * 1e6,
            srv_cores=used / d["wall"], ldr_cores=d["loader_cpu"] / d["wall"], calib=(c0 + calib(conf)) / 2,
            foreign=max(0.0, (b1 - b0 - used - d["loader_cpu"]) / d["wall"]), mem=srv.mem())
        return d


def h2load_n(conf, s, port, cap, n, conns):
    """Exactly n requests over `conns` connections, every one of them answered 2xx."""
    cmd = ["taskset", "-c", cpu_list(conf.loader_cpus), "h2load", "-n", str(n), "-c", str(conns), "-t", "1"]
    cmd += ["-m", "32"] if cap == "h2" else ["--h1"]
    if cap == "echo":
        cmd += ["-d", str(ECHO), "-H", "content-type: application/json"]
    if cap == "session":
        cmd += ["-H", f"cookie: {session_cookie(name='ann')}"]
    cmd.append(f"http://127.0.0.1:{port}{path_of(s, 'plaintext' if cap == 'h2' else cap)}")
    p = subprocess.run(cmd, capture_output=True, text=True, timeout=300)
    m = re.search(r"status codes: (\d+) 2xx", p.stdout)
    need(m and int(m[1]) == n, f"h2load: {p.stdout[-400:]} {p.stderr[-200:]}")
