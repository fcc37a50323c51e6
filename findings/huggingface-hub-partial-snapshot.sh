#!/usr/bin/env bash
# huggingface_hub 2.4.0: the documentation of snapshot_download says that offline it raises IncompleteSnapshotError where the cached
# snapshot lacks files. It does not after hf_hub_download: if a model is complete in the cache and its main has moved since, fetching
# one file moves main in the cache to a new folder that holds this file alone, and snapshot_download with local_files_only returns
# that folder, without an error or a warning. The complete older folder is still there. Only snapshot_download stores the list of files
# that it checks a folder against; without the list it takes any folder as complete.
#
# Observed, against a small server in the script: offline, three files before and one file after hf_hub_download of that file;
# three files when the older commit is named; IncompleteSnapshotError where snapshot_download has fetched the one file.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet huggingface_hub==2.4.0

cat >"$dir/run.py" <<'PY'
import hashlib, json, logging, os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FILES = {"config.json": b"{}", "vocabulary.txt": b"words", "weights.txt": b"numbers"}
OLD, NEW = "1" * 40, "2" * 40
main = OLD


def sha1(content):
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


class Hub(BaseHTTPRequestHandler):
    """The same files at both commits."""

    def do_GET(self):
        path, name = self.path.partition("?")[0], self.path.rpartition("/")[2]
        status, headers = 200, {}
        if "/tree/" in path:
            files = FILES.items()
            body = json.dumps([{"type": "file", "path": n, "size": len(c), "oid": sha1(c)} for n, c in files]).encode()
        elif path.startswith("/api/models/"):
            body = json.dumps({"id": "me/tiny", "sha": main, "siblings": [{"rfilename": name} for name in FILES]}).encode()
        elif name in FILES:
            body = FILES[name]
            headers = {"ETag": f'"{sha1(body)}"', "X-Repo-Commit": main}
        else:
            status, body = 404, b""
        self.send_response(status)
        for header in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(*header)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ.update(HF_ENDPOINT=f"http://127.0.0.1:{server.server_port}", NO_PROXY="127.0.0.1",
                  HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_PROGRESS_BARS="1")

import huggingface_hub
from huggingface_hub import hf_hub_download, snapshot_download
from huggingface_hub.errors import IncompleteSnapshotError

warnings = []
handler = logging.Handler(logging.WARNING)
handler.emit = lambda record: warnings.append(record.getMessage())
logging.getLogger("huggingface_hub").addHandler(handler)


def offline(cache, revision="main"):
    try:
        folder = snapshot_download("me/tiny", cache_dir=cache, revision=revision, local_files_only=True)
    except IncompleteSnapshotError:
        return "IncompleteSnapshotError"
    return sorted(path.name for path in Path(folder).iterdir())


# One file fetched by itself, and the same by snapshot_download.
found = {}
for name, fetch in {
    "hf_hub_download": lambda cache: hf_hub_download("me/tiny", "config.json", cache_dir=cache),
    "snapshot_download": lambda cache: snapshot_download("me/tiny", cache_dir=cache, allow_patterns="config.json"),
}.items():
    cache = Path(sys.argv[1]) / name
    main = OLD
    snapshot_download("me/tiny", cache_dir=cache)
    before = offline(cache)
    main = NEW
    fetch(cache)
    found[name] = [before, offline(cache), offline(cache, OLD)]

print(f"huggingface_hub {huggingface_hub.__version__}; offline before, after, after at the older commit:")
for name, outcome in found.items():
    print(f"{name}:", *outcome)
print("warnings:", warnings)
every = sorted(FILES)
expected = {"hf_hub_download": [every, ["config.json"], every], "snapshot_download": [every, "IncompleteSnapshotError", every]}
sys.exit(found != expected or warnings != [])
PY
"$dir/venv/bin/python" "$dir/run.py" "$dir" || { echo "the behaviour has changed"; exit 1; }
