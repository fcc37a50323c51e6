"""The servers that bench/serve.py compares: started, waited for, stopped in their tracks while the other has its turn."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    """A server process. It is frozen but while it is used (`with server:`), so that it cannot disturb the other's turn."""

    def __init__(self, name, command, port, log):
        self.name, self.port, self.log = name, port, log
        self.process = subprocess.Popen([*map(str, command)], stdout=log.open("wb"), stderr=subprocess.STDOUT)
        try:
            self.wait()
        except BaseException:
            self.process.kill()
            raise
        self.model = self.get("/v1/models")["data"][0]["id"]
        self.process.send_signal(signal.SIGSTOP)

    def get(self, path):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)

    def wait(self):
        for _ in range(600):
            if self.process.poll() is not None:
                raise SystemExit(f"{self.name} ended with status {self.process.returncode}:\n{self.log.read_text()[-2000:]}")
            try:
                self.get("/health")
                return
            except OSError:
                time.sleep(0.05)
        raise SystemExit(f"{self.name} was not ready after 30 s:\n{self.log.read_text()[-2000:]}")

    def __enter__(self):
        self.process.send_signal(signal.SIGCONT)
        time.sleep(0.05)
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGSTOP)

    def cpu(self):
        """The CPU seconds of its threads so far (Linux)."""
        user, system = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def peak(self):
        """Its peak memory in MB (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return round(int(re.search(r"VmHWM:\s*(\d+)", status)[1]) * 1024 / 1e6)

    def close(self):
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def glass(program, model, threads, folder, options=()):
    port = free_port()
    command = [program, "serve", model, "--port", port, "--threads", threads, *options]
    return Server("glass", command, port, Path(folder) / "glass.log")


def llama(program, model, threads, folder, clients, context, flash):
    """`clients` slots of `context` tokens. Everything else is as it is by default: continuous batching, its cache of prompts."""
    port = free_port()
    command = [program, "-m", model, "--port", port, "-t", threads, "-tb", threads, "-np", clients, "-c", clients * context, "-fa", flash]
    return Server(f"llama.cpp fa {flash}", command, port, Path(folder) / f"llama-{flash}.log")


def version(program):
    """What llama-server says of itself."""
    done = subprocess.run([program, "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    found = re.search(r"version: (.*)", done.stdout)
    return found[1] if found else "unknown"
