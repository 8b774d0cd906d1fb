"""What a run of the faults' fixture must come to, worked out from the plan alone. Shares no code with the engine.

Case i passes unless i is a multiple of 61, which fails the soft property for both sides; so candidate and baseline never differ and the
run ends with 0, adopt. Every second case has the label. Where an executor was killed in a case, that case may have crashed; a crash
that does not happen again when the case is run again makes the run invalid (3).
"""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))
import digest  # noqa: E402

FAILS = "no multiple of 61"


class Expected:
    """Stands where the fault tests have a reference run of the memory backend."""

    def __init__(self):
        self.crashed = set()  # of case and role
        self.known = {}

    def rows(self, cases):
        out = []
        for case in range(cases):
            failed = FAILS if case % 61 == 0 else ""
            for role in ("baseline", "candidate"):
                if (case, role) in self.crashed:
                    out.append({"case": str(case), "role": role, "outcome": "crash", "failed": "completes"})
                else:
                    out.append({"case": str(case), "role": role, "outcome": "fail" if failed else "pass", "failed": failed})
        return out

    def get(self, cases, _seed):
        """Exit code, digest, rows, labels."""
        key = (cases, frozenset(self.crashed))
        if key not in self.known:
            rows = self.rows(cases)
            self.known[key] = 3 if any(role == "candidate" for _, role in self.crashed) else 0, digest.digest(rows), rows, {"even": (cases + 1) // 2}
        return self.known[key]
