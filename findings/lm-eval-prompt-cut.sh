#!/usr/bin/env bash
# lm-eval 0.4.13: for generation tasks, local-completions keeps the last max_length - 1 - max_gen_toks tokens of a prompt (max_gen_toks
# is 256 if the task does not say otherwise). Whether to warn is decided after the cut, so a prompt that is cut is sent without a
# warning. The number may be zero or less: then the slice keeps everything, or loses as many tokens at the front, so that
# short prompts are sent empty and long ones longer than the context. Only there comes a warning, also where nothing was cut.
# A task's max_tokens, which is what is asked of the server, does not change the cut.
#
# Observed, tokens that a server in the script receives: of 400, 255 with max_length 512, without a warning; of 400, all with
# max_length 257; of 400, 343 with max_length 200; of 40, none with max_length 200, with max_tokens 16 too; the last four warn.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet "lm-eval[api]==0.4.13"

cat >"$dir/run.py" <<'PY'
import importlib.metadata, json, logging, os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

arrived = []


class Server(BaseHTTPRequestHandler):
    """Completions, and a tokenizer in which each letter is a token."""

    def reply(self, answer):
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply({"eos_token": "\n"})

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/tokenize":
            self.reply({"tokens": [ord(letter) for letter in request["prompt"]]})
        else:
            arrived.extend(len(tokens) for tokens in request["prompt"])
            self.reply({"choices": [{"index": 0, "text": "yes"}]})

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["NO_PROXY"] = "127.0.0.1"

from lm_eval.api.instance import Instance
from lm_eval.models.openai_completions import LocalCompletionsAPI

warnings = []
handler = logging.Handler(logging.WARNING)
handler.emit = lambda record: warnings.append(record.getMessage())
logging.getLogger("lm_eval").addHandler(handler)

print(f"lm-eval {importlib.metadata.version('lm-eval')}")
found = []
for max_length, length, more in [(512, 400, {}), (257, 400, {}), (200, 400, {}), (200, 40, {}), (200, 40, {"max_tokens": 16})]:
    arrived.clear(), warnings.clear()
    url = f"http://127.0.0.1:{server.server_port}/v1/completions"
    model = LocalCompletionsAPI(model="letters", base_url=url, tokenizer_backend="remote", max_length=max_length)
    asked = Instance("generate_until", {}, ("x" * length, {"until": ["\n"], **more}), 0)
    model.generate_until([asked], disable_tqdm=True)
    found.append((*arrived, len(warnings)))
    print(f"max_length {max_length}, {more}: of {length} tokens {arrived} sent; warnings: {warnings}", flush=True)
sys.exit(found != [(255, 0), (400, 1), (343, 1), (0, 1), (0, 1)])
PY
"$dir/venv/bin/python" "$dir/run.py" 2>"$dir/log" || { cat "$dir/log"; echo "the behaviour has changed"; exit 1; }
