#!/bin/sh
# Thousands of requests made from the OpenAPI description by schemathesis (PyPI), right and wrong ones: no answer may be a 5xx but
# 503, every answer must have the described status and shape.
#
#     tools/schemathesis.sh [http://127.0.0.1:8080] [REQUESTS] [SEED]
#
# REQUESTS, by default 10,000, are spread over the operations; those without a body need fewer. The phase of coverage is left out: with
# several workers schemathesis 4.32 sometimes fails by itself there. Uses the .venv of bench/setup, makes one where there is none, or uses that of $VENV.
set -eu
cd "$(dirname "$0")/.."
url=${1:-http://127.0.0.1:8080}
requests=${2:-10000}
seed=${3:-1}
venv=${VENV:-.venv}
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
[ -x "$venv/bin/schemathesis" ] || "$venv/bin/pip" install --quiet schemathesis
operations=$("$venv/bin/python" - "$url/openapi.json" <<'PY'
import json, sys, urllib.request
paths = json.load(urllib.request.urlopen(sys.argv[1], timeout=30))["paths"].values()
print(sum(method in path for path in paths for method in ("get", "post", "put", "delete", "patch")))
PY
)
each=$(((requests + operations - 1) / operations))
echo "$operations operations, $each requests each"
"$venv/bin/schemathesis" run "$url/openapi.json" --url "$url" --max-examples "$each" --phases examples,fuzzing \
    --checks not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance \
    --continue-on-failure --request-timeout 60 --seed "$seed" --workers 4
