"""A running `glass serve` for the tools: started, asked over raw sockets, watched, stopped."""

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from http.client import HTTPException
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Seconds after which a request counts as hanging.
PATIENCE = 120


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """The process."""

    def __init__(self, program, model=None, options=(), port=None, error=subprocess.DEVNULL, **more):
        self.port = port or free_port()
        command = [program, "serve", *([model] if model else []), "--port", self.port, *options]
        self.started = time.monotonic()
        self.process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=error, **more)
        self.model = None

    def ready(self, within=30):
        """Waits until it can answer."""
        while time.monotonic() - self.started < within:
            if self.process.poll() is not None:
                raise RuntimeError(f"the server ended with status {self.process.returncode}")
            if self.healthy():
                self.seconds = time.monotonic() - self.started
                self.model = self.get("/v1/models")["data"][0]["id"]
                return self
            time.sleep(0.02)
        self.process.kill()
        raise RuntimeError(f"the server was not ready after {within} s")

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as answer:
            return json.load(answer)

    def healthy(self):
        try:
            self.get("/health")
            return True
        except (OSError, ValueError, HTTPException):
            return False

    def alive(self):
        return self.process.poll() is None

    def resident(self):
        """Its memory in bytes (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s*(\d+)", status)[1]) * 1024

    def sockets(self):
        """How many files it has open (Linux)."""
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def stop(self, within=30):
        """SIGTERM; its status, or None where it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(within)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return None


def post(path, body, more=""):
    """The bytes of a request."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n{more}\r\n"
    return head.encode() + content


class Answer:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    def json(self):
        return json.loads(self.body)

    def chunks(self):
        """The events of a stream; the last must be [DONE]."""
        events = [event[5:].strip() for event in self.body.split(b"\n\n") if event.startswith(b"data:")]
        if not events or events[-1] != b"[DONE]":
            raise ValueError(f"a stream without its end: {self.body[-200:]!r}")
        return [json.loads(event) for event in events[:-1]]

    def text(self):
        """What was said, streamed or not."""
        if b"event-stream" in self.headers:
            found = self.chunks()
        else:
            found = [self.json()]
        for one in found:
            if one.get("error"):
                raise ValueError(f"an error in the answer: {one['error']}")
        parts = [choice for one in found for choice in one.get("choices", [])]
        return "".join(part.get("text") or (part.get("delta") or part.get("message") or {}).get("content") or "" for part in parts)


async def receive(reader):
    """Reads one answer."""
    head = await reader.readuntil(b"\r\n\r\n")
    lower, body = head.lower(), b""
    length = re.search(rb"content-length: *(\d+)", lower)
    if length:
        body = await reader.readexactly(int(length[1]))
    elif b"transfer-encoding: chunked" in lower:
        while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readexactly(2)
    else:
        body = await reader.read()
    return Answer(int(head.split()[1]), lower, body)


async def ask(port, path, body, patience=PATIENCE):
    """One request over a connection of its own."""
    async with asyncio.timeout(patience):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(post(path, body))
            return await receive(reader)
        finally:
            writer.close()


def reset(writer):
    """Ends a connection as a killed client's kernel does."""
    linger = b"\x01\0\0\0\0\0\0\0"
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    writer.close()
