"""What a session found, as tables of Markdown, and the page that keeps them."""
import collections
import os
import platform
import re
import subprocess
import time

BACKENDS = ["memory", "redis", "rabbitmq", "kafka", "sqs"]
MARK = "<!-- sessions: the newest first -->\n"


class Result:
    """Of one backend."""

    def __init__(self, name, skipped=None):
        self.name, self.skipped = name, skipped
        self.rounds = self.failed = self.cases = self.resumes = self.lost = self.twice = 0
        self.seconds, self.times, self.missed = 0.0, collections.defaultdict(list), collections.Counter()

    def add(self, r, facts, seconds):
        """A round that came through: nothing is lost, nothing counted twice, or its check had failed."""
        self.rounds, self.cases, self.seconds = self.rounds + 1, self.cases + r.cases, self.seconds + seconds
        self.resumes += r.resumes
        self.lost += facts.report["outcomes"]["candidate"]["lost"] + facts.report["outcomes"]["baseline"]["lost"]
        self.twice += facts.duplicated
        for f in r.faults:
            if f.counted:
                self.times[f.kind.name].append(f.recovery_s)
            else:
                self.missed[f.kind.name] += 1

    def fail(self, _):
        self.failed += 1


def share(values, part):
    """The smallest value that so large a part does not exceed."""
    values = sorted(values)
    return values[max(0, -int(-part * len(values) // 1) - 1)]


def row(cells):
    return "| " + " | ".join(str(c) for c in cells) + " |"


def times(values):
    return ["%.2f" % share(values, 0.5), "%.2f" % share(values, 0.95), "%.2f" % max(values)] if values else ["-"] * 3


def summary(results):
    out = [row(("backend", "runs", "cases", "faults counted", "met no work", "resumes", "lost", "counted twice", "failed runs", "recovery: median s", "95 % s", "longest s")),
           row(["---"] + ["---:"] * 11)]
    for r in results:
        if r.skipped is not None:
            out.append(row([r.name, "skipped: " + r.skipped] + [""] * 10))
            continue
        values = [t for kind in r.times.values() for t in kind]
        out.append(row([r.name, r.rounds, "{:,}".format(r.cases), len(values), sum(r.missed.values()), r.resumes, r.lost, r.twice, r.failed] + times(values)))
    return "\n".join(out)


def by_kind(results):
    results = [r for r in results if r.skipped is None]
    names = sorted({k for r in results for k in list(r.times) + list(r.missed)})
    out = [row(["fault"] + [r.name for r in results] + ["recovery: median s", "95 % s", "longest s"]), row(["---"] + ["---:"] * (len(results) + 3))]
    for n in names:
        values = [t for r in results for t in r.times.get(n, [])]
        out.append(row([n] + [len(r.times[n]) if n in r.times else "0" if n in r.missed else "" for r in results] + times(values)))
    return "\n".join(out)


def first_line(*argv):
    try:
        return subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=60).stdout.strip().split("\n")[0]
    except OSError:
        return ""


def machine():
    with open("/proc/cpuinfo") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2 ** 30
    return "%s, %d cores, %.0f GB, Linux %s" % (model.group(1) if model else platform.machine(), os.cpu_count(), memory, platform.release())


def versions(options, results):
    out, names = [first_line(options.copy, "--version")], [r.name for r in results if r.rounds]
    if "redis" in names:
        found = re.search(r"v=(\S+)", first_line("redis-server", "--version"))
        out.append("Redis " + (found.group(1) if found else "of unknown version"))
    if "rabbitmq" in names:
        out.append("RabbitMQ " + first_line("dpkg-query", "-W", "-f", "${Version}", "rabbitmq-server"))
    if "kafka" in names:
        with open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "brokers", "kafka", "pom.xml")) as f:
            found = re.search(r"<artifactId>kafka_2\.13</artifactId>\s*<version>(.*?)</version>", f.read())
        out.append("Kafka " + (found.group(1) if found else "of unknown version"))
    if "sqs" in names:
        out.append("the stand-in fauxqs for SQS")
    return ", ".join(out)


def record(path, results, options):
    """The session becomes the newest of the page."""
    seconds = sum(r.seconds for r in results)
    text = "\n### %s, seed %s\n\n`make chaos BACKENDS=\"%s\" SEED=%s MINUTES=%g CASES=%d`: %.0f minutes on %s, with %s. Load of the machine at the end: %.1f.\n\n%s\n\n%s\n" % (
        time.strftime("%Y-%m-%d", time.gmtime()), options.seed, " ".join(r.name for r in results), options.seed, options.minutes, options.cases, seconds / 60, machine(),
        versions(options, results), os.getloadavg()[0], summary(results), by_kind(results))
    with open(path) as f:
        page = f.read()
    assert MARK in page, "%s lacks the line %s" % (path, MARK.strip())
    with open(path, "w") as f:
        f.write(page.replace(MARK, MARK + text, 1))
