"""A small strict HTTP client for checking answers: HTTP/1.1, WebSocket, server-sent events, HTTP/2."""
import base64
import hashlib
import os
import re
import socket
import struct

from .config import Fail, need


class Http:
    def __init__(self, port, timeout=5):
        self.c = socket.create_connection(("127.0.0.1", port), timeout)
        self.buf = b""

    def send(self, method, path, body=None, headers=()):
        h = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1"] + list(headers)
        if body is not None:
            h += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
        self.c.sendall("\r\n".join(h).encode() + b"\r\n\r\n" + (body or b""))

    def more(self):
        d = self.c.recv(1 << 18)
        if not d:
            raise Fail("connection closed early")
        self.buf += d

    def head(self):
        while b"\r\n\r\n" not in self.buf:
            self.more()
        h, self.buf = self.buf.split(b"\r\n\r\n", 1)
        lines = h.decode("latin-1").split("\r\n")
        status = int(lines[0].split()[1])
        return status, {k.strip().lower(): v.strip() for k, _, v in (x.partition(":") for x in lines[1:])}

    def take(self, n):
        while len(self.buf) < n:
            self.more()
        r, self.buf = self.buf[:n], self.buf[n:]
        return r

    def response(self):
        status, h = self.head()
        if "content-length" in h:
            return status, h, self.take(int(h["content-length"]))
        if h.get("transfer-encoding") == "chunked":
            b = b""
            while True:
                while b"\r\n" not in self.buf:
                    self.more()
                n, self.buf = self.buf.split(b"\r\n", 1)
                n = int(n.split(b";")[0], 16)
                part = self.take(n + 2)
                if n == 0:
                    return status, h, b
                b += part[:-2]
        raise Fail("neither Content-Length nor chunked")

    def get(self, path, **k):
        self.send("GET", path, **k)
        return self.response()

    def close(self):
        self.c.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def ws_open(c, path):
    """Handshake and one echoed text frame; the connection stays open."""
    key = base64.b64encode(os.urandom(16)).decode()
    c.send("GET", path, headers=["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                                 f"Sec-WebSocket-Key: {key}"])
    status, h = c.head()
    need(status == 101, f"status {status}")
    want = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    need(h.get("sec-websocket-accept") == want, "wrong accept key")
    msg, mask = b"hello", os.urandom(4)
    c.c.sendall(bytes([0x81, 0x80 | len(msg)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(msg)))
    need(c.take(2) == bytes([0x81, len(msg)]) and c.take(len(msg)) == msg, "wrong echo")


def sse_open(c, path):
    c.send("GET", path)
    status, h = c.head()
    need(status == 200 and h.get("content-type", "").startswith("text/event-stream"), f"{status} {h}")
    while not re.search(rb"data: ?hello\n\n", c.buf):
        c.more()


def h2_get(port, path):
    """One GET over HTTP/2 prior knowledge: the body, if the status is 200."""
    lit = lambda i, v: bytes([i, len(v)]) + v
    block = b"\x82\x86" + lit(0x04, path.encode()) + lit(0x01, b"127.0.0.1")
    frame = lambda t, f, sid, p: struct.pack(">I", len(p))[1:] + bytes([t, f]) + struct.pack(">I", sid) + p
    with Http(port) as c:
        c.c.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0, b"") + frame(1, 5, 1, block))
        body, ok = b"", False
        while True:
            hd = c.take(9)
            n, t, f, sid = int.from_bytes(hd[:3]), hd[3], hd[4], int.from_bytes(hd[5:9])
            p = c.take(n)
            if t == 4 and not f & 1:
                c.c.sendall(frame(4, 1, 0, b""))
            elif t == 1:
                p = p.lstrip(bytes(range(0x20, 0x40)))  # dynamic table size updates
                ok = p[:1] == b"\x88"
            elif t == 0:
                body += p
            elif t in (3, 7):
                raise Fail(f"h2 frame {t}: {p!r}")
            if t in (0, 1) and f & 1:
                need(ok, "h2 status is not 200")
                return body


