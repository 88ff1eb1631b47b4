"""One message to many WebSockets: deliveries per second of the server's CPU time."""
import json
import os
import resource
import select
import socket
import statistics
import tempfile
import time

from .client import Http, ws_accepts, ws_ask
from .config import Fail, log, need, path_of
from .process import Server, machine_busy

# What each message is, as JSON on the wire.
MESSAGE = json.dumps("x" * 62)
FRAME = bytes([0x81, len(MESSAGE)]) + MESSAGE.encode()
# Sockets per address of the loader, which has some 28,000 ports on each.
PER_ADDRESS = 2_500
# The loader sleeps between its looks. If it slept in epoll_wait, the server's every write would wake it, and that would
# be in the server's CPU time; real subscribers are on other machines.
NAP = 0.002
# Messages published at once: one at a time, and bursts.
BURSTS = (1, 2, 4, 16)


def cmd_fanout(conf, a, out, save):
    """Each round every server in turn gets the same subscribers and the same messages; the next message is published
    when everybody has the one before."""
    conf.need_cpus()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, conf.loader_cpus)
    n = min(a.conns, hard - 200)
    name = "fanout-unix" if a.unix else "fanout"
    section, good = out.setdefault(name, {}), True
    who = [s for s in conf.chosen if "fanout" in s["caps"]]
    first = max([len(section.get(s["name"], [])) for s in who], default=0)
    for r in range(first, first + a.rounds):
        k = r % max(1, len(who))
        for s in who[k:] + who[:k]:
            try:
                d = one_round(conf, s, n, a.secs, a.unix)
            except (Fail, OSError) as e:
                log(f"{name:16} r{r} {s['name']:16} REFUSED {e}")
                good = False
                continue
            section.setdefault(s["name"], []).append(dict(d, round=r, subscribers=n))
            log(f"{name:16} r{r} {s['name']:16} " + "   ".join(
                f"burst {b}: {d[str(b)]['per_cpu_s']:9,.0f} deliveries/CPU s ({d[str(b)]['us']:5.2f} us, "
                f"{d[str(b)]['user_us']:.2f} of them user), p50 {d[str(b)]['p50_ms']:.0f} ms" for b in BURSTS))
            save()
    return good


def one_round(conf, s, n, secs, unix):
    with tempfile.TemporaryDirectory() as d:
        env = {"BENCH_SOCKET": f"{d}/socket"} if unix else {}
        with Server(conf, s, env=env) as srv:
            at = env.get("BENCH_SOCKET", srv.port)
            while unix and not os.path.exists(at):
                need(srv.p.poll() is None and time.perf_counter() - srv.t0 < 10, "it does not listen on its socket")
                time.sleep(0.01)
            crowd = Crowd(at, path_of(s, "fanout"), n)
            try:
                with Http(at, 60) as publisher:
                    # checks every byte; also, what a first message sets up for good is not the next one's price
                    crowd.deliver(publisher, 3, check=True)
                    return {str(b): measure(srv, crowd, publisher, b, secs) for b in BURSTS}
            finally:
                crowd.close()


def measure(srv, crowd, publisher, burst, secs):
    """Publishes for so long; the CPU time is the server's, user and system."""
    crowd.deliver(publisher, burst)
    before, busy, t0, took = srv.cpu(), machine_busy(), time.perf_counter(), []
    while time.perf_counter() - t0 < secs:
        took.append(crowd.deliver(publisher, burst))
    wall = time.perf_counter() - t0
    user, system = (y - x for x, y in zip(before, srv.cpu()))
    deliveries = len(took) * burst * len(crowd.sockets)
    return {"deliveries": deliveries, "per_cpu_s": deliveries / (user + system), "us": (user + system) * 1e6 / deliveries,
            "user_us": user * 1e6 / deliveries, "p50_ms": statistics.median(took) * 1e3, "cores": (user + system) / wall,
            "busy": (machine_busy() - busy) / wall}


class Crowd:
    """WebSockets that listen."""

    def __init__(self, port, path, n):
        self.sockets, self.ready, self.buffer = {}, select.epoll(), bytearray(1 << 16)
        for i in range(n):
            # 127.0.0.2 and on
            c = Http(port, 10, source=f"127.0.0.{2 + i // PER_ADDRESS}")
            try:
                ws_accepts(c, ws_ask(c, path))
                need(not c.buf, "a message before any was published")
            except BaseException:
                c.close()
                self.close()
                raise
            c.c.setblocking(False)
            self.sockets[c.c.fileno()] = c.c
            self.ready.register(c.c.fileno(), select.EPOLLIN)

    def deliver(self, publisher, burst, check=False):
        """Publishes so many messages and reads until everybody has them; how long that took."""
        t0, want = time.perf_counter(), burst * len(FRAME)
        left = dict.fromkeys(self.sockets, want)
        got = {fd: b"" for fd in left} if check else None
        request = (f"POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
                   f"Content-Length: {len(MESSAGE)}\r\n\r\n{MESSAGE}").encode()
        publisher.c.sendall(request * burst)
        while left:
            events = self.ready.poll(0, 4096)
            if not events:
                need(time.perf_counter() - t0 < 60, f"{len(left)} sockets still wait after 60 s")
                time.sleep(NAP)
            for fd, _ in events:
                length = self.sockets[fd].recv_into(self.buffer)
                need(0 < length <= left.get(fd, 0), "a socket was closed, or got more than was published")
                if check:
                    got[fd] += self.buffer[:length]
                left[fd] -= length
                if not left[fd]:
                    del left[fd]
        took = time.perf_counter() - t0
        for _ in range(burst):
            status, _, _ = publisher.response()
            need(status == 200, f"status {status}")
        need(not check or all(x == FRAME * burst for x in got.values()), "not what was published")
        return took

    def close(self):
        for c in self.sockets.values():
            c.close()
        self.ready.close()
