#!/usr/bin/python3
"""The outcome digest of a run, computed again from its CSV of outcomes.

Shares no code with the engine: the sum mod 2^128 of XXH3-128 over MessagePack [case, role, outcome, [failed clauses, sorted]].
digest.py FILE.csv prints 32 hex digits, high word first. With --sums it also prints how many cases, and checks that every
case has one row a role.
"""
import csv
import sys

import msgpack
import xxhash


def digest(rows):
    total = 0
    for row in rows:
        failed = sorted(row["failed"].split(";")) if row["failed"] else []
        packed = msgpack.packb([int(row["case"]), row["role"], row["outcome"], failed])
        total += xxhash.xxh3_128_intdigest(packed)
    return "%032x" % (total % (1 << 128))


def main():
    with open(sys.argv[1], newline="") as f:
        rows = list(csv.DictReader(f))
    print(digest(rows))
    if "--sums" in sys.argv:
        seen = {}
        for row in rows:
            seen.setdefault(row["role"], []).append(int(row["case"]))
        for role in sorted(seen):
            cases = seen[role]
            if cases != list(range(len(cases))):
                sys.exit("%s: the cases are not 0 .. n-1, each once and in order" % role)
            print("%s %d" % (role, len(cases)))


if __name__ == "__main__":
    main()
