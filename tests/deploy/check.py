#!/usr/bin/python3
"""Holds deploy/ against the program: every command line that stands there is one that it accepts, every queue configuration is valid, every
${NAME} is provided, and grace periods, probes, ports, users and selectors fit. coordinator.sh runs for real. Ends with `N passed, N failed`."""
import glob
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import yaml

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PROGRAM = os.path.join(ROOT, os.environ.get("MGUARD_BUILD", "build"), "mguard")
DEPLOY = os.path.join(ROOT, "deploy")
passed, failed, skipped = 0, 0, 0


def check(ok, what):
    global passed, failed
    passed, failed = passed + bool(ok), failed + (not ok)
    if not ok:
        print("FAILED", what)


def mguard(*words, **more):
    return subprocess.run([PROGRAM, *words], capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL, **more)


def options_of(command, known={}):
    """{"--cases": True where a value follows} by the program's own help; None where it has no such command."""
    if command not in known:
        done = mguard(command, "--help")
        known[command] = {m[1]: bool(m[2]) for m in re.finditer(r"^  (--\S+)( \S+)?  ", done.stdout, re.M)} if done.returncode == 0 else None
    return known[command]


def flags_of(words, where):
    """The flags of an mguard command line, checked; words[0] is the command."""
    options, given, i = options_of(words[0]), {}, 1
    check(options is not None, "%s: mguard has no command %s" % (where, words[0]))
    while options and i < len(words):
        flag, i = words[i], i + 1
        if not flag.startswith("--"):
            continue
        check(flag in options, "%s: mguard %s does not know %s" % (where, words[0], flag))
        if options.get(flag):
            check(i < len(words) and not words[i].startswith("--"), "%s: %s has no value" % (where, flag))
            given[flag], i = words[i] if i < len(words) else "", i + 1
        else:
            given[flag] = ""
    return given


def command_of(container):
    """Words of a container's command line as mguard's own; the coordinator's script stands for `run`. Kubernetes says command and args, compose
    entrypoint and command, ECS Command."""
    entry, words = (container.get("command"), container["args"]) if "args" in container else \
        (container.get("entrypoint"), container.get("command") or container["Command"])
    return (["run"] if entry == ["mguard-coordinator"] else []) + [str(w) for w in words]


def grace(words, seconds, where):
    given = flags_of(words, where)
    check(float(given.get("--drain-timeout", 300)) < seconds, "%s: --drain-timeout is not below the %g s after which it is killed" % (where, seconds))
    return given


def documents(path):
    with open(path) as f:
        return [d for d in yaml.safe_load_all(f) if d]


def queue(path):
    """Valid with every ${NAME} set; the names."""
    with open(path) as f:
        names = set(re.findall(r"\$\{(\w+)\}", f.read()))
    values = {n: "https://sqs.eu-west-1.amazonaws.com/1/q" if n.endswith("URL") else "value" for n in names}
    env = dict(os.environ, LUA_PATH=ROOT + "/lua/?.lua;%s/lua/?/init.lua" % ROOT, LUA_CPATH=ROOT + "/build/lua/?.so", **values)
    done = subprocess.run(["lua5.4", "-e", "require('mguard.config').resolve(nil, nil, nil, %s)" % json.dumps(path)], env=env, capture_output=True,
                          text=True, timeout=60)
    check(done.returncode == 0, "%s: %s" % (path, done.stderr))
    return names


def compose():
    for path in sorted(glob.glob(DEPLOY + "/compose/*.yaml")):
        name, doc = os.path.basename(path)[:-5], documents(path)[0]
        names = queue("%s/queue/%s.json" % (DEPLOY, name))
        for service in ("workers", "coordinator"):
            it, where = doc["services"][service], "%s: %s" % (path, service)
            given = grace(command_of(it), float(it["stop_grace_period"].rstrip("s")), where)
            check(given.get("--queue-config") == "/queue/%s.json" % name, where + ": its queue")
            check(names <= set(it.get("environment") or {}), "%s: %s of the queue are not in its environment" % (where, names))
            check(it["read_only"] and it["cap_drop"] == ["ALL"], where + " has more rights than it needs")
            for volume in it["volumes"]:
                source = volume.split(":/")[0]
                source = re.sub(r"\$\{\w+:-(.*)\}", r"\1", source)
                check(source in doc["volumes"] or os.path.isdir(os.path.join(DEPLOY, "compose", source)), "%s: %s is not there" % (where, source))
        for broker in (doc["services"]["workers"].get("depends_on") or {}):
            check("healthcheck" in doc["services"][broker], "%s: %s has no health check to wait for" % (path, broker))
        build = doc["services"]["workers"]["build"]
        check(os.path.exists(os.path.join(DEPLOY, "compose", build["context"], build["dockerfile"])), path + ": its Containerfile is not there")


def tools():
    """The folder of helm and kubernetes-validate: the full form fetches them, the short one does without, by hand they serve where they are."""
    form = os.environ.get("MGUARD_CHECK")
    if form == "short":
        return None
    found = subprocess.run([os.path.join(ROOT, "tests", "deploy", "tools"), "install" if form == "full" else "where"], stdout=subprocess.PIPE, text=True,
                           timeout=300)
    return found.stdout.strip() if found.returncode == 0 else None


def workload(objects, claimed):
    """The Deployment of workers and the Job of the run, of kustomize and of the chart alike."""
    by_name = {(d["kind"], d["metadata"]["name"]): d for d in objects}
    check(len(by_name) == len(objects), "two objects of one name")
    for kind, name in (("Deployment", "mguard-worker"), ("Job", "mguard-run")):
        template, where = by_name[kind, name]["spec"]["template"], "%s %s" % (kind, name)
        pod = template["spec"]
        container = pod["containers"][0]
        given = grace(command_of(container), pod["terminationGracePeriodSeconds"], where)
        port = {p["name"]: p["containerPort"] for p in container["ports"]}["metrics"]
        check(given["--metrics-port"] == str(port) and given["--metrics-host"] == "*", where + ": metrics are not where the port says")
        check(template["metadata"]["annotations"]["prometheus.io/port"] == str(port), where + ": scraped elsewhere")
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            get = container.get(probe, {}).get("httpGet")
            check(get is None or (get["path"] in ("/healthz", "/readyz") and get["port"] == "metrics"), "%s: %s" % (where, probe))
        rights = container["securityContext"]
        check(pod["securityContext"]["runAsNonRoot"] and rights["readOnlyRootFilesystem"] and not rights["allowPrivilegeEscalation"]
              and rights["capabilities"] == {"drop": ["ALL"]}, where + " has more rights than it needs")
        mounted = {m["mountPath"]: m["name"] for m in container["volumeMounts"]}
        volumes = {v["name"]: v for v in pod["volumes"]}
        check(set(mounted.values()) == set(volumes), where + ": volumes and mounts differ")
        check({v["configMap"]["name"] for v in volumes.values() if "configMap" in v} <= claimed, where + ": a ConfigMap that nothing makes")
        for path in re.findall(r"/(?:queue|state|task)\b", " ".join(given.values())):
            check(path in mounted, "%s: %s is not mounted" % (where, path))
    worker = by_name["Deployment", "mguard-worker"]
    labels = worker["spec"]["template"]["metadata"]["labels"].items()
    for selector in (worker["spec"]["selector"], by_name["PodDisruptionBudget", "mguard-worker"]["spec"]["selector"]):
        check(selector["matchLabels"].items() <= labels, "a selector misses the workers")
    return by_name


def kubernetes():
    base = DEPLOY + "/kubernetes/base"
    listed = documents(base + "/kustomization.yaml")[0]["resources"]
    check(sorted(listed + ["kustomization.yaml"]) == sorted(os.listdir(base)), base + ": resources and files differ")
    objects = [d for name in listed for d in documents(os.path.join(base, name))]
    workload(objects, {"mguard-task", "mguard-queue"})
    for path in sorted(glob.glob(DEPLOY + "/kubernetes/*/queue.json")):
        folder = os.path.dirname(path)
        names = queue(path)
        with open(folder + "/kustomization.yaml") as f:
            text = f.read()
        kustomization = yaml.safe_load(text)
        check(kustomization["resources"] == ["../base"] and kustomization["configMapGenerator"][0]["files"] == ["queue.json"], folder + ": what it is made of")
        check(set(re.findall(r"--from-literal (\w+)=", text)) == names, "%s: the secret it asks for does not have %s" % (folder, sorted(names)))
        scaled = documents(folder + "/keda.yaml")[0]
        check(scaled["spec"]["scaleTargetRef"]["name"] == "mguard-worker" and scaled["metadata"]["namespace"] == "mguard", folder + ": scales something else")
        with open(path) as f:
            config = f.read()
        for key in ("queueName", "topic", "consumerGroup"):
            value = scaled["spec"]["triggers"][0]["metadata"].get(key)
            check(value is None or '"%s"' % value in config, "%s: %s %s is not that of queue.json" % (folder, key, value))
        query = scaled["spec"]["triggers"][0]["metadata"].get("query", "")
        with open(ROOT + "/docs/operations/monitoring.md") as f:
            page = f.read()
        for metric in re.findall(r"metamorphic_\w+", query):
            check(metric in page, "%s: there is no metric %s" % (folder, metric))


def chart():
    """Rendered by helm for each broker, and held against what kustomize's objects are, and against the schemas of Kubernetes."""
    global skipped
    folder, path = tools(), DEPLOY + "/helm/mguard"
    if folder is None:
        skipped += 1
        print("skipped: the Helm chart, which MGUARD_CHECK=full looks at")
        return
    helm = os.path.join(folder, "helm")
    with open(path + "/Chart.yaml") as f, open(ROOT + "/lua/mguard/version.lua") as v:
        check('"%s"' % yaml.safe_load(f)["appVersion"] in v.read(), "the chart's appVersion is not that of mguard")
    temp = tempfile.mkdtemp(prefix="mguard-chart-")
    for file in sorted(glob.glob(DEPLOY + "/kubernetes/*/queue.json")):
        name = os.path.basename(os.path.dirname(file))
        with open(file) as f:
            config = json.loads(re.sub("//.*", "", f.read()) if name == "kafka" else f.read())
        values = {"queue": config, "task": {"files": {"plan.lua": "plan", "checks.lua": "checks"}}, "scaling": {"enabled": True}}
        with open(temp + "/values.json", "w") as f:
            json.dump(values, f)
        done = subprocess.run([helm, "lint", "--strict", path, "-f", temp + "/values.json"], capture_output=True, text=True, timeout=60)
        check(done.returncode == 0, "helm lint, %s: %s" % (name, done.stdout))
        done = subprocess.run([helm, "template", "mguard", path, "-f", temp + "/values.json"], capture_output=True, text=True, timeout=60)
        check(done.returncode == 0, "helm template, %s: %s" % (name, done.stderr))
        objects = [d for d in yaml.safe_load_all(done.stdout) if d]
        by_name = workload(objects, {"mguard-task", "mguard-queue"})
        with open(temp + "/queue.json", "w") as f:
            f.write(by_name["ConfigMap", "mguard-queue"]["data"]["queue.json"])
        queue(temp + "/queue.json")
        scaled = by_name["ScaledObject", "mguard-worker"]["spec"]
        check(scaled["scaleTargetRef"]["name"] == "mguard-worker" and "replicas" not in by_name["Deployment", "mguard-worker"]["spec"], name + ": scaling")
        with open(os.path.dirname(file) + "/keda.yaml") as f:
            check(scaled["triggers"][0]["type"] == next(yaml.safe_load_all(f))["spec"]["triggers"][0]["type"], name + ": another trigger than kustomize's")
        with open(temp + "/objects.yaml", "w") as f: # what is KEDA's has no schema there
            yaml.safe_dump_all([d for d in objects if "keda" not in d["apiVersion"]], f)
        done = subprocess.run([os.path.join(folder, "venv/bin/kubernetes-validate"), "--strict", temp + "/objects.yaml"], capture_output=True, text=True,
                              timeout=60)
        check(done.returncode == 0, "kubernetes-validate, %s: %s%s" % (name, done.stdout, done.stderr))
    done = subprocess.run([helm, "template", "mguard", path], capture_output=True, text=True, timeout=60)
    check(done.returncode != 0 and "queue: backend is required" in done.stderr.replace("'", ""), "a chart without a queue: " + done.stderr)
    shutil.rmtree(temp)


def systemd():
    folder = tempfile.mkdtemp(prefix="mguard-units-")
    for path in sorted(glob.glob(DEPLOY + "/systemd/*")):
        with open(path) as f:
            text = f.read()
        for line in re.findall(r"^ExecStart=(.*)$", text, re.M):
            words = shlex.split(line)
            words = words[1:] if words[0].endswith("/mguard") else ["run"] + words[1:]
            grace(words, float(re.search(r"^TimeoutStopSec=(\d+)$", text, re.M)[1]), path)
        text = text.replace("/usr/bin/mguard", PROGRAM).replace("/usr/lib/mguard", DEPLOY)
        with open(os.path.join(folder, os.path.basename(path).replace("@.", "@task.")), "w") as f:
            f.write(text)
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", *sorted(glob.glob(folder + "/*"))], capture_output=True, text=True, timeout=60)
    check(done.returncode == 0 and not done.stderr.strip(), "systemd-analyze: " + done.stderr)
    shutil.rmtree(folder)


def aws():
    for path in sorted(glob.glob(DEPLOY + "/aws/*.yaml")):
        doc = documents(path)[0]
        known = set(doc["Resources"]) | set(doc["Parameters"]) | {"AWS::Region", "AWS::Partition", "AWS::AccountId"}
        used = set(re.findall(r'Ref: "?([\w:]+)', open(path).read())) | set(re.findall(r'"Fn::GetAtt": \[(\w+)', open(path).read()))
        check(used <= known, "%s: %s is not there" % (path, sorted(used - known)))
        for name, resource in doc["Resources"].items():
            for container in resource.get("Properties", {}).get("ContainerDefinitions", []):
                given = grace(command_of(container), container["StopTimeout"], "%s: %s" % (path, name))
                names = queue(DEPLOY + "/queue/sqs.json")
                check(names <= {e["Name"] for e in container["Environment"]}, path + ": the queue's variables")
                check(given["--queue-config"].startswith("/task/"), path + ": the queue's configuration is part of the image")


def container():
    """Libraries of the program against the packages of the image."""
    with open(DEPLOY + "/Containerfile") as f:
        text = f.read()
    needed = re.findall(r"NEEDED.*\[(.*)\]", subprocess.run(["readelf", "-d", PROGRAM], capture_output=True, text=True).stdout)
    check(len(needed) > 5, "the program names its libraries")
    packages = set(re.findall(r"[a-z][a-z0-9.+-]+", re.search(r"apt-get install -y (.*?)&&", text, re.S)[1]))
    places = dict(re.findall(r"^\s+(\S+) => (\S+)", subprocess.run(["ldd", PROGRAM], capture_output=True, text=True).stdout, re.M))
    for library in needed:
        real = os.path.realpath(places.get(library, library))
        owner = ""
        for file in {real, real.replace("/usr/lib/", "/lib/"), places.get(library, "")}:
            found = subprocess.run(["dpkg", "-S", file], capture_output=True, text=True).stdout
            owner = owner or found.split(":")[0].strip()
        check(owner in packages or owner in ("libc6", ""), "Containerfile: %s of %s is not installed in the image" % (library, owner))
    for copied in re.findall(r"^COPY (?!--from)(\S+) ", text, re.M):
        check(os.path.exists(os.path.join(ROOT, copied)), "Containerfile: %s is not there" % copied)


def coordinator():
    """Killed and started anew it goes on, and ends with the digest of an undisturbed run."""
    folder = tempfile.mkdtemp(prefix="mguard-coordinator-")
    plan = os.path.join(folder, "plan.lua")
    with open(plan, "w") as f:
        f.write('local mg = require "mguard"\nreturn mg.plan { checks = "%s/examples/distributed/checks.lua", baseline = "sweep", candidate = "insert", '
                "cases = 30000, seed = 7, workers = 1 }\n" % ROOT)
    os.symlink(PROGRAM, os.path.join(folder, "mguard"))
    env = dict(os.environ, PATH=folder + ":" + os.environ["PATH"], MGUARD_STATE=folder + "/runs")
    words = ["sh", DEPLOY + "/coordinator.sh", plan, "--quiet", "--report-json", folder + "/report.json"]

    def recorded():
        done = mguard("runs", "--state-dir", folder + "/runs", "--json")
        runs = json.loads(done.stdout)["runs"] if done.returncode == 0 else []
        return runs[0]["recorded"] if runs else 0

    first = subprocess.Popen(words, env=env, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while recorded() == 0 and first.poll() is None and time.monotonic() < end:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    check(first.returncode == -signal.SIGKILL and not os.path.exists(folder + "/report.json"), "the coordinator ended before it was killed")
    again = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=240)
    check(again.returncode == 0, "coordinator.sh: %d: %s" % (again.returncode, again.stderr))
    runs = json.loads(mguard("runs", "--state-dir", folder + "/runs", "--json").stdout)["runs"]
    check([(r["state"], r["resumes"]) for r in runs] == [("ended", 1)], "coordinator.sh: one run, resumed once: %s" % runs)
    alone = mguard("run", plan, "--quiet", "--no-journal", "--report-json", folder + "/alone.json", "--workers", "2")
    check(alone.returncode == 0, alone.stderr)
    if again.returncode == 0 and alone.returncode == 0:
        digests = [json.load(open(os.path.join(folder, n)))["outcome_digest"] for n in ("report.json", "alone.json")]
        check(digests[0] == digests[1], "coordinator.sh: another digest than an undisturbed run's")
    shutil.rmtree(folder)


for part in (compose, kubernetes, chart, systemd, aws, container, coordinator):
    part()
print("%d passed, %d failed" % (passed, failed) + (", %d skipped" % skipped if skipped else ""))
sys.exit(1 if failed or not passed else 0)
