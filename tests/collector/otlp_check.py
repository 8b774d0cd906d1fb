#!/usr/bin/env python3
"""Holds the exports that collector.py kept against OTLP/JSON and prints what they say: otlp_check.py FOLDER.

The field names and types are those of opentelemetry-proto's trace.proto, common.proto and resource.proto in their JSON mapping: ids are hex, 64-bit
integers are strings, enumerations are numbers, unknown names are faults. Prints one JSON object: counts by span name, faults (an empty list where all is
well), and what the spans of each process and task are.
"""
import json
import pathlib
import re
import sys

HEX16, HEX32, UINT = re.compile(r"^[0-9a-f]{16}$"), re.compile(r"^[0-9a-f]{32}$"), re.compile(r"^[0-9]+$")
faults, spans = [], []


def fault(where, what):
    faults.append(f"{where}: {what}")


def object_of(where, value, fields, required=()):
    if not isinstance(value, dict):
        fault(where, f"is no object: {value!r}")
        return {}
    for key in value:
        if key not in fields:
            fault(where, f"has {key}")
    for key in required:
        if key not in value:
            fault(where, f"lacks {key}")
    return value


def attributes_of(where, items):
    found = {}
    for i, item in enumerate(items if isinstance(items, list) else [None]):
        here = f"{where}.attributes[{i}]"
        pair = object_of(here, item, ("key", "value"), ("key", "value"))
        value = object_of(here, pair.get("value", {}), ("stringValue", "intValue", "doubleValue", "boolValue"))
        if len(value) != 1:
            fault(here, f"has {len(value)} values")
            continue
        (kind, v), = value.items()
        ok = {"stringValue": lambda: isinstance(v, str), "intValue": lambda: isinstance(v, str) and re.match(r"^-?[0-9]+$", v),
              "doubleValue": lambda: isinstance(v, (int, float)), "boolValue": lambda: isinstance(v, bool)}.get(kind, lambda: False)()
        if not ok:
            fault(here, f"{kind} is {v!r}")
        if pair.get("key") in found:
            fault(here, f"{pair.get('key')} stands twice")
        found[pair.get("key")] = int(v) if kind == "intValue" and ok else v
    return found


def span_of(where, value, resource):
    s = object_of(where, value, ("traceId", "spanId", "parentSpanId", "traceState", "flags", "name", "kind", "startTimeUnixNano", "endTimeUnixNano", "attributes",
                                 "droppedAttributesCount", "events", "links", "status"), ("traceId", "spanId", "name", "startTimeUnixNano", "endTimeUnixNano"))
    if not HEX32.match(s.get("traceId", "")) or int(s["traceId"], 16) == 0:
        fault(where, "traceId")
    for key in ("spanId", "parentSpanId"):
        if key in s and (not HEX16.match(s[key]) or int(s[key], 16) == 0):
            fault(where, key)
    if s.get("kind") not in (1, 2, 3, 4, 5):
        fault(where, f"kind {s.get('kind')!r}")
    if not UINT.match(s.get("startTimeUnixNano", "")) or not UINT.match(s.get("endTimeUnixNano", "")):
        fault(where, "times are no texts of digits")
        return
    begin, end = int(s["startTimeUnixNano"]), int(s["endTimeUnixNano"])
    if end < begin or begin < 1_500_000_000 * 10**9:
        fault(where, f"from {begin} to {end}")
    status = object_of(where, s.get("status", {}), ("message", "code"))
    if status.get("code", 0) not in (0, 1, 2):
        fault(where, f"status {status}")
    spans.append({"trace": s["traceId"], "id": s["spanId"], "parent": s.get("parentSpanId"), "name": s["name"], "begin": begin, "end": end,
                  "error": status.get("message") if status.get("code") == 2 else None, "resource": resource, **attributes_of(where, s.get("attributes", []))})


folder = pathlib.Path(sys.argv[1])
for file in sorted(folder.glob("*.json")):
    head = file.with_suffix(".headers").read_text()
    if "POST /v1/traces " not in head or "content-type: application/json\n" not in head:
        fault(file.name, f"posted with {head!r}")
    top = object_of(file.name, json.loads(file.read_bytes()), ("resourceSpans",), ("resourceSpans",))
    for i, rs in enumerate(top.get("resourceSpans", [])):
        where = f"{file.name}.resourceSpans[{i}]"
        object_of(where, rs, ("resource", "scopeSpans", "schemaUrl"), ("resource", "scopeSpans"))
        resource = attributes_of(where, object_of(where, rs["resource"], ("attributes", "droppedAttributesCount")).get("attributes", []))
        for j, ss in enumerate(rs["scopeSpans"]):
            here = f"{where}.scopeSpans[{j}]"
            object_of(here, ss, ("scope", "spans", "schemaUrl"), ("spans",))
            object_of(here, ss.get("scope", {}), ("name", "version", "attributes", "droppedAttributesCount"), ("name",))
            for k, s in enumerate(ss["spans"]):
                span_of(f"{here}.spans[{k}]", s, resource)

by_id = {}
for s in spans:
    if s["id"] in by_id:
        fault(s["name"], f"span {s['id']} came twice")
    by_id[s["id"]] = s
names, orphans, sides = {}, [], {}
PARENT = {"task": "run", "publish": "task", "wait": "task", "execute": "task", "settle": "task"}
tasks = {}
for s in spans:
    names[s["name"]] = names.get(s["name"], 0) + 1
    process = s["resource"].get("service.instance.id", "?")
    sides.setdefault(s["resource"].get("mguard.side", "?"), {}).setdefault(process, 0)
    sides[s["resource"].get("mguard.side", "?")][process] += 1
    parent = by_id.get(s["parent"])
    if s["name"] in PARENT and (parent is None or parent["name"] != PARENT[s["name"]] or parent["trace"] != s["trace"]):
        orphans.append(f"{s['name']} {s.get('mguard.task_id')}")
    if s["name"] in PARENT:
        tasks.setdefault(s["mguard.task_id"], {}).setdefault(s["name"], 0)
        tasks[s["mguard.task_id"]][s["name"]] += 1
runs = [s for s in spans if s["name"] == "run"]
print(json.dumps({"faults": faults, "names": names, "orphans": orphans, "sides": sides, "traces": sorted({s["trace"] for s in spans}),
                  "tasks": list(tasks.values()), "errors": sorted({s["error"] for s in spans if s["error"]}),
                  "runs": [{"parent": r["parent"], "trace": r["trace"], "verdict": r.get("mguard.verdict"), "resource": r["resource"]} for r in runs],
                  "headers": sorted({line for f in folder.glob("*.headers") for line in f.read_text().splitlines()[1:]})}))
