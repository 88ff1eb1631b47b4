"""The contract every server keeps (README.md has it in full), checked over real sockets."""
import base64
import email.utils
import hashlib
import hmac
import json
import time

from .client import Http, WsH2, h2_get, sse_open, ws_open
from .config import ECHO, FILE, FRONT, Fail, log, need, path_of
from .fanout import Crowd
from .front import front_n
from .process import Server

HELLO = b"Hello, World!"
MESSAGE = {"message": "Hello, World!"}


def verify(conf, s):
    """The whole contract; returns {capability: "ok" or why not}."""
    res = {}

    def check(port, caps):
        for cap in caps:
            try:
                CHECKS[cap](port, path_of(s, PATH_OF_CAP.get(cap, cap)))
                res[cap] = "ok"
            except Exception as e:  # whatever went wrong, the server is not fit for this row
                res[cap] = f"{type(e).__name__}: {e}"

    with Server(conf, s) as srv:
        check(srv.port, [c for c in s["caps"] if c not in ("h2", *FRONT)])
    if "h2" in s["caps"]:
        with Server(conf, s, "h2_cmd") as srv:
            check(srv.port, ["h2"])
    for cap in (c for c in FRONT if c in s["caps"]):
        try:
            with Server(conf, dict(s, cmd=[*s["cmd"], cap])) as srv:
                front_n(srv.port, cap, 20, 4)
            res[cap] = "ok"
        except (Fail, OSError) as e:
            res[cap] = f"{type(e).__name__}: {e}"
    return res


def check_row(s, port, row):
    """The row's own answer, right before it is timed."""
    path = path_of(s, row["path"])
    if row["tool"] == "h2load":
        return h2(port, path)
    with Http(port) as c:
        for _ in range(2):
            if row["path"] == "echo":
                c.send("POST", path, ECHO.read_bytes())
                is_json(c.response(), json.loads(ECHO.read_bytes()))
            elif row["path"] == "session":
                is_json(c.get(path, headers=[f"Cookie: {session_cookie(name='ann')}"]), {"id": "42", "name": "ann"})
            else:
                r = c.get(path)
                {"plaintext": is_hello, "stack": is_hello, "file": is_file,
                 "json": lambda r: is_json(r, MESSAGE, dated=True),
                 "users": lambda r: is_json(r, {"id": "42"})}[row["path"]](r)


def session_cookie(key="bench", **values):
    """A session as koa-session writes it, signed as Keygrip does."""
    values.update(_expire=4102444800000, _maxAge=86400000)
    text = base64.b64encode(json.dumps(values, separators=(",", ":")).encode()).decode()
    mark = hmac.new(key.encode(), f"koa.sess={text}".encode(), hashlib.sha1).digest()
    return f"koa.sess={text}; koa.sess.sig={base64.urlsafe_b64encode(mark).decode().rstrip('=')}"


def has_date(h):
    need("date" in h and "server" in h, "no Date or Server header")
    t = email.utils.parsedate_to_datetime(h["date"]).timestamp()
    need(abs(t - time.time()) < 3, f"stale Date {h['date']}")


def is_hello(r):
    status, h, body = r
    need(status == 200, f"status {status}")
    need(body == HELLO, f"body {body[:60]!r}")
    need(h.get("content-type", "").startswith("text/plain"), f"content-type {h.get('content-type')}")
    has_date(h)


def is_json(r, want, dated=False):
    status, h, body = r
    need(status == 200, f"status {status}")
    need(h.get("content-type", "").startswith("application/json"), f"content-type {h.get('content-type')}")
    need(json.loads(body) == want, f"body {body[:80]!r}")
    if dated:
        has_date(h)


def is_file(r):
    status, _, body = r
    need(status == 200, f"status {status}")
    need(body == FILE.read_bytes(), "file differs")


def plaintext(port, path):
    with Http(port) as c:
        for _ in range(3):
            is_hello(c.get(path))
        need(c.get("/nope")[0] == 404, "/nope is not 404")


def json_(port, path):
    with Http(port) as c:
        is_json(c.get(path), MESSAGE, dated=True)


def users(port, path):
    with Http(port) as c:
        for i in ("1", "42", "abc-7", "x" * 40):
            is_json(c.get(path.replace("42", i)), {"id": i})
        for p in ("/res0/7", "/api/v1/res99/7/items/8", "/api/v1/res1/a/items/b"):
            need(c.get(p)[0] == 200, f"{p} is not routed")
        need(c.get("/api/v1/res1/a/itemz/b")[0] == 404, "unknown route is not 404")


def echo(port, path):
    a = json.loads(ECHO.read_bytes())
    b = dict(a, id=7, name="é\"\\", tags=[], score=-0.5)
    with Http(port) as c:
        for v in (a, b, a):
            c.send("POST", path, json.dumps(v, separators=(",", ":"), ensure_ascii=False).encode())
            is_json(c.response(), v)
    with Http(port) as c:  # a body in two segments
        body = ECHO.read_bytes()
        c.c.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n".encode() + body[:100])
        time.sleep(0.05)
        c.c.sendall(body[100:])
        is_json(c.response(), a)
    with Http(port) as c:
        c.send("POST", path, b'{"id": nonsense')
        need(c.response()[0] >= 400, "bad JSON accepted")


def stack(port, path):
    with Http(port) as c:
        is_hello(c.get(path))


def session(port, path):
    with Http(port) as c:
        for cookie, name in ((session_cookie(name="ann"), "ann"), (session_cookie("other", name="eve"), "nobody"), (None, "nobody")):
            headers = [f"Cookie: {cookie}"] if cookie else []
            for route in ("/r10/42", "/r0/42", "/r20/42"):
                is_json(c.get(path.replace("/r10/42", route), headers=headers), {"id": "42", "name": name})
        need(c.get(path.replace("/r10/", "/r21/"))[0] == 404, "there are more than 21 routes")


def file(port, path):
    with Http(port) as c:
        for _ in range(3):
            is_file(c.get(path))


def pipeline(port, path):
    one = f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    with Http(port) as c:
        for _ in range(2):
            c.c.sendall(one * 16)
            for _ in range(16):
                is_hello(c.response())
        raw = one * 4  # in segments that cut through requests
        for i in range(0, len(raw), 23):
            c.c.sendall(raw[i:i + 23])
            time.sleep(0.002)
        for _ in range(4):
            is_hello(c.response())


def close(port, path):
    with Http(port) as c:
        is_hello(c.get(path, headers=["Connection: close"]))
        c.c.settimeout(2)
        need(c.c.recv(1) == b"", "connection stays open")


def h2(port, path):
    need(h2_get(port, path) == HELLO, "h2 body")


def ws(port, path):
    with Http(port) as c:
        ws_open(c, path)


def ws_h2(port, path):
    c = WsH2(port)
    try:
        for _ in range(2):
            c.open(path)
    finally:
        c.close()


def fanout(port, path):
    crowd = Crowd(port, path, 3)
    try:
        with Http(port) as publisher:
            crowd.deliver(publisher, 3, check=True)
    finally:
        crowd.close()


def sse(port, path):
    with Http(port) as c:
        sse_open(c, path)


CHECKS = dict(plaintext=plaintext, json=json_, users=users, echo=echo, stack=stack, session=session, file=file,
              pipeline=pipeline, close=close, h2=h2, ws=ws, sse=sse, fanout=fanout, **{"ws-h2": ws_h2})
PATH_OF_CAP = {"pipeline": "plaintext", "close": "plaintext", "h2": "plaintext", "ws-h2": "ws"}


def cmd_verify(conf, a, out, save):
    """Does every server keep the contract? False if one does not."""
    section, good = out.setdefault("verify", {}), True
    for s in conf.chosen:
        try:
            r = verify(conf, s)
        except Fail as e:
            r = {"start": str(e)}
        section[s["name"]] = r
        wrong = {k: v for k, v in r.items() if v != "ok"}
        good = good and not wrong
        log(f"{s['name']:16} {len(r) - len(wrong)} ok" + "".join(f"\n    {k}: {v}" for k, v in wrong.items()))
        save()
    return good
