#!/usr/bin/env bash
# jinja2 3.1.6, as transformers 5.24.0 renders chat templates with it: to read loop.length in the body of a loop changes which
# items the loop visits. The condition of "for … if …" is evaluated item by item, after what the body has set so far; loop.length
# evaluates it for all items that are to come, before the body has run for them.
#
# Seen: a loop over 3, 1, 2 that is to stop after the 1 visits 3 and 1; with loop.length read in its body it visits 3, 1, 2.
set -euo pipefail
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/venv"
"$dir/venv/bin/pip" install --quiet jinja2==3.1.6

cat >"$dir/run.py" <<'PY'
import sys

import jinja2
from jinja2.sandbox import ImmutableSandboxedEnvironment

TEMPLATE = (
    "{% set state = namespace(done=false) %}{% for x in [3, 1, 2] if not state.done %}"
    "{{ x }}{% if x == 1 %}{% set state.done = true %}{% endif %}ASK{% endfor %}"
)
# The environment that transformers uses for chat templates.
environment = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
found = [environment.from_string(TEMPLATE.replace("ASK", ask)).render() for ask in ("", "{% if loop.length %}{% endif %}")]
print(f"jinja2 {jinja2.__version__}: without loop.length {found[0]}, with it {found[1]}")
sys.exit(found != ["31", "312"])
PY
"$dir/venv/bin/python" "$dir/run.py" || { echo "the behaviour has changed"; exit 1; }
