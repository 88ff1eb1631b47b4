#!/usr/bin/env python3
"""Interleaved, verified measurements of HTTP servers side by side.

    bench.py build  [--cold]                the servers and the tools, into bin/
    bench.py verify                         does every server keep the contract?
    bench.py run    [--rounds 3] [--secs 4] the matrix, A B C, B C A
    bench.py mem    [--conns 10000]         memory per idle keep-alive, WebSocket, SSE connection
    bench.py fanout [--conns 10000]         deliveries per CPU second, one message to all WebSockets
    bench.py insn                           user-space instructions per request (callgrind)
    bench.py alloc                          heap allocations per request (LD_PRELOAD counter)
    bench.py sys                            system calls per request (perf tracepoints)
    bench.py doors                          behind nginx: FastCGI, SCGI, HTTP, and axum by HTTP
    bench.py start                          spawn to first answer
    bench.py report                         results.json -> results.md; prints its first part

Each merges what it measured into --out (default results.json) under its own section and writes the
.md beside it. --only and --skip choose servers, --rows the rows; --fresh forgets the section first.

How it stays honest on a noisy, shared machine
  * Servers are pinned to one set of cores, the loader to another.
  * Rows run server by server, then the next round starts one server later, so a slow minute hits
    everyone. Ratios are taken inside a round; the median of them is quoted.
  * Every run records the CPU the server and the loader used, and what everybody else on the machine
    used. A run with more of that than --max-foreign cores is repeated, --retries times at most; the
    calmest try is kept, and marked if it was still disturbed.
  * A run in which the server did not fill its cores is marked L: the loader was the limit and req/s
    understates the server. CPU per request is what to compare then, and the steadier figure anyway.
  * Right before every timed run the row's answer is checked byte for byte. A server that answers
    wrong, or fails one request in a thousand, is out of the row.

Nothing leaves 127.0.0.1 and every load is bounded in time. Exit code 1: something failed.
"""
import argparse
import json
import signal
import sys
from pathlib import Path

from bed.build import cmd_build
from bed.config import HERE, ROWS, RUN, Conf, log
from bed.contract import cmd_verify
from bed.cost import cmd_alloc, cmd_insn, cmd_sys
from bed.doors import cmd_doors
from bed.fanout import cmd_fanout
from bed.footprint import cmd_mem, cmd_start
from bed.matrix import cmd_run
from bed.report import Report

COMMANDS = dict(build=cmd_build, verify=cmd_verify, run=cmd_run, mem=cmd_mem, fanout=cmd_fanout, insn=cmd_insn, alloc=cmd_alloc, sys=cmd_sys, doors=cmd_doors, start=cmd_start, report=None)


def arguments():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("cmd", choices=list(COMMANDS))
    p.add_argument("--servers", default=HERE / "servers.toml", type=Path)
    p.add_argument("--out", default=HERE / "results.json", type=Path)
    p.add_argument("--only", help="server names, comma separated")
    p.add_argument("--skip", help="server names to leave out")
    p.add_argument("--rows", help=f"row names: {','.join(ROWS)}")
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--secs", type=int, default=4)
    p.add_argument("--max-foreign", type=float, default=0.25, help="cores others may use before a run is repeated")
    p.add_argument("--retries", type=int, default=2)
    p.add_argument("--quiet-wait", type=float, default=0, help="seconds to wait for a quiet machine before each run")
    p.add_argument("--conns", type=int, default=10000, help="mem, fanout: connections held open")
    p.add_argument("--unix", action="store_true", help="fanout: over a Unix socket, as behind a server on the same machine")
    p.add_argument("--settle", type=float, default=2, help="mem: seconds before the reading")
    p.add_argument("--times", type=int, default=20, help="start: how often")
    p.add_argument("--n", type=int, default=3000, help="insn, alloc: base number of requests")
    p.add_argument("--workers", type=int, help="instead of the servers file's")
    p.add_argument("--server-cpus")
    p.add_argument("--loader-cpus")
    p.add_argument("--fresh", action="store_true", help="forget what this command measured before")
    p.add_argument("--cold", action="store_true", help="build: from nothing, and take the time of it")
    return p.parse_args()


def main():
    a = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("terminated"))  # so that servers are stopped
    conf = Conf(a)
    RUN.mkdir(exist_ok=True)
    out = json.loads(a.out.read_text()) if a.out.exists() else {}
    for section in [a.cmd, *(["refused"] if a.cmd == "run" else [])] if a.fresh else []:
        out.pop(section, None)

    def save():
        tmp = a.out.with_suffix(".tmp")
        tmp.write_text(json.dumps(out, indent=1))
        tmp.replace(a.out)

    good = True
    try:
        if COMMANDS[a.cmd]:
            good = COMMANDS[a.cmd](conf, a, out, save)
    finally:
        save()
        report = Report(conf, out)
        summary, md = report.summary(), a.out.with_suffix(".md")
        md.write_text("\n".join(summary + report.details()))
    if a.cmd == "report":
        log("\n".join(summary))
        log(f"The whole report: {md}")
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
