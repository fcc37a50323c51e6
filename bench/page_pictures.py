"""From a change to the new picture, in headless Chromium: for bench/page.py."""

import random
import subprocess
import tempfile
from pathlib import Path
from statistics import median

from browser import Browser

# Views, and what is clicked in each: another token, so that another text is read (the one up to it), and another block or head.
VIEWS = ["tokens", "embedding", "attention", "head", "heads", "mlp", "lens", "last", "next", "change", "why"]
OTHERS = {"[aria-label='Next block']": ["attention", "head", "heads", "mlp"], "[aria-label='Next head']": ["attention", "head"]}


def base36(number):
    digits = "0123456789abcdefghijklmnopqrstuvwxyz"
    return digits[number] if number < 36 else base36(number // 36) + digits[number % 36]


def milliseconds(times):
    return {"median ms": round(median(times)), "worst ms": round(max(times))}


def views(browser, page, ids, tokens, rounds):
    """Milliseconds of every view of the flow, after a click on another token."""
    draw, found = random.Random(3), {}
    for view in VIEWS:
        text = ".".join(base36(draw.choice(ids)) for _ in range(tokens))
        browser.open("about:blank")
        browser.open(f"{page}#flow/{view}?i={text}&b=2")
        browser.later("const done = arguments[0], look = () => document.querySelector(`#flow [data-view] .chip, #flow .chip`) ? setTimeout(done, 1500) : setTimeout(look, 50); look();")
        # Every position is new to the model; late ones, so that the text has nearly its whole length.
        positions = list(range(tokens - 2, max(tokens - 2 - rounds, 0), -1))
        found[view] = milliseconds([browser.changed(f"#flow [data-position='{position}']") for position in positions])
        for css, of in OTHERS.items():
            if view in of:
                found[f"{view}, {css[13:-2].lower()}"] = milliseconds([browser.changed(f"#flow {css}") for _ in range(3)])
    return found


def pictures(asked, models, rounds):
    """Both models served, and the one inside the program without a server; and the first paint from a disk."""
    import servers

    found = {}
    browser = Browser()
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, tokens in (("inside", 32), ("gpt2", 64)):
                model = models[name]
                server = servers.glass(asked.glass, model.path, asked.threads, folder, ["--log", "off"])
                try:
                    with server:
                        page = f"http://127.0.0.1:{server.port}/"
                        found[f"served, {model.name}, {tokens} tokens"] = views(browser, page, model.ids, tokens, rounds)
                finally:
                    server.close()
            subprocess.run([asked.glass, "page", "--out", folder], check=True, stdout=subprocess.DEVNULL)
            page = f"file://{Path(folder) / 'index.html'}"
            found["in the browser alone, the model inside, 32 tokens"] = views(browser, page, models["inside"].ids, 32, rounds)
            paints = []
            for _ in range(rounds):
                browser.open("about:blank")
                browser.open(page)
                paints.append(browser.value("performance.getEntriesByName('first-contentful-paint')[0].startTime"))
            found["first paint from a disk"] = milliseconds(paints)
    finally:
        browser.close()
    return found
