"""What is measured (the rows) and who takes part (the servers file)."""
import os
import sys
import tomllib
from pathlib import Path

HERE = Path(__file__).resolve().parent.parent
RUN = HERE / "run"
ECHO = HERE / "data/echo.json"
FILE = HERE / "data/static/file.txt"
SUBJECT = "cepa"

# name: the capability it needs, the key of its path, the loader, and how it is loaded
ROWS = {
    "plaintext-c64": dict(cap="plaintext", path="plaintext", tool="wrk", conns=64),
    "json-c64": dict(cap="json", path="json", tool="wrk", conns=64),
    "users-c64": dict(cap="users", path="users", tool="wrk", conns=64),
    "echo-c64": dict(cap="echo", path="echo", tool="wrk", conns=64, body=True),
    "stack-c64": dict(cap="stack", path="stack", tool="wrk", conns=64),
    # logger, a session that is read from its signed cookie, 21 routes: beside Koa
    "session-c64": dict(cap="session", path="session", tool="wrk", conns=64, cookie=True),
    "file-c64": dict(cap="file", path="file", tool="wrk", conns=64),
    "pipeline16-c64": dict(cap="pipeline", path="plaintext", tool="wrk", conns=64, depth=16),
    "plaintext-c512": dict(cap="plaintext", path="plaintext", tool="wrk", conns=512),
    "close-c64": dict(cap="close", path="plaintext", tool="wrk", conns=64, close=True),
    "h2-c16m32": dict(cap="h2", path="plaintext", tool="h2load", conns=16, streams=32),
    # the same offered load for all, well below saturation: the fair latency row
    "rate16k-c64": dict(cap="plaintext", path="plaintext", tool="rate", conns=64, rps=16000),
}
# what `insn` and `alloc` count
COUNTED = ("plaintext", "json", "users", "echo", "stack", "session", "file", "h2")
# what `insn` counts besides: plaintext behind a front server, by kept connections and by one for each request
FRONT = ("fastcgi", "scgi")
PATHS = {
    "plaintext": "/plaintext",
    "json": "/json",
    "users": "/users/42",
    "echo": "/echo",
    "stack": "/stack",
    "session": "/session/r10/42",
    "file": "/file",
    "ws": "/ws",
    "sse": "/sse",
    "fanout": "/ws-fanout",
}


class Fail(Exception):
    """The server does not keep the contract, or a tool did not do its work."""


def need(ok, what):
    if not ok:
        raise Fail(what)


def log(line):
    print(line, flush=True)


class Conf:
    """servers.toml with the command line's choices applied."""

    def __init__(self, a):
        t = tomllib.loads(Path(a.servers).read_text())
        d = t["defaults"]
        self.server_cpus = parse_cpus(a.server_cpus or d["server_cpus"])
        self.loader_cpus = parse_cpus(a.loader_cpus or d["loader_cpus"])
        self.workers = a.workers or d["workers"]
        self.dir = Path(a.servers).resolve().parent
        self.builds, self.servers = t["build"], t["server"]
        known = {x["name"] for x in self.builds + self.servers}
        self.only, self.skip = names(a.only, known), names(a.skip, known) or set()
        self.chosen = [s for s in self.servers if self.takes(s["name"])]
        rows = names(a.rows, set(ROWS))
        self.rows = [r for r in ROWS if rows is None or r in rows]
        self.front = [c for c in FRONT if rows is None]
        self.counted = [c for c in COUNTED if c in {ROWS[r]["cap"] for r in self.rows}]

    def takes(self, name):
        return (self.only is None or name in self.only) and name not in self.skip

    def need_cpus(self):
        """The figures mean nothing if server and loader share a core."""
        missing = (self.server_cpus | self.loader_cpus) - os.sched_getaffinity(0)
        both = self.server_cpus & self.loader_cpus
        if missing or both:
            why = f"core {cpu_list(missing)} is not here" if missing else f"core {cpu_list(both)} is in both sets"
            sys.exit(f"bench: {why}; choose with --server-cpus 0 --loader-cpus 1 --workers 1")


def names(arg, known):
    """A comma separated argument as a set; None if it was not given."""
    if arg is None:
        return None
    got = set(arg.split(","))
    if got - known:
        sys.exit(f"bench: no such name: {', '.join(sorted(got - known))}; there are: {', '.join(sorted(known))}")
    return got


def parse_cpus(s):
    """"0,2-3" is {0, 2, 3}."""
    r = set()
    for part in str(s).split(","):
        a, _, b = part.partition("-")
        r |= set(range(int(a), int(b or a) + 1))
    return r


def cpu_list(cpus):
    return ",".join(map(str, sorted(cpus)))


def path_of(s, key):
    return s.get("paths", {}).get(key, PATHS[key])
