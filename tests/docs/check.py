#!/usr/bin/python3
"""Runs what the pages show. `check.py [PATTERN]` looks at README.md and docs/**.md; ends with `N passed, N failed`.

A fenced block says by the words after its language what is done with it:
  sh run [exit=N]        run by bash in the page's own folder; build/mguard is on PATH, examples/ is beside it,
                         lua5.4 finds the module
  sh terminals           parts that begin with "# terminal": all but the last run in the background until the last has ended; where such a line
                         says wait for "TEXT", the next part begins once the part has written it
  sh ... full            only with MGUARD_CHECK=full
  sh norun               not run here: it needs what this machine has not
  LANGUAGE file=NAME     written to NAME in the page's folder, for the blocks below it
lua and json blocks must parse; a sh block without one of the words is an error. Port 6390 stands for any free port.
"""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, "tests", "brokers"))
from ports import free_port  # noqa: E402

LIMIT_S = 120
FENCE = re.compile(r"^```(\S*)([^\n]*)\n(.*?)^```$", re.M | re.S)


class Page:
    def __init__(self, name):
        self.name = name
        self.folder = tempfile.mkdtemp(prefix="mguard-docs-")
        self.port = str(free_port())
        for beside in ("examples", "build", "scripts"):
            os.symlink(os.path.join(ROOT, beside), os.path.join(self.folder, beside))
        self.env = dict(os.environ, PATH=os.path.join(ROOT, "build") + ":" + os.environ["PATH"], HOME=self.folder, NO_COLOR="1",
                        XDG_CACHE_HOME=os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"),  # where the brokers of the tests are
                        LUA_PATH="{0}/lua/?.lua;{0}/lua/?/init.lua;;".format(ROOT), LUA_CPATH="%s/build/lua/?.so;;" % ROOT)

    def start(self, text, out):
        return subprocess.Popen(["bash", "-euo", "pipefail", "-c", text.replace("6390", self.port)], cwd=self.folder, env=self.env,
                                stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, start_new_session=True)

    def stop(self, process):
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(process.pid, number)
            except ProcessLookupError:
                pass
            try:
                process.wait(20)
                return
            except subprocess.TimeoutExpired:
                continue

    def run(self, text, background, wanted):
        """The background's parts: what is waited for, or None, and the text."""
        outputs = [tempfile.TemporaryFile(mode="w+", errors="replace") for _ in range(len(background) + 1)]
        processes, code = [], 0
        for (awaited, part), out in zip(background, outputs):
            processes.append(self.start(part, out))
            end = time.monotonic() + LIMIT_S
            while awaited and code == 0:
                if awaited.encode() in os.pread(out.fileno(), 1 << 20, 0):
                    break
                if processes[-1].poll() is not None or time.monotonic() > end:
                    code = 'none: "%s" was not said' % awaited
                time.sleep(0.05)
        if code == 0:
            processes.append(self.start(text, outputs[-1]))
            try:
                code = processes[-1].wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                code = "none within %d s" % LIMIT_S
        for process in reversed(processes):
            self.stop(process)
        said = ""
        for out in outputs:
            out.seek(0)
            said += out.read()[-2000:]
            out.close()
        return None if code == wanted else "exit code %s instead of %s:\n%s" % (code, wanted, said)

    def block(self, language, words, text):
        named = [w[5:] for w in words if w.startswith("file=")]
        if named:
            path = os.path.join(self.folder, named[0])
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write(text.replace("6390", self.port))
        if language == "lua":
            done = subprocess.run(["lua5.4", "-e", "assert(load(io.read('a'), '=block', 't'))"], input=text, text=True, capture_output=True)
            return done.stderr.strip() or None
        if language == "json":
            try:
                json.loads(re.sub(r'("(?:\\.|[^"\\])*")|//[^\n]*|/\*.*?\*/', lambda m: m.group(1) or "", text, flags=re.S))
            except ValueError as e:
                return "is no JSON: %s" % e
            return None
        if language != "sh" or named or "norun" in words:
            return None
        wanted = [int(w[5:]) for w in words if w.startswith("exit=")] or [0]
        if "run" in words:
            return self.run(text, [], wanted[0])
        if "terminals" in words:
            parts = [(re.search('wait for "(.*)"', head), p) for head, p in re.findall(r"^# terminal([^\n]*)\n(.*?)(?=^# terminal|\Z)", text, re.M | re.S)]
            background = [(head[1] if head else None, "exec " + p.strip() if "\n" not in p.strip() else p) for head, p in parts[:-1]]
            return self.run(parts[-1][1], background, wanted[0])
        return "a sh block says one of: run, terminals, norun, file=NAME"

    def close(self):
        shutil.rmtree(self.folder, ignore_errors=True)


def main():
    pattern = re.compile(sys.argv[1] if len(sys.argv) > 1 else "")
    names = ["README.md"] + sorted(os.path.relpath(n, ROOT) for n in glob.glob(os.path.join(ROOT, "docs", "**", "*.md"), recursive=True))
    passed = failed = skipped = 0
    for name in names:
        if not pattern.search(name):
            continue
        with open(os.path.join(ROOT, name)) as f:
            text = f.read()
        page = Page(name)
        for m in FENCE.finditer(text):
            language, words = m.group(1), m.group(2).split()
            if language not in ("lua", "json", "sh") and not any(w.startswith("file=") for w in words):
                continue
            if "full" in words and os.environ.get("MGUARD_CHECK") != "full":
                skipped += 1
                print("skipped: a block that MGUARD_CHECK=full runs")
                continue
            where = "%s:%d" % (name, text.count("\n", 0, m.start()) + 1)
            fault = page.block(language, words, m.group(3))
            passed, failed = passed + (fault is None), failed + (fault is not None)
            if fault is not None:
                print("FAILED %s: %s" % (where, fault))
        page.close()
        for target in re.findall(r"\]\(([^)#\s]+?)(?:#[^)]*)?\)", re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.S)):
            if "://" in target or target.startswith("mailto:"):
                continue
            there = os.path.exists(os.path.join(ROOT, os.path.dirname(name), target))
            passed, failed = passed + there, failed + (not there)
            if not there:
                print("FAILED %s: the link %s leads nowhere" % (name, target))
    print("%d passed, %d failed" % (passed, failed) + (", %d skipped" % skipped if skipped else ""))
    return 1 if failed or not passed else 0


sys.exit(main())
