#!/usr/bin/env python3
"""Checks that `glass fetch` and huggingface_hub share a cache, against a server in this process.

    tools/check_hub.py target/debug/glass DIR

DIR is a model's folder, as `glass train` writes it. Needs the package `huggingface_hub`; no network.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

program, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
COMMIT = "0123456789abcdef0123456789abcdef01234567"
asked = []


def is_large(name):
    return name.endswith((".safetensors", ".bin"))


def git_hash(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def etag(name):
    return hashlib.sha256(files[name]).hexdigest() if is_large(name) else git_hash(files[name])


def listed(name, key, blob):
    size = len(files[name])
    large = {"lfs": {"sha256": etag(name), "oid": etag(name), "size": size, "pointerSize": 134}} if is_large(name) else {}
    return {key: name, "size": size, blob: git_hash(files[name]), **large}


class Hub(BaseHTTPRequestHandler):
    """Large files are on another server, as on the Hub."""

    protocol_version = "HTTP/1.1"

    def reply(self, status, body, **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def do_GET(self):
        asked.append((self.command, self.path))
        path = self.path.partition("?")[0]
        name = path.rpartition("/")[2]
        if "/tree/" in path:
            tree = [{"type": "file", **listed(name, "path", "oid")} for name in files]
            self.reply(200, json.dumps(tree).encode())
        elif path.startswith("/api/models/"):
            siblings = [listed(name, "rfilename", "blobId") for name in files]
            model = {"id": "me/tiny", "sha": COMMIT, "private": False, "siblings": siblings}
            self.reply(200, json.dumps(model).encode())
        elif name not in files:
            self.reply(404, b"", X_Error_Code="EntryNotFound", X_Repo_Commit=COMMIT)
        elif "/resolve/" in path and is_large(name):
            place = f"http://127.0.0.1:{elsewhere.server_port}/{name}"
            size = str(len(files[name]))
            self.reply(302, b"", Location=place, X_Repo_Commit=COMMIT, X_Linked_Etag=f'"{etag(name)}"', X_Linked_Size=size)
        else:
            self.reply(200, files[name], ETag=f'"{etag(name)}"', X_Repo_Commit=COMMIT)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


hub, elsewhere = (ThreadingHTTPServer(("127.0.0.1", 0), Hub) for _ in range(2))
for server in (hub, elsewhere):
    threading.Thread(target=server.serve_forever, daemon=True).start()

PYTHON = """
from huggingface_hub import hf_hub_download, scan_cache_dir, snapshot_download
import sys
offline = sys.argv[1] == "offline"
print(snapshot_download("me/tiny", local_files_only=offline, ignore_patterns=["*.md"]))
hf_hub_download("me/tiny", "model.safetensors", local_files_only=offline)
scan = scan_cache_dir()
assert not scan.warnings, scan.warnings
[repo] = scan.repos
[revision] = repo.revisions
assert revision.refs == {"main"}, revision.refs
"""


def transfers():
    """Files whose content was asked for since the last time."""
    of_files = [path for method, path in asked if method == "GET" and not path.startswith("/api/")]
    asked.clear()
    return len(of_files)


def run(home, *command):
    own = {"HF_HOME": home, "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HUB_DISABLE_XET": "1"}
    done = subprocess.run(command, env={**os.environ, **own, "NO_PROXY": "127.0.0.1"}, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout.strip()


with tempfile.TemporaryDirectory() as home:
    ours = run(home, program, "fetch", "me/tiny")
    assert transfers() > 0
    assert run(home, sys.executable, "-c", PYTHON, "offline") == ours
    assert run(home, sys.executable, "-c", PYTHON, "online") == ours
    assert transfers() == 0, "huggingface_hub fetches again what glass has fetched"
    print("huggingface_hub finds what glass fetches")

with tempfile.TemporaryDirectory() as home:
    theirs = run(home, sys.executable, "-c", PYTHON, "online")
    assert transfers() > 0
    assert run(home, program, "fetch", "me/tiny") == theirs
    run(home, program, "generate", "-m", "me/tiny", "The", "--tokens", "1")
    assert transfers() == 0, "glass fetches again what huggingface_hub has fetched"
    print("glass finds what huggingface_hub fetches")
