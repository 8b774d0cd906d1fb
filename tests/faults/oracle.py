"""What ran, and what was counted: the execution log of the fixture against report and CSV. Shares no code with the engine."""
import collections
import csv
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))
import digest  # noqa: E402

SAMPLE = 20
ROLES = {"quick": "baseline", "slow": "candidate", "slow_b": "candidate", "slow_c": "candidate"}

Execution = collections.namedtuple("Execution", "name case pid worker time")


class ExecutionLog:
    """Read as it grows."""

    def __init__(self, path):
        self.path = path
        self.seen, self.workers = [], collections.defaultdict(list)
        self._at = 0
        self._rest = b""
        open(path, "ab").close()

    def forget(self):
        """What ran so far belongs to an earlier run."""
        self.read()
        self.seen, self.workers = [], collections.defaultdict(list)

    def empty(self):
        """Nothing that runs writes to it, and what it says is not needed any more."""
        self.seen, self.workers, self._at, self._rest = [], collections.defaultdict(list), 0, b""
        os.truncate(self.path, 0)

    def read(self):
        with open(self.path, "rb") as f:
            f.seek(self._at)
            data = f.read()
        self._at += len(data)
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        for line in lines:
            name, case, pid, worker, when = line.decode().split()
            self.seen.append(Execution(name, int(case), int(pid), int(worker), float(when)))
            self.workers[self.seen[-1].worker].append(self.seen[-1])
        return self.seen

    def of_worker(self, pid, since=0.0):
        self.read()
        return [x for x in self.workers[pid] if x.time >= since]

    def counts(self, names=("quick", "slow")):
        return collections.Counter((x.name, x.case) for x in self.read() if x.name in names)


def sample(cases):
    """The cases that every run runs twice: evenly spread, the first and the last among them."""
    n, last = min(SAMPLE, cases), cases - 1
    return {last // (n - 1) * i + last % (n - 1) * i // (n - 1) for i in range(n)} if n > 1 else {0}


def executions(log, cases, names=("quick", "slow")):
    """(executions, missing, beyond what an undisturbed run does)."""
    counts, twice = log.counts(names), sample(cases)
    missing = beyond = 0
    for name in names:
        for case in range(cases):
            n, want = counts[(name, case)], 2 if case in twice else 1
            missing += n == 0
            beyond += max(0, n - want)
    return sum(counts.values()), missing, beyond


def rows(path):
    with open(path, newline="") as f:
        return list(csv.DictReader(f))


def check_counts(report, csv_path, cases):
    """Every case counted once for each role, in CSV and report alike; the digest computed again."""
    seen = {}
    table = rows(csv_path)
    for row in table:
        seen.setdefault(row["role"], []).append(int(row["case"]))
    for role in ("baseline", "candidate"):
        got = seen.get(role, [])
        assert sorted(got) == list(range(cases)), "%s: the CSV has %d rows, %d different cases, of %d" % (
            role, len(got), len(set(got)), cases)
        total = sum(report["outcomes"][role].values())
        assert total == cases, "%s: the outcomes of the report add up to %d, not %d" % (role, total, cases)
        counted = collections.Counter(row["outcome"] for row in table if row["role"] == role)
        said = {k: v for k, v in report["outcomes"][role].items() if v}
        assert dict(counted) == said, "%s: CSV %r, report %r" % (role, dict(counted), said)
    again = digest.digest(table)
    assert again == report["outcome_digest"], "digest of the CSV %s, of the report %s" % (again, report["outcome_digest"])
    return table
