"""What a server needs before any load: memory per open connection, and the time to its first answer."""
import random
import resource
import statistics
import time

from .client import Http, WsH2, sse_open, ws_open
from .config import Fail, log, path_of
from .contract import is_hello
from .process import Server

KINDS = (("idle", "plaintext"), ("ws", "ws"), ("ws-h2", "ws-h2"), ("sse", "sse"))
# WebSockets on one HTTP/2 connection
STREAMS = 100


def cmd_mem(conf, a, out, save):
    """Process memory (Pss) per open, idle connection, each after one answer. The kernel's own share, about
    4 KB for the accepted socket, is not in it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    n = min(a.conns, hard - 200)
    section, good = out.setdefault("mem", {}), True
    for s in conf.chosen:
        res = section.setdefault(s["name"], {})
        for kind, cap in KINDS:
            if cap not in s["caps"]:
                continue
            try:
                res[kind] = per_connection(conf, s, kind, n, a.settle)
                d = res[kind]
                log(f"{s['name']:16} {kind:5} {d['per_conn']:9.0f} B/conn  base {d['base'] >> 10} KiB, "
                    f"with {n} {d['full'] >> 10} KiB, after close {d['after'] >> 10} KiB, alive {d['alive']:.2f}")
            except (Fail, OSError) as e:
                res[kind] = {"error": str(e)[:200]}
                log(f"{s['name']:16} {kind:5} {e}")
                good = False
        save()
    return good


def per_connection(conf, s, kind, n, settle):
    """The growth of the server's memory while n connections of a kind are opened and left alone."""
    open_ = []

    def one():
        if kind == "ws-h2":
            if not open_ or open_[-1].stream >= 2 * STREAMS - 1:
                open_.append(WsH2(srv.port))
            return open_[-1].open(path_of(s, "ws"))
        c = Http(srv.port, 10)
        open_.append(c)
        if kind == "idle":
            is_hello(c.get(path_of(s, "plaintext")))
        else:
            (ws_open if kind == "ws" else sse_open)(c, path_of(s, kind))

    def close_all():
        while open_:
            open_.pop().close()

    try:
        with Server(conf, s) as srv:
            for _ in range(100):  # what a first connection sets up for good is not the next one's price
                one()
            close_all()
            time.sleep(0.5)
            base = srv.mem()
            for _ in range(n):
                one()
            time.sleep(settle)
            full = srv.mem()
            # all of them must still be there, or the number is worth nothing
            sample = random.sample(open_, min(200, len(open_)))
            alive = sum(map(is_open, sample)) / len(sample)
            close_all()
            time.sleep(1)
            return {"per_conn": (full - base) / n, "base": base, "full": full, "after": srv.mem(), "n": n, "alive": alive}
    finally:
        close_all()


def is_open(c):
    c.c.setblocking(False)
    try:
        return c.c.recv(4096) != b""
    except BlockingIOError:
        return True


def cmd_start(conf, a, out, save):
    """Spawn to first accepted connection, and to the first whole answer (what a health check sees)."""
    section = out.setdefault("start", {})
    t = {s["name"]: [] for s in conf.chosen}
    for _ in range(a.times):
        for s in conf.chosen:
            with Server(conf, s) as srv, Http(srv.port) as c:
                c.get(path_of(s, "plaintext"))
                t[s["name"]].append(((srv.up - srv.t0) * 1e3, (time.perf_counter() - srv.t0) * 1e3, srv.mem()))
    for name, v in t.items():
        listen, answer, mem = zip(*v)
        section[name] = {"listen_ms": statistics.median(listen), "answer_ms": statistics.median(answer),
                         "answer_max_ms": max(answer), "mem": statistics.median(mem), "n": len(v)}
        log(f"{name:16} listens after {section[name]['listen_ms']:.1f} ms, answers after {section[name]['answer_ms']:.1f} ms")
    save()
    return True
