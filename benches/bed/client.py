"""A small strict HTTP client for checking answers: HTTP/1.1, WebSocket, server-sent events, HTTP/2."""
import base64
import hashlib
import os
import re
import socket
import struct

from .config import Fail, need


class Http:
    def __init__(self, port, timeout=5, source=None):
        """`port` may be the path of a Unix socket."""
        if isinstance(port, str):
            self.c = socket.socket(socket.AF_UNIX)
            self.c.settimeout(timeout)
            self.c.connect(port)
        else:
            self.c = socket.create_connection(("127.0.0.1", port), timeout, source and (source, 0))
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


def ws_ask(c, path):
    """Asks for a WebSocket; its key."""
    key = base64.b64encode(os.urandom(16)).decode()
    c.send("GET", path, headers=["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13",
                                 f"Sec-WebSocket-Key: {key}"])
    return key


def ws_accepts(c, key):
    """Reads the answer to the handshake."""
    status, h = c.head()
    need(status == 101, f"status {status}")
    want = base64.b64encode(hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()).decode()
    need(h.get("sec-websocket-accept") == want, "wrong accept key")


def ws_open(c, path):
    """Handshake and one echoed text frame; the connection stays open."""
    ws_accepts(c, ws_ask(c, path))
    msg, mask = b"hello", os.urandom(4)
    c.c.sendall(bytes([0x81, 0x80 | len(msg)]) + mask + bytes(b ^ mask[i % 4] for i, b in enumerate(msg)))
    need(c.take(2) == bytes([0x81, len(msg)]) and c.take(len(msg)) == msg, "wrong echo")


def sse_open(c, path):
    c.send("GET", path)
    status, h = c.head()
    need(status == 200 and h.get("content-type", "").startswith("text/event-stream"), f"{status} {h}")
    while not re.search(rb"data: ?hello\n\n", c.buf):
        c.more()


def h2_text(name, value):
    """A field of a header block: the index of its name, or the name."""
    name = bytes([name]) if isinstance(name, int) else bytes([0, len(name)]) + name
    return name + bytes([len(value)]) + value


def h2_frame(kind, flags, stream, payload):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + h2_frame(4, 0, 0, b"")


class WsH2:
    """An HTTP/2 connection whose streams are WebSockets (RFC 8441)."""

    def __init__(self, port):
        self.http, self.stream = Http(port, 10), -1
        self.c, self.close = self.http.c, self.http.close
        self.c.sendall(H2_PREFACE)
        kind, _, _, settings = self.frame()
        need(kind == 4 and b"\x00\x08\x00\x00\x00\x01" in settings, "no SETTINGS_ENABLE_CONNECT_PROTOCOL")
        self.c.sendall(h2_frame(4, 1, 0, b""))

    def frame(self):
        head = self.http.take(9)
        return head[3], head[4], int.from_bytes(head[5:9]), self.http.take(int.from_bytes(head[:3]))

    def open(self, path):
        """One more WebSocket, which has echoed one text frame."""
        self.stream += 2
        block = h2_text(2, b"CONNECT") + b"\x86" + h2_text(4, path.encode()) + h2_text(1, b"127.0.0.1") \
            + h2_text(b":protocol", b"websocket") + h2_text(b"sec-websocket-version", b"13")
        self.c.sendall(h2_frame(1, 4, self.stream, block) + h2_frame(0, 0, self.stream, b"\x81\x85\0\0\0\0hello"))
        got = b""
        while len(got) < 7:
            kind, _, stream, payload = self.frame()
            need(kind not in (3, 7), f"h2 frame {kind}: {payload!r}")
            got += payload if (kind, stream) == (0, self.stream) else b""
        need(got == b"\x81\x05hello", "wrong echo")


def h2_get(port, path):
    """One GET over HTTP/2 prior knowledge: the body, if the status is 200."""
    block = b"\x82\x86" + h2_text(4, path.encode()) + h2_text(1, b"127.0.0.1")
    frame = h2_frame
    with Http(port) as c:
        c.c.sendall(H2_PREFACE + frame(1, 5, 1, block))
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


