"""results.json as markdown: first what one reads, our server beside each other, then every figure."""
import os
import platform
import re
import statistics
import subprocess
from pathlib import Path

from .config import COUNTED, FRONT, ROWS, SUBJECT, cpu_list

SAME_LOAD = [r for r, row in ROWS.items() if row["tool"] == "rate"]
FULL_SPEED = [r for r in ROWS if r not in SAME_LOAD]


def median(v):
    return statistics.median(v) if v else None


def calm(v):
    """The runs nobody disturbed, if there are at least two of them; else all."""
    c = [d for d in v if not d["disturbed"]]
    return c if len(c) >= 2 else v


def per_round(f, mine, theirs):
    """f(mine) / f(theirs) round by round; disturbed rounds are left out if enough stay."""
    a, b = ({d["round"]: d for d in v} for v in (mine, theirs))
    both = sorted(a.keys() & b.keys())
    quiet = [r for r in both if not a[r].get("disturbed") and not b[r].get("disturbed")]
    return [f(a[r]) / f(b[r]) for r in (quiet if len(quiet) >= 2 else both)]


def has_errors(v):
    """More than one answer in a thousand went wrong: the figure says nothing."""
    return sum(d["errors"] for d in v) > sum(d["requests"] for d in v) * 1e-3


def rows_of(title, head, body):
    if not body:
        return []
    line = lambda cells: "| " + " | ".join(cells) + " |"
    return [f"## {title}", "", line(head), "|" + "---|" * len(head), *map(line, body), ""]


class Report:
    def __init__(self, conf, out):
        self.conf, self.out = conf, out
        self.order = [s["name"] for s in conf.servers]
        self.floor = {s["name"] for s in conf.servers if s.get("floor")}
        self.run = {r: {s: v for s, v in out.get("run", {}).get(r, {}).items() if v and s in self.order} for r in ROWS}
        self.run = {r: c for r, c in self.run.items() if c}
        runs = [d for c in self.run.values() for v in c.values() for d in v]
        self.speed = median([d["calib"] for d in runs])

    def cpu(self, d):
        """CPU per request at the median speed of the cores over all runs (tools/calib.c)."""
        return d["cpu_us"] * self.speed / d["calib"]

    def name(self, s):
        return f"{s} (floor)" if s in self.floor else s

    def summary(self):
        """What goes into docs/performance.md."""
        return self.head() + self.grid("CPU per request in µs, median", lambda v: f"{median([self.cpu(d) for d in calm(v)]):.2f}") \
            + self.grid("Requests per second, median", lambda v: f"{median([d['rps'] for d in calm(v)]):,.0f}", FULL_SPEED) \
            + self.grid("p99 latency in µs at the same offered load, median", lambda v: f"{median([d['p99'] for d in calm(v)]):,.0f}", SAME_LOAD) \
            + self.beside("CPU per request, theirs over ours: above 1, Cepa is the cheaper", lambda d: 1 / self.cpu(d)) \
            + self.beside("Requests per second, ours over theirs", lambda d: d["rps"], FULL_SPEED) \
            + self.counts() + self.memory() + self.fanout("fanout", "") + self.fanout("fanout-unix", " over a Unix socket")

    def head(self):
        c = self.conf
        return ["# Measured side by side", "", f"{machine()}. Servers on cores {cpu_list(c.server_cpus)} with {c.workers} workers, "
                f"loader on cores {cpu_list(c.loader_cpus)}. " + versions(self.out.get("build", {})), ""]

    def grid(self, title, cell, rows=ROWS):
        """Servers down, rows across."""
        run = {r: c for r, c in self.run.items() if r in rows}
        servers = [s for s in self.order if any(s in c for c in run.values())]
        one = lambda s, c: "–" if s not in c else "errors" if has_errors(c[s]) else cell(c[s])
        return rows_of(title, ["server", *run], [[self.name(s), *(one(s, c) for c in run.values())] for s in servers])

    def beside(self, title, f, rows=ROWS):
        """Our server against each other one: the median of the per-round ratios."""
        run = {r: c for r, c in self.run.items() if r in rows}
        body = []
        for s in (s for s in self.order if s != SUBJECT):
            ratios = [per_round(f, c[SUBJECT], c[s]) if SUBJECT in c and s in c and not has_errors(c[s] + c[SUBJECT]) else []
                      for c in run.values()]
            if any(ratios):
                body.append([self.name(s), *(f"{median(r):.2f}" if r else "–" for r in ratios)])
        return rows_of(title, [f"{SUBJECT} against", *run], body)

    def section(self, title, key, columns, cell):
        data = self.out.get(key, {})
        body = [[self.name(s), *(cell(data[s], c) for c in columns)] for s in self.order if data.get(s)]
        return rows_of(title, ["server", *columns], body)

    def counts(self):
        return self.section("User-space instructions per request (callgrind)", "insn", COUNTED + FRONT, lambda d, c: f"{d[c]:,.0f}" if c in d else "–")

    def memory(self):
        def cell(d, c):
            if c not in d:
                return "–"
            return d[c].get("error", "")[:40] or f"{d[c]['per_conn']:,.0f}" + ("" if d[c]["alive"] > .99 else " (dropped)")
        return self.section("Bytes of process memory per open, idle connection", "mem", ("idle", "ws", "ws-h2", "sse"), cell)

    def fanout(self, name, how):
        """Deliveries of one message to all WebSockets, and ours beside each other server's, round by round."""
        data = {s: v for s, v in self.out.get(name, {}).items() if v and s in self.order}
        if SUBJECT not in data:
            return []
        f = lambda b: lambda d: d[b]["per_cpu_s"]
        bursts = [b for b in data[SUBJECT][-1] if b.isdigit()]
        n = max(d["subscribers"] for d in data[SUBJECT])
        head = [f"{b} at once" for b in bursts]
        order = [s for s in self.order if s in data]
        rows = [[s, *(f"{median([f(b)(d) for d in data[s]]):,.0f}" for b in bursts)] for s in order]
        user = lambda d, b: f"{median([x[b]['us'] for x in d]):.2f} ({median([x[b]['user_us'] for x in d]):.2f} of them user)"
        costs = [[s, *(user(data[s], b) for b in bursts)] for s in order]
        beside = [[s, *(f"{median(per_round(f(b), data[SUBJECT], data[s])):.2f}" for b in bursts)] for s in order if s != SUBJECT]
        return rows_of(f"Deliveries to {n:,} WebSockets{how} per second of the server's CPU time, median", ["server", *head], rows) \
            + rows_of(f"CPU per delivery{how} in µs, median", ["server", *head], costs) \
            + rows_of(f"Deliveries{how} per CPU second, ours over theirs", [f"{SUBJECT} against", *head], beside)

    def details(self):
        lines = [x for r, c in self.run.items() for x in self.row(r, c)]
        lines += self.section("Heap allocations per request (bytes)", "alloc", COUNTED,
                              lambda d, c: f"{d[c]['calls']:.1f} ({d[c]['bytes']:.0f})" if c in d else "–")
        for row, cells in self.out.get("sys", {}).items():
            body = []
            for s, d in sorted(cells.items(), key=lambda x: x[1]["total"]):
                rest = sorted(((k, n) for k, n in d.items() if k not in ("total", "cs") and n >= 0.01), key=lambda x: -x[1])
                body.append([s, f"{d['total']:.2f}", f"{d['cs']:.3f}", " ".join(f"{k} {n:.2f}" for k, n in rest)])
            lines += rows_of(f"System calls per request, {row}", ["server", "total", "context switches", "which"], body)
        lines += self.section("Start", "start", ("listen_ms", "answer_ms", "answer_max_ms", "mem"),
                              lambda d, c: f"{d[c] / 1024:,.0f} KiB" if c == "mem" else f"{d[c]:.2f}")
        builds = [[n, d["version"], str(d["crates"]), f"{d['size'] >> 10:,}", *(f"{d[k]:.0f}" if k in d else "–" for k in ("cpu_s", "wall_s"))]
                  for n, d in self.out.get("build", {}).items()]
        lines += rows_of("Release build", ["server", "version", "crates", "KiB", "cold build, CPU s", "wall s"], builds)
        broken = [f"* {s}: " + ", ".join(f"{c}: {r}" for c, r in v.items() if r != "ok")
                  for s, v in self.out.get("verify", {}).items() if any(r != "ok" for r in v.values())]
        return lines + (["## Contract not kept", "", *broken, ""] if broken else [])

    def row(self, row, cells):
        """L: the server's cores were not full, so the loader was the limit and req/s understates the server."""
        full = 0.9 * len(self.conf.server_cpus)
        body = []
        for s, v in sorted(cells.items(), key=lambda x: median([self.cpu(d) for d in calm(x[1])])):
            m = lambda k: median([d[k] for d in calm(v) if k in d])
            n = lambda k: "–" if m(k) is None else f"{m(k):,.0f}"
            rps = [d["rps"] for d in v]
            mark = " E" if has_errors(v) else " L" if m("srv_cores") < full and ROWS[row]["tool"] != "rate" else ""
            body.append([self.name(s) + mark, f"{n('rps')} [{min(rps):,.0f}..{max(rps):,.0f}]",
                         f"{median([self.cpu(d) for d in calm(v)]):.2f} ({m('user_us'):.2f} + {m('sys_us'):.2f})", n("p50"), n("p99"), n("p999"),
                         f"{m('srv_cores'):.2f}", f"{m('foreign'):.2f}", f"{len(v)} ({sum(not d['disturbed'] for d in v)})"])
        return rows_of(row, ["server", "req/s [min..max]", "CPU µs/req (user + sys)", "p50 µs", "p99 µs", "p99.9 µs",
                             "server cores", "cores others used", "rounds (calm)"], body)


def machine():
    """The machine in one phrase."""
    cpu = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.M)
    kb = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1])
    rust = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.split()
    return (f"{cpu[1].strip() if cpu else platform.machine()}, {os.cpu_count()} cores, {kb / 2**20:.0f} GiB, "
            f"Linux {platform.release()}, Rust {rust[1] if len(rust) > 1 else '?'}, release with fat LTO")


def versions(builds):
    """The crates measured, for the reader who wants to know which."""
    return ", ".join(f"{n} {d['version']}" for n, d in builds.items() if d.get("version")) + "." if builds else ""
