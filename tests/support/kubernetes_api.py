"""A stand-in for the Kubernetes API, with TLS and with watches that end and fail."""

import json
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

UID = "6a1f0e52-9c0d-4b8e-8f43-0d7c1f6b2a11"
NODES = [
    {"spec": {"podCIDR": "10.42.0.0/24", "podCIDRs": ["10.42.0.0/24", "2001:db8:42::/64"]},
     "status": {"addresses": [{"type": "InternalIP", "address": "192.0.2.1"}, {"type": "Hostname", "address": "a"}]}},
    {"status": {"addresses": [{"type": "ExternalIP", "address": "2001:db8::1"}]}},
]  # fmt: skip
NETWORKS = ("10.42.0.0/24", "192.0.2.1/32", "2001:db8:42::/64", "2001:db8::1/128")


def item(uid=UID, labels=None, annotations=None, **container):
    return {
        "metadata": {"uid": uid, "labels": labels, "annotations": annotations},
        "spec": {"containers": [{"name": "web", **container}]},
    }


def certify(folder):
    """Make a certificate of 127.0.0.1 and its authority, which has no key usage, like those of EKS and MicroK8s."""
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    authority = ["req", "-x509", *key, "-subj", "/CN=cluster", "-keyout", "ca.key", "-out", "ca.crt"]
    asked = ["req", *key, "-subj", "/CN=api", "-keyout", "api.key", "-out", "api.csr"]
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
    signed = ["x509", "-req", "-in", "api.csr", "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial"]
    for argv in (authority, asked, [*signed, "-extfile", "names", "-out", "api.crt"]):
        subprocess.run(["openssl", *argv], cwd=folder, check=True, capture_output=True)


class StandIn:
    """The API with TLS."""

    def __init__(self, folder):
        self.folder, self.pods, self.status, self.keep_alive = folder, {}, 200, True
        self.asked = []
        self.changed = threading.Condition()
        self._events = []
        self._watching, self._open = True, 0
        certify(folder)
        (folder / "token").write_text("secret\n")
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self._server.api = self
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "api.crt", folder / "api.key")
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,)).start()

    def tell(self, kind, told):
        self.tell_raw(json.dumps({"type": kind, "object": told}).encode() + b"\n")

    def tell_raw(self, line):
        with self.changed:
            self._events.append(line)
            self.changed.notify_all()

    def watched(self):
        """Wait until there is a watch."""
        with self.changed:
            assert self.changed.wait_for(lambda: self._open, 60)

    def cut(self):
        """End every watch."""
        with self.changed:
            self._watching = False
            self.changed.notify_all()

    def close(self):
        self.cut()
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Do not log requests."""

    def do_GET(self):
        api, url = self.server.api, urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        api.asked.append((url.path, query, self.headers["Authorization"]))
        if api.status != 200:
            self._answer({"kind": "Status"}, api.status)
        elif url.path == "/api/v1/nodes":
            self._answer({"items": NODES})
        elif "watch" in query:
            self._watch(api)
        else:
            self._answer({"items": list(api.pods.values()), "metadata": {"resourceVersion": "7"}})

    def _answer(self, value, status=200):
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if not self.server.api.keep_alive:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def _watch(self, api):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        with api.changed:
            api._watching, api._open = True, api._open + 1
            api.changed.notify_all()
        while True:
            with api.changed:
                api.changed.wait_for(lambda: api._events or not api._watching, 60)
                events, api._events, over = api._events, [], not api._watching
            for line in events:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(line), line))
            if over:
                with api.changed:
                    api._open -= 1
                self.wfile.write(b"0\r\n\r\n")
                return
