"""Headless Chromium over the WebDriver protocol, as the tests use it: needs `chromium` and `chromedriver`."""

import json
import re
import subprocess
import urllib.request

# Clicks an element, and resolves to the milliseconds until the last change of the page was painted: nothing changed for 300 ms.
CHANGED = """
const [css, done] = arguments, element = document.querySelector(css), start = performance.now();
let last = start;
const watch = new MutationObserver(() => requestAnimationFrame(() => { last = performance.now(); }));
watch.observe(document.documentElement, { subtree: true, childList: true, attributes: true, characterData: true });
element.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true }));
const timer = setInterval(() => {
  if (performance.now() - last < 300) return;
  clearInterval(timer);
  watch.disconnect();
  done(last - start);
}, 20);
"""


class Browser:
    """A browser with one page."""

    def __init__(self, width=1280, height=900):
        self.driver = subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for line in self.driver.stdout:
            if found := re.search(r"successfully on port (\d+)", line):
                self.root = f"http://127.0.0.1:{found[1]}/session"
                break
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", f"--window-size={width},{height}"]
        made = self.ask("", {"capabilities": {"alwaysMatch": {"goog:chromeOptions": {"args": arguments}}}})
        self.root += f"/{made['sessionId']}"
        self.ask("/timeouts", {"script": 120_000})

    def ask(self, path, body):
        request = urllib.request.Request(self.root + path, json.dumps(body).encode(), {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=180) as answer:
            return json.load(answer)["value"]

    def open(self, url):
        self.ask("/url", {"url": url})

    def value(self, expression):
        return self.ask("/execute/sync", {"script": f"return ({expression})", "args": []})

    def later(self, script, *arguments):
        """The value that a script hands to its last argument."""
        return self.ask("/execute/async", {"script": script, "args": list(arguments)})

    def changed(self, css):
        """Milliseconds from a click to the last change that was painted."""
        return self.later(CHANGED, css)

    def close(self):
        self.driver.terminate()
        self.driver.wait()
