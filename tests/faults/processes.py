"""Coordinators and workers of one test: started, read, stopped. Every wait has an end, and nothing outlives the test."""
import json
import os
import signal
import subprocess
import time

from brokers import wait_until
from oracle import ExecutionLog

HERE = os.path.dirname(os.path.abspath(__file__))
FIXTURE = os.path.join(HERE, "fixture")


class TooSoon(Exception):
    """The run ended before the fault hit it: more work is needed."""


def preloads(folder, *names):
    """The environment that loads shims of tests/preload, which are built into the folder, into a program."""
    files = []
    for name in names:
        files.append(os.path.join(folder, name + ".so"))
        source = os.path.join(HERE, "..", "preload", name + ".c")
        subprocess.run(["cc", "-std=c11", "-O1", "-shared", "-fPIC", "-o", files[-1], source, "-ldl"], check=True, timeout=60)
    asan = os.environ.get("ASAN_OPTIONS", "") + ":verify_asan_link_order=0"  # the shims come before it
    return {"LD_PRELOAD": ":".join(files), "ASAN_OPTIONS": asan}


class Program:
    def __init__(self, name, popen, folder):
        self.name, self.popen, self.pid = name, popen, popen.pid
        self.folder = folder
        self.log_file = os.path.join(folder, name + ".log")
        self.said_file = os.path.join(folder, name + ".out")
        self._at, self._rest, self._events = 0, b"", []

    def running(self):
        return self.popen.poll() is None

    def wait(self, seconds):
        """Its exit status."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError("%s has not ended within %g s; its log ends\n%s" % (self.name, seconds, self.tail())) from None

    def signal(self, number):
        """To the process alone."""
        if self.running():
            os.kill(self.pid, number)

    def signal_all(self, number):
        """To it and all that it has started."""
        for pid in [self.pid] + descendants(self.pid):
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self):
        if self.running():
            os.kill(self.pid, signal.SIGKILL)
            self.popen.wait(20)

    def said(self):
        with open(self.said_file, errors="replace") as f:
            return f.read()

    def events(self, *names):
        """The lines of its log so far, or those with one of these names."""
        try:
            with open(self.log_file, "rb") as f:
                f.seek(self._at)
                data = f.read()
        except FileNotFoundError:
            data = b""
        self._at += len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        self._events += [json.loads(line) for line in lines]
        return [e for e in self._events if not names or e["event"] in names]

    def wait_event(self, name, seconds, more_than=0, words=""):
        def there():
            found = [e for e in self.events(name) if words in e.get("text", "")]
            return found if len(found) > more_than else None

        return wait_until(there, seconds, lambda: "%s logs %s %s; its log ends\n%s" % (self.name, name, words, self.tail()))[-1]

    def tail(self, lines=12):
        text = "".join("  %s %s %s\n" % (e["time"], e["event"], e.get("text", "")[:300]) for e in self.events()[-lines:])
        return text + "  it said: " + self.said()[-1500:]


def descendants(pid):
    """Of the process, from /proc; children of threads too."""
    children = {}
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name) as f:
                    parent = int(f.read().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(name))
    out, todo = [], [pid]
    while todo:
        found = children.get(todo.pop(), [])
        out += found
        todo += found
    return out


class Stage:
    """What one test has: a folder, a broker, coordinators, workers, the log of what ran."""

    def __init__(self, folder, mguard, broker, say):
        self.folder, self.mguard, self.broker, self.say = folder, mguard, broker, say
        os.makedirs(folder, exist_ok=True)
        self.programs, self.runs = [], []
        self.log = ExecutionLog(os.path.join(folder, "executions"))
        self.count = 0
        self.environment = {}

    def start(self, name, arguments, environment=None, under=()):
        """under: a program that runs it, with its arguments."""
        env = dict(os.environ, FAULTS_LOG=self.log.path)
        env.pop("MGUARD_SIGNING_KEY", None)
        env.update(self.environment)
        env.update(environment or {})
        argv = ["setpriv", "--pdeathsig", "KILL"] + list(under) + [self.mguard] + arguments + ["--log-file", os.path.join(self.folder, name + ".log")]
        with open(os.path.join(self.folder, name + ".out"), "ab") as out:
            popen = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, start_new_session=True)
        program = Program(name, popen, self.folder)
        self.programs.append(program)
        return program

    def run(self, queue, cases, seed, name="run", environment=None, more=(), under=()):
        """A coordinator; queue is its configuration."""
        self.count += 1
        name = "%s-%d" % (name, self.count)
        arguments = ["run", os.path.join(FIXTURE, "plan.lua"), "--cases", str(cases), "--seed", str(seed)]
        arguments += ["--backend", queue["backend"], "--queue-config", json.dumps(queue)]
        arguments += ["--report-json", os.path.join(self.folder, name + ".json"), "--outcomes", os.path.join(self.folder, name + ".csv"),
                      "--state-dir", os.path.join(self.folder, "runs")]
        program = self.start(name, arguments + list(more), environment, under)
        program.arguments, program.queue, program.environment = arguments + list(more), queue, environment
        program.report_file, program.csv_file = (os.path.join(self.folder, name + end) for end in (".json", ".csv"))
        self.runs.append(program)
        return program

    def resume(self, run, run_id, environment=None):
        """The coordinator after `run`, whose report and CSV are its own."""
        self.count += 1
        arguments = [run.arguments[0]] + run.arguments[2:] + ["--resume", run_id]
        program = self.start("%s-resumed-%d" % (run.name.split("-resumed")[0], self.count), arguments, environment)
        program.arguments, program.report_file, program.csv_file = run.arguments, run.report_file, run.csv_file
        program.queue, program.environment = run.queue, environment
        self.runs.append(program)
        return program

    def worker(self, queue, delay_ms=0.0, executors=1, script=None, environment=None, more=()):
        self.count += 1
        name = "worker-%d" % self.count
        arguments = ["worker", "--script", script or os.path.join(FIXTURE, "checks.lua"), "--name", name, "--executors", str(executors)]
        arguments += ["--backend", queue["backend"], "--queue-config", json.dumps(queue)]
        return self.start(name, arguments + list(more), dict({"FAULTS_DELAY_MS": str(delay_ms)}, **(environment or {})))

    def run_id(self, coordinator, seconds=20):
        text = coordinator.wait_event("run_eval_start", seconds)["text"]
        return text.split()[1].rstrip(":")

    def report(self, coordinator):
        with open(coordinator.report_file) as f:
            return json.load(f)

    def verify(self, coordinator):
        """What mguard verify finds, with its exit code, and a text of it."""
        argv = [self.mguard, "verify", self.run_id(coordinator), "--state-dir", os.path.join(self.folder, "runs"), "--json"]
        if coordinator.queue["backend"] != "memory":
            argv += ["--backend", coordinator.queue["backend"], "--queue-config", json.dumps(coordinator.queue)]
        env = dict(os.environ, **(coordinator.environment or {}))
        done = subprocess.run(argv, env=env, timeout=60, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        found = json.loads(done.stdout) if done.stdout else {}
        return done.returncode, found, done.stdout + done.stderr

    def executing(self, worker, seconds=20, since=None):
        """Waits until the worker runs a case, and gives it."""
        since = boot_time() if since is None else since

        def there():
            found = self.log.of_worker(worker.pid, since)
            if not found and self.runs and not any(r.running() for r in self.runs):
                raise TooSoon("the run was over before %s ran a case" % worker.name)
            return found[-1] if found else None

        return wait_until(there, seconds, lambda: "%s runs a case; its log ends\n%s" % (worker.name, worker.tail()))

    def retire(self):
        """The end of a test that went well: workers leave with 0 when asked, and no program has said what a sanitizer says."""
        left = [p for p in self.programs if p.running()]
        for p in left:
            p.signal(signal.SIGTERM)
        for p in left:
            code = p.wait(30)
            assert code == 0, "%s left with %d at the end: %s" % (p.name, code, p.tail())
        for p in self.programs:
            said = p.said()
            for word in ("Sanitizer", "runtime error:"):
                assert word not in said, "%s: %s" % (p.name, said[max(0, said.find(word) - 300):][:3000])

    def close(self):
        for p in self.programs:
            if p.running():
                p.signal_all(signal.SIGCONT)
                p.signal_all(signal.SIGKILL)
        for p in self.programs:
            p.popen.wait(20)
        self.broker.close()


def boot_time():
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def wall_offset():
    """Wall clock minus seconds since boot."""
    return time.time() - boot_time()
