#!/usr/bin/env bash
# openai 3.57.0 (Python): a stream whose body ends where the connection is closed (no chunked encoding, no length, as in HTTP/1.0)
# and which is cut off before its last chunk and "[DONE]" looks complete. The loop over the chunks ends without an error, and the
# helper's get_final_completion() returns a completion. Only its finish_reason, which is None, tells. The same chunks in chunked
# encoding without its end raise APIConnectionError.
#
# Observed: "The answer is " is returned as the final completion with finish_reason None; APIConnectionError in chunked encoding.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet openai==3.57.0

cat >"$dir/run.py" <<'PY'
import json, os, sys, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import openai

os.environ["NO_PROXY"] = "127.0.0.1"


class Server(BaseHTTPRequestHandler):
    """Sends three chunks and closes the connection."""

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        chunked = request["model"] == "chunked"
        self.protocol_version = "HTTP/1.1" if chunked else "HTTP/1.0"
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for text in ["The ", "answer ", "is "]:
            choice = {"index": 0, "delta": {"role": "assistant", "content": text}, "finish_reason": None}
            chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "tiny", "choices": [choice]}
            event = f"data: {json.dumps(chunk)}\n\n"
            self.wfile.write((f"{len(event):x}\r\n{event}\r\n" if chunked else event).encode())
        self.close_connection = True

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Server)
threading.Thread(target=server.serve_forever, daemon=True).start()
client = openai.OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1")


def outcome(model):
    asked = {"model": model, "messages": [{"role": "user", "content": "What is it?"}]}
    try:
        text = "".join(chunk.choices[0].delta.content for chunk in client.chat.completions.create(**asked, stream=True))
        with client.chat.completions.stream(**asked) as stream:
            [choice] = stream.get_final_completion().choices
        return [text, choice.message.content, choice.finish_reason]
    except openai.APIConnectionError:
        return "APIConnectionError"


found = {name: outcome(name) for name in ["closed", "chunked"]}
print(f"openai {openai.__version__}; loop, final completion, its finish_reason:")
print(found)
sys.exit(found != {"closed": ["The answer is ", "The answer is ", None], "chunked": "APIConnectionError"})
PY
"$dir/venv/bin/python" "$dir/run.py" || { echo "the behaviour has changed"; exit 1; }
