"""What a request costs an app server behind nginx: by FastCGI, SCGI and HTTP, and beside an HTTP peer."""
import re
import statistics
import subprocess
import tempfile
from pathlib import Path

from .config import RUN, Fail, cpu_list, log, need
from .cost import CALLGRIND
from .load import wrk_numbers
from .process import Server, free_port

# name: the server of the servers file, its further argument, how nginx reaches it
WAYS = {
    "cepa fastcgi": ("cepa", ["fastcgi"], "fastcgi_pass app; fastcgi_keep_conn on; include /etc/nginx/fastcgi_params;"),
    "cepa scgi": ("cepa", ["scgi"], "scgi_pass app; include /etc/nginx/scgi_params;"),
    "cepa http": ("cepa", [], 'proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";'),
    "axum http": ("axum", [], 'proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection "";'),
}
CONFIG = """
daemon off; master_process off; pid {dir}/nginx.pid; error_log {dir}/error.log;
events {{ worker_connections 1024; }}
http {{
  access_log off; keepalive_requests 1000000000;
  client_body_temp_path {dir}/a; proxy_temp_path {dir}/b; fastcgi_temp_path {dir}/c; scgi_temp_path {dir}/d; uwsgi_temp_path {dir}/e;
  upstream app {{ server 127.0.0.1:{app}; keepalive 128; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:{port} reuseport backlog=4096; location / {{ {way} }} }}
}}
"""


class Front:
    """nginx in front of a server."""

    def __init__(self, conf, app, way):
        self.dir, self.port = tempfile.TemporaryDirectory(dir=RUN), free_port()
        config = Path(self.dir.name) / "nginx.conf"
        config.write_text(CONFIG.format(dir=self.dir.name, app=app, port=self.port, way=way))
        self.p = subprocess.Popen(["taskset", "-c", front_cpu(conf), "nginx", "-c", str(config), "-e", f"{self.dir.name}/error.log"],
                                  stdin=subprocess.DEVNULL)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait()
        self.dir.cleanup()


def front_cpu(conf):
    """One core of the loader's is nginx's."""
    return str(min(conf.loader_cpus))


def server(conf, way, **more):
    name, extra, nginx = WAYS[way]
    found = next((s for s in conf.servers if s["name"] == name), None)
    need(found, f"no server {name}")
    srv = Server(conf, dict(found, cmd=[*found["cmd"], *extra]), **more)
    return srv, Front(conf, srv.port, nginx)


def ask(conf, port, cmd, longest):
    cpus = cpu_list(conf.loader_cpus - {min(conf.loader_cpus)} or conf.loader_cpus)
    url = f"http://127.0.0.1:{port}/plaintext"
    return subprocess.run(["taskset", "-c", cpus, *cmd, url], capture_output=True, text=True, timeout=longest)


def answers(port):
    """Until nginx answers, and that it is the app that does."""
    for _ in range(200):
        p = subprocess.run(["curl", "-s", f"http://127.0.0.1:{port}/plaintext"], capture_output=True)
        if p.stdout == b"Hello, World!":
            return
    raise Fail(f"nginx answers {p.stdout[:200]}")


def cmd_doors(conf, a, out, save):
    """CPU of the app server per request, and requests per second, of each way; then user-space instructions."""
    conf.need_cpus()
    section = out.setdefault("doors", {})
    ways = list(WAYS)
    for r in range(a.rounds):
        k = r % len(ways)
        for way in ways[k:] + ways[:k]:
            d = timed(conf, way, a.secs)
            section.setdefault(way, {}).setdefault("runs", []).append(d)
            log(f"r{r} {way:14} {d['rps']:8.0f}/s app {d['cpu_us']:6.2f}us (user {d['user_us']:5.2f}) per request")
            save()
    for way in ways:
        section[way]["insn"] = instructions(conf, way, a.n)
        runs = section[way]["runs"]
        middle = {key: statistics.median(d[key] for d in runs) for key in ("rps", "cpu_us", "user_us")}
        section[way].update(middle)
        log(f"{way:14} {middle['rps']:8.0f}/s  {middle['cpu_us']:6.2f} us of CPU, {section[way]['insn']:6.0f} instructions per request")
        save()
    return True


def timed(conf, way, secs):
    srv, front = server(conf, way)
    with srv, front:
        answers(front.port)
        wrk = ["wrk", "-t", "2", "-c", "64", "-s", str(Path(__file__).parent.parent / "lua/bench.lua")]
        ask(conf, front.port, [*wrk, "-d", "1s"], 30)
        u0, k0 = srv.cpu()
        d = wrk_numbers(ask(conf, front.port, [*wrk, "-d", f"{secs}s"], secs + 30))
        u1, k1 = srv.cpu()
    need(d["errors"] <= d["requests"] * 1e-3, f"{way}: {d['errdetail']}")
    n = max(1, d["requests"])
    return dict(rps=d["rps"], user_us=(u1 - u0) / n * 1e6, cpu_us=(u1 - u0 + k1 - k0) / n * 1e6)


def instructions(conf, way, n):
    """As `insn`: two runs that differ in their number of requests only."""
    def total(requests):
        srv, front = server(conf, way, wrap=CALLGRIND, wait=60)
        with srv, front:
            answers(front.port)
            p = ask(conf, front.port, ["h2load", "--h1", "-n", str(requests), "-c", "16", "-t", "1"], 300)
            m = re.search(r"status codes: (\d+) 2xx", p.stdout)
            need(m and int(m[1]) == requests, f"h2load: {p.stdout[-400:]}")
            srv.stop(grace=20)
            m = re.search(r"Collected : (\d+)", srv.output())
            need(m, f"no callgrind total: {srv.output()[-300:]}")
            return int(m[1])

    return (total(3 * n) - total(n)) / (2 * n)
