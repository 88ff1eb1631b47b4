"""A front server's part, for counting: plaintext by FastCGI over kept connections, by SCGI over one for each request."""
import socket
import struct

from .config import need

# what nginx sends with its fastcgi_params or scgi_params for `curl http://127.0.0.1/plaintext`
VARIABLES = {
    "QUERY_STRING": "", "REQUEST_METHOD": "GET", "CONTENT_TYPE": "", "CONTENT_LENGTH": "", "SCRIPT_NAME": "/plaintext",
    "REQUEST_URI": "/plaintext", "DOCUMENT_URI": "/plaintext", "DOCUMENT_ROOT": "/usr/share/nginx/html",
    "SERVER_PROTOCOL": "HTTP/1.1", "REQUEST_SCHEME": "http", "GATEWAY_INTERFACE": "CGI/1.1",
    "SERVER_SOFTWARE": "nginx/1.22.1", "REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": "40000", "SERVER_ADDR": "127.0.0.1",
    "SERVER_PORT": "8080", "SERVER_NAME": "", "REDIRECT_STATUS": "200", "HTTP_HOST": "127.0.0.1:8080",
    "HTTP_USER_AGENT": "curl/7.88.1", "HTTP_ACCEPT": "*/*",
}
END_REQUEST = b"\x01\x03\x00\x01\x00\x08"


def fastcgi():
    pairs = b"".join(struct.pack("BB", len(k), len(v)) + k.encode() + v.encode() for k, v in VARIABLES.items())
    record = lambda kind, content: struct.pack(">BBHHBB", 1, kind, 1, len(content), 0, 0) + content
    return record(1, b"\0\x01\x01\0\0\0\0\0") + record(4, pairs) + record(4, b"") + record(5, b"")


def scgi():
    variables = {"CONTENT_LENGTH": "0", "SCGI": "1", **{k: v for k, v in VARIABLES.items() if k != "CONTENT_LENGTH"}}
    text = "".join(f"{k}\0{v}\0" for k, v in variables.items())
    return f"{len(text)}:{text},".encode()


def front_n(port, cap, n, conns):
    """Exactly n requests, `conns` of them at once, every one of them answered 200."""
    request, opened = (fastcgi() if cap == "fastcgi" else scgi()), []
    while n:
        round_ = min(n, conns)
        while len(opened) < round_:
            opened.append(socket.create_connection(("127.0.0.1", port), 60))
        for s in opened[:round_]:
            s.sendall(request)
        for s in opened[:round_]:
            answer = b""
            # of a kept connection the end of the answer, of another its own
            while not (cap == "fastcgi" and END_REQUEST in answer):
                more = s.recv(65536)
                if not more:
                    break
                answer += more
            need(b"Status: 200 OK" in answer and b"Hello, World!" in answer, f"{cap}: {answer[:200]}")
        if cap == "scgi":
            for s in opened:
                s.close()
            opened = []
        n -= round_
    for s in opened:
        s.close()
