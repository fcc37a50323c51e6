"""Opens a model folder with transformers, unchanged, and compares its numbers with Glass's.

    python tools/check_transformers.py DIR --ids 1,2,3                     prints each token's log-probability
    glass score -m DIR --ids 1,2,3 --json | python tools/check_transformers.py DIR --ours -
    python tools/check_transformers.py DIR --ours score.json --tolerance 1e-4

(`-P` keeps a file in this folder from being imported in place of the package of its name.)

`--ours` is the output of `glass score --json`: `{"tokens": [{"id", "logprob", "rank"}, …]}`, the first logprob null; or
`{"ids": […], "logits": [[…], …]}`, every row's raw logits. Exit status: 0 they agree, 1 they do not, 2 wrong usage.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM


def run(folder, ids):
    """Raw logits `[ids, vocabulary]` in float32; the folder must have neither missing nor unknown tensors."""
    model, loading = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, output_loading_info=True)
    for what, names in loading.items():
        if names:
            sys.exit(f"{folder}: {what.replace('_', ' ')}: {names}")
    with torch.no_grad():
        return model.eval()(torch.tensor([ids])).logits[0]


def logprobs(logits, ids):
    """The log-probability of every id except the first, given the previous ones."""
    return logits[:-1].log_softmax(-1).gather(1, torch.tensor(ids[1:])[:, None])[:, 0]


def compare(folder, ours):
    """The largest difference, and a description of what was compared."""
    if "logits" in ours:
        theirs = run(folder, ours["ids"])
        logits = torch.tensor(ours["logits"])
        if logits.shape != theirs.shape:
            sys.exit(f"logits are {list(logits.shape)}, in transformers {list(theirs.shape)}")
        return (logits - theirs).abs().max().item(), "logits"
    ids = [token["id"] for token in ours["tokens"]]
    if len(ids) < 2:
        sys.exit("at least two tokens are needed: the first has no log-probability")
    mine = torch.tensor([token["logprob"] for token in ours["tokens"][1:]])
    return (mine - logprobs(run(folder, ids), ids)).abs().max().item(), "log-probabilities"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--ids", help="ids, separated by commas")
    what.add_argument("--ours", help="the output of glass; - for standard input")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    asked = parser.parse_args()
    if asked.ids:
        ids = [int(id) for id in asked.ids.split(",")]
        logits = run(asked.folder, ids)
        tokens = zip(ids, [None, *logprobs(logits, ids).tolist()])
        print(json.dumps({"tokens": [{"id": id, "logprob": logprob} for id, logprob in tokens]}))
        return
    text = sys.stdin.read() if asked.ours == "-" else Path(asked.ours).read_text()
    apart, compared = compare(asked.folder, json.loads(text))
    print(f"{compared} differ by at most {apart:.2e}, tolerance {asked.tolerance:.0e}")
    # Written so that NaN fails.
    sys.exit(0 if apart <= asked.tolerance else 1)


if __name__ == "__main__":
    main()
