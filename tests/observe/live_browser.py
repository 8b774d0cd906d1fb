#!/usr/bin/env python3
"""Looks at a live page with Debian's chromium, over the browser's own pipe: live_browser.py URL PROFILE [PICTURE.png].

First without scripts, where the page must bring its numbers along and be loaded anew by itself; then with them, where the numbers change in place until the
run ends, its verdict is shown, and the page says that nobody answers any more. Prints one JSON object of what was seen.
"""
import base64
import fcntl
import html
import json
import os
import re
import select
import subprocess
import sys
import time

url, profile = sys.argv[1], sys.argv[2]
LIMIT_S = 60


class Browser:
    def __init__(self):
        to_browser, ours_out = os.pipe()
        ours_in, from_browser = os.pipe()
        ends = [fcntl.fcntl(fd, fcntl.F_DUPFD, 10) for fd in (to_browser, from_browser)]

        def place():
            os.dup2(ends[0], 3)
            os.dup2(ends[1], 4)

        self.process = subprocess.Popen(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
             "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--user-data-dir=" + profile, "--window-size=1100,1250",
             "--remote-debugging-pipe"], preexec_fn=place, pass_fds=(3, 4), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for fd in (to_browser, from_browser, *ends):
            os.close(fd)
        self.out, self.into, self.rest, self.next, self.events, self.session = ours_out, ours_in, b"", 1, [], None

    def receive(self):
        until = time.monotonic() + LIMIT_S
        while b"\0" not in self.rest:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.into], [], [], left)[0]:
                raise TimeoutError("chromium does not answer")
            part = os.read(self.into, 1 << 16)
            if not part:
                raise EOFError("chromium has gone")
            self.rest += part
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, **params):
        self.next += 1
        message = {"id": self.next, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.out, json.dumps(message).encode() + b"\0")
        while True:
            m = self.receive()
            if m.get("id") == message["id"]:
                if "error" in m:
                    raise RuntimeError(f"{method}: {m['error']}")
                return m["result"]
            if "method" in m:
                self.events.append(m)

    def page(self, scripts):
        self.session = None
        target = self.target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Network", "Log", "DOM"):
            self.call(domain + ".enable")
        if scripts:
            self.call("Runtime.enable")
        else:
            self.call("Emulation.setScriptExecutionDisabled", value=True)
        self.events.clear()
        self.call("Page.navigate", url=url)

    def text(self):
        try:
            root = self.call("DOM.getDocument", depth=0)["root"]["nodeId"]
            return self.call("DOM.getOuterHTML", nodeId=root)["outerHTML"]
        except RuntimeError:
            return ""  # between two pages

    def seen(self, kind):
        return [e["params"] for e in self.events if e["method"] == kind]


def of_id(page, name):
    m = re.search(rf'id="{name}"[^>]*>(.*?)</', page, re.S)
    return html.unescape(re.sub(r"<[^>]*>", "", m.group(1))) if m else None


def number(page, name):
    text = of_id(page, name)
    return int(text.replace(",", "")) if text and re.match(r"^[\d,]+$", text) else None


def wait(what, test, limit=LIMIT_S):
    until = time.monotonic() + limit
    while time.monotonic() < until:
        got = test()
        if got:
            return got
        time.sleep(0.1)
    raise TimeoutError("waited in vain for " + what)


def faults(b):
    bad = [e["entry"]["text"] for e in b.seen("Log.entryAdded") if "ERR_CONNECTION_REFUSED" not in e["entry"]["text"]]
    bad += [str(e["exceptionDetails"].get("text")) for e in b.seen("Runtime.exceptionThrown")]
    bad += ["asked for " + e["request"]["url"] for e in b.seen("Network.requestWillBeSent") if not e["request"]["url"].startswith((url.split("?")[0], "data:"))]
    return bad


told = {}
browser = Browser()
try:
    browser.page(scripts=False)
    first = wait("numbers without scripts", lambda: number(browser.text(), "counted"))
    later = wait("other numbers without scripts", lambda: (number(browser.text(), "counted") or 0) > first and number(browser.text(), "counted"))
    told["plain"] = {"first": first, "later": later, "loads": len(browser.seen("Page.frameNavigated")), "faults": faults(browser)}

    browser.session = None
    browser.call("Target.closeTarget", targetId=browser.target)
    browser.page(scripts=True)
    page = wait("the interval", lambda: (lambda p: "polygon" in p and number(p, "counted") and p)(browser.text()))
    first = number(page, "counted")
    loads = len(browser.seen("Page.frameNavigated"))
    later = wait("other numbers in place", lambda: (number(browser.text(), "counted") or 0) > first and number(browser.text(), "counted"))
    told["scripted"] = {"first": first, "later": later, "loads": len(browser.seen("Page.frameNavigated")) - loads, "planned": number(page, "planned"),
                        "interval": of_id(page, "interval"), "rate": number(page, "rate"), "workers": number(page, "workers"), "run": of_id(page, "run"),
                        "title": re.search(r"<title>(.*?)</title>", page).group(1)}
    size = browser.call("Page.getLayoutMetrics")["cssLayoutViewport"]
    wide = browser.call("Page.getLayoutMetrics")["cssContentSize"]["width"]
    told["scripted"]["fits"] = wide <= size["clientWidth"]
    if len(sys.argv) > 3:
        shot = browser.call("Page.captureScreenshot", format="png")["data"]
        with open(sys.argv[3], "wb") as f:
            f.write(base64.b64decode(shot))
    print("watching", file=sys.stderr, flush=True)
    page = wait("the end of the run", lambda: (lambda p: 'class="gone on"' in p and p)(browser.text()), 120)
    told["end"] = {"state": of_id(page, "state"), "counted": number(page, "counted"), "faults": faults(browser)}
    print(json.dumps(told))
finally:
    browser.session = None
    try:
        browser.call("Browser.close")
    except (OSError, EOFError, TimeoutError, RuntimeError):
        pass
    try:
        browser.process.wait(10)
    except subprocess.TimeoutExpired:
        browser.process.kill()
