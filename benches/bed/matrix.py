"""The timed matrix: row by row, server by server, A B C, then B C A, so that a slow minute hits everyone."""
import subprocess
import time

from .config import ROWS, Fail, log
from .load import one_run
from .process import wait_quiet


def cmd_run(conf, a, out, save):
    """Requests per second, latency and CPU per request of every row; False if a server failed one."""
    conf.need_cpus()
    section, refused = out.setdefault("run", {}), out.setdefault("refused", {})
    for name in conf.rows:
        row, cells = ROWS[name], section.setdefault(name, {})
        who = [s for s in conf.chosen if row["cap"] in s["caps"]]
        first = max([len(cells.get(s["name"], [])) for s in who], default=0)
        for r in range(first, first + a.rounds):
            k = r % max(1, len(who))
            for s in who[k:] + who[:k]:
                try:
                    d = calmest_run(conf, a, s, row)
                except (Fail, OSError, subprocess.TimeoutExpired) as e:
                    refused.setdefault(s["name"], {})[name] = str(e)[:300]
                    log(f"{name:16} r{r} {s['name']:16} REFUSED {e}")
                    continue
                cells.setdefault(s["name"], []).append(dict(d, round=r))
                refused.get(s["name"], {}).pop(name, None)
                log(f"{name:16} r{r} {s['name']:16} {d['rps']:10.0f}/s p50 {d.get('p50', 0):6} p99 {d.get('p99', 0):7} "
                    f"cpu {d['cpu_us']:6.2f}us srv {d['srv_cores']:.2f} ldr {d['ldr_cores']:.2f} foreign {d['foreign']:.2f}"
                    f"{' ERR ' + str(d.get('errdetail', d['errors'])) if d['errors'] else ''}")
            save()
    return not any(refused.get(s["name"]) for s in conf.chosen)


def calmest_run(conf, a, s, row):
    """Repeats a run that others disturbed; the least disturbed try is kept, and marked if it still is one."""
    best = None
    for t in range(a.retries + 1):
        wait_quiet(a.max_foreign, a.quiet_wait)
        d = one_run(conf, s, row, a.secs)
        d.update(tries=t + 1, at=time.strftime("%FT%T"), secs=a.secs)
        if best is None or d["foreign"] < best["foreign"]:
            best = d
        if d["foreign"] <= a.max_foreign:
            break
    best["disturbed"] = best["foreign"] > a.max_foreign
    return best
