--- runner_py.lua - the source of the program behind mg.python: `python3 -c SOURCE file.py`.
--- One JSON array of arguments a line on stdin, one object a line on stdout: {"result": ...} or {"error": "..."}.
--- What the file prints goes to stderr, so that it cannot garble the protocol.
return [==[
import importlib.util, json, math, os, sys

path = sys.argv[1]
sys.argv = [path]
answers = os.fdopen(os.dup(1), "w", encoding="utf-8", newline="\n")
os.dup2(2, 1)
sys.stdout = sys.stderr
requests = os.fdopen(os.dup(0), "r", encoding="utf-8", newline="\n")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
sys.path.insert(0, os.path.dirname(os.path.abspath(path)))


def refusal(value, at="result", depth=0):
    """Why a value cannot be written as JSON without loss, or None."""
    if value is None or value is True or value is False:
        return None
    if isinstance(value, str):
        try:
            value.isascii() or value.encode("utf-8")
        except UnicodeEncodeError:
            return "%s holds half of a surrogate pair, which UTF-8 cannot carry" % at
        return None
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "%s is bytes, which JSON cannot carry: return text" % at
    if isinstance(value, float):
        if math.isnan(value):
            return "%s is NaN, which JSON cannot carry" % at
        if math.isinf(value):
            return "%s is %s, which JSON cannot carry" % (at, "Infinity" if value > 0 else "-Infinity")
        return None
    if isinstance(value, int):
        return None
    if depth >= 64:
        return "%s is nested deeper than 64" % at
    if isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            why = refusal(item, "%s[%d]" % (at, i), depth + 1)
            if why:
                return why
        return None
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                return "%s has the key %r, and JSON keys are strings" % (at, key)
            why = refusal(item, "%s.%s" % (at, key), depth + 1)
            if why:
                return why
        return None
    return "%s is a %s, which JSON cannot carry" % (at, type(value).__name__)


def describe(exc):
    text = "%s: %s" % (type(exc).__name__, exc) if str(exc) else type(exc).__name__
    frame = exc.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    if frame is not None and frame.tb_frame.f_code.co_filename != "<string>":
        text += " (%s:%d)" % (frame.tb_frame.f_code.co_filename, frame.tb_lineno)
    return text


def answer(reply):
    try:
        text = json.dumps(reply, allow_nan=False, separators=(",", ":"))
    except (ValueError, TypeError, RecursionError) as exc:
        text = json.dumps({"error": "the result cannot be written as JSON: %s" % exc})
    answers.write(text + "\n")
    answers.flush()


def load():
    spec = importlib.util.spec_from_file_location("candidate", path)
    if spec is None:
        raise ImportError("%s is no Python file (its name must end in .py)" % path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["candidate"] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "solve", None)):
        raise AttributeError("%s defines no function solve(*args)" % path)
    return module.solve


def call(solve, line):
    try:
        args = json.loads(line)
        if not isinstance(args, list):
            return {"error": "the request is no JSON array"}
        result = solve(*args)
        why = refusal(result)
        return {"error": why} if why else {"result": result}
    except Exception as exc:
        return {"error": describe(exc)}


broken = None
solve = None
try:
    solve = load()
except Exception as exc:
    broken = {"error": "cannot load %s: %s" % (path, describe(exc))}
while True:
    line = requests.readline()
    if not line:
        break
    if line.strip() == "null":  # asked before the first case: loaded?
        answer(broken or {"result": None})
    elif line.strip():
        answer(broken or call(solve, line))
]==]
