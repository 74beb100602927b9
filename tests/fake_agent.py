#!/usr/bin/env python3
"""Stands in for ngrok or cloudflared, which can't be had here: the same command line, the same log lines, the same local API, and a
"public" URL on this machine that passes requests on. Behaves as FAKE_AGENT says: "refuses" ends like an agent without an account."""

import http.server
import json
import os
import sys
import threading
import urllib.error
import urllib.request


def say(**entry):
    print(json.dumps({"t": "2026-11-24T10:00:00Z", "lvl": "info"} | entry), flush=True)


class Forward(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target = ""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
        headers["X-Forwarded-For"] = "203.0.113.7"
        request = urllib.request.Request(self.target + self.path, body or None, headers, method=self.command)
        try:
            answer = urllib.request.urlopen(request, timeout=60)
        except urllib.error.HTTPError as error:
            answer = error
        text = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST

    def log_message(self, *_):
        pass


class Api(Forward):
    public_url = ""

    def do_GET(self):
        tunnels = [{"name": "command_line", "public_url": self.public_url, "proto": "https"}]
        text = json.dumps({"tunnels": tunnels, "uri": "/api/tunnels"}).encode()
        found = self.path == "/api/tunnels"
        self.send_response(200 if found else 404)
        self.send_header("Content-Length", str(len(text) if found else 0))
        self.end_headers()
        if found:
            self.wfile.write(text)


def main(arguments):
    if os.environ.get("FAKE_AGENT") == "refuses":
        say(lvl="eror", msg="failed to reconnect session", err="authentication failed: ERR_NGROK_4018")
        return 1
    is_ngrok = arguments[0] == "http"
    Forward.target = arguments[1] if is_ngrok else arguments[arguments.index("--url") + 1]
    public = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Forward)
    threading.Thread(target=public.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{public.server_port}"
    if is_ngrok:
        assert arguments[2:6] == ["--log", "stdout", "--log-format", "json"], arguments
        Api.public_url = url
        api = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
        say(msg="no configuration paths supplied")
        say(msg="starting web service", obj="web", addr=f"127.0.0.1:{api.server_port}")
        api.serve_forever()
    print("2026-11-24T10:00:00Z INF Requesting new quick Tunnel on trycloudflare.com...", file=sys.stderr, flush=True)
    print(f"2026-11-24T10:00:00Z INF |  https://port-{public.server_port}.trycloudflare.com  |", file=sys.stderr, flush=True)
    public.serve_forever()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
