"""Builds the servers and the two C tools into bin/."""
import os
import re
import resource
import shutil
import subprocess
import time
from pathlib import Path

from .config import HERE, log

TOOLS = (("calib", ["-O2"], []), ("libcount.so", ["-O2", "-shared", "-fPIC"], ["-ldl"]))


def cmd_build(conf, a, out, save):
    """False if something did not build. `--cold` builds from nothing and takes the time of it."""
    (HERE / "bin").mkdir(exist_ok=True)
    for name, flags, libs in TOOLS:
        source = HERE / "tools" / (Path(name).stem.removeprefix("lib") + ".c")
        subprocess.run(["cc", *flags, "-o", str(HERE / "bin" / name), str(source), *libs], check=True)
    good = True
    for b in conf.builds:
        if conf.takes(b["name"]) or any(conf.takes(s["name"]) and f"bin/{b['name']}" in s["cmd"] for s in conf.servers):
            good = build(conf, a, b, out.setdefault("build", {})) and good
            save()
    return good


def build(conf, a, b, section):
    folder = conf.dir / b["dir"]
    if b.get("npm"):
        log(f"{b['name']:16} installing")
        return subprocess.run(["npm", "ci", "--silent", "--no-audit", "--no-fund"], cwd=folder).returncode == 0
    target = Path(os.environ.get("CARGO_TARGET_DIR", HERE / "target")).absolute() / "peers" / b["name"]
    env = dict(os.environ, CARGO_TARGET_DIR=str(target))
    if a.cold:
        shutil.rmtree(target, ignore_errors=True)
        subprocess.run(["cargo", "fetch", "--quiet"], cwd=folder, check=True)
    log(f"{b['name']:16} building")
    r0, t0 = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    ok = subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=folder, env=env).returncode == 0
    r1, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter() - t0
    if not ok:
        log(f"{b['name']:16} FAILED (cargo build --release in {folder})")
        return False
    binary = HERE / "bin" / b["name"]
    # a running server keeps its old file: replaced, not overwritten
    fresh = binary.with_suffix(".new")
    shutil.copy2(target / "release" / f"peer-{b['name']}", fresh)
    fresh.replace(binary)
    d = dict(section.get(b["name"], {}), size=binary.stat().st_size, **dependencies(b, folder))
    if a.cold:
        d.update(cpu_s=r1.ru_utime + r1.ru_stime - r0.ru_utime - r0.ru_stime, wall_s=wall)
    section[b["name"]] = d
    log(f"{b['name']:16} {b.get('crate', b['name'])} {d['version']}, {d['crates']} crates, {d['size'] >> 10} KiB in {wall:.0f} s")
    return True


def dependencies(b, folder):
    """The measured crate's version, and how many crates came along."""
    tree = subprocess.run(["cargo", "tree", "--prefix", "none", "-e", "normal"], cwd=folder, capture_output=True, text=True).stdout
    crates = {x.split(" (")[0] for x in tree.splitlines() if x.strip()}
    m = re.search(rf"^{re.escape(b.get('crate', b['name']))} v(\S+)", tree, re.M)
    return {"crates": len(crates) - 2, "version": m[1] if m else ""}
