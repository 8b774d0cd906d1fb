#include "execute/implementation.h"

#include "script/json.h"
#include <lauxlib.h>
#include <fcntl.h>
#include <lua.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define MAX_DOCS (MG_MAX_CLAUSES + 1) /* answers of one case that are kept */

struct mg_implementation {
  /* a function in a state of its own: it stands at index 1 of that stack */
  mg_script *script;
  mg_checks checks; /* of a plain function: the script, loaded again */
  /* or a child */
  mg_child *child;
  bool once, text_in, text_out;
  bool greets; /* answers `null` once it has loaded: our own Python runner */
  volatile sig_atomic_t *stop;
  mg_buf request;
  mg_json *docs[MAX_DOCS];
  mg_buf texts[MAX_DOCS];
  size_t answers;
};

mg_script *mg_implementation_script(const mg_implementation *i) { return i->script; }

void mg_implementation_free(mg_implementation *i) {
  if (i == NULL) return;
  mg_implementation_rest(i);
  mg_script_free(i->script);
  mg_child_free(i->child);
  mg_buf_fini(&i->request);
  for (size_t k = 0; k < MAX_DOCS; k++) mg_buf_fini(&i->texts[k]);
  free(i);
}

/* ---- opening ---- */

/* Messages name files as the user does: below the current folder without it. */
static const char *shown_path(const char *path, char *cwd, size_t size) {
  if (getcwd(cwd, size) == NULL) return path;
  size_t n = strlen(cwd);
  return strncmp(path, cwd, n) == 0 && path[n] == '/' ? path + n + 1 : path;
}

static int load_file(lua_State *L) { /* absolute path, shown name -> function */
  const char *path = luaL_checkstring(L, 1);
  const char *slash = strrchr(path, '/');
  lua_getglobal(L, "package");
  lua_pushlstring(L, path, slash != NULL ? (size_t)(slash - path) : 0);
  lua_getfield(L, -2, "path");
  const char *dir = lua_tostring(L, -2);
  lua_pushfstring(L, "%s/?.lua;%s/?/init.lua;%s", dir, dir, lua_tostring(L, -1));
  lua_setfield(L, 3, "path");
  lua_settop(L, 2);
  FILE *f = fopen(path, "re");
  if (f == NULL) return luaL_error(L, "%s cannot be read", lua_tostring(L, 2));
  luaL_Buffer b;
  luaL_buffinit(L, &b);
  size_t n;
  do {
    char *p = luaL_prepbuffer(&b);
    n = fread(p, 1, LUAL_BUFFERSIZE, f);
    luaL_addsize(&b, n);
  } while (n > 0);
  (void)fclose(f);
  luaL_pushresult(&b);
  size_t len;
  const char *text = lua_tolstring(L, -1, &len);
  if (len > 0 && text[0] == '#') { /* a shebang line; its line feed stays, for the line numbers */
    const char *eol = memchr(text, '\n', len);
    size_t skip = eol != NULL ? (size_t)(eol - text) : len;
    text += skip;
    len -= skip;
  }
  if (luaL_loadbufferx(L, text, len, lua_pushfstring(L, "@%s", lua_tostring(L, 2)), "t") != LUA_OK) return lua_error(L);
  lua_call(L, 0, 1);
  if (lua_isfunction(L, -1)) return 1;
  if (lua_istable(L, -1) && lua_getfield(L, -1, "solve") == LUA_TFUNCTION) return 1;
  if (lua_getglobal(L, "solve") == LUA_TFUNCTION) return 1;
  return luaL_error(L, "%s must return a function (or a table with solve), or define solve", lua_tostring(L, 2));
}

static mg_err open_lua(mg_implementation *i, const char *path, mg_error *e) {
  lua_State *L = mg_script_lua(i->script);
  char cwd[4096];
  lua_pushcfunction(L, load_file);
  lua_pushstring(L, path);
  lua_pushstring(L, shown_path(path, cwd, sizeof cwd));
  return mg_script_call(i->script, 2, 1, e);
}

static mg_err open_function(mg_implementation *i, const mg_implementation_config *c, mg_error *e) {
  lua_State *L = mg_script_lua(i->script);
  mg_err err = mg_checks_load(&i->checks, i->script, c->script, c->overrides, e);
  if (err == MG_OK) err = mg_checks_hook(&i->checks, "setup", e);
  if (err == MG_OK) err = mg_checks_implementation(&i->checks, c->name, e);
  if (err != MG_OK) return err;
  bool found = lua_getfield(L, -1, "call") == LUA_TFUNCTION;
  lua_replace(L, 1);
  lua_settop(L, 1);
  return found ? MG_OK : mg_fail(e, MG_ARG, "implementation \"%s\" is no function", c->name);
}

/* Reads the implementation's table on top of the checks' stack into a child. */
static mg_err open_child(mg_implementation *i, const mg_implementation_config *c, const char *kind, mg_error *e) {
  lua_State *L = mg_script_lua(c->checks->script);
  int spec = lua_gettop(L);
  const char *argv[256] = {NULL};
  const char *env[257] = {NULL};
  int argc = 0, envc = 0;
  mg_child_config config = {.argv = argv, .memory_mb = c->memory_mb, .group = c->group};
  if (strcmp(kind, "python") == 0) {
    lua_getglobal(L, "require");
    lua_pushliteral(L, "mguard.runner_py");
    mg_err err = mg_script_call(c->checks->script, 1, 1, e);
    if (err != MG_OK) return err;
    lua_getfield(L, spec, "path");
    i->greets = true;
    argv[argc++] = "python3";
    argv[argc++] = "-c";
    argv[argc++] = lua_tostring(L, -2);
    argv[argc++] = lua_tostring(L, -1);
  } else {
    lua_getfield(L, spec, "argv");
    lua_Integer n = luaL_len(L, -1);
    if (n < 1 || n > 255) return mg_fail(e, MG_ARG, "implementation \"%s\": a command line has 1 to 255 words", c->name);
    luaL_checkstack(L, (int)n + 270, "command line");
    for (lua_Integer k = 1; k <= n; k++) {
      lua_geti(L, spec + 1, k); /* stays on the stack, so that the text lives */
      argv[argc++] = lua_tostring(L, -1);
    }
    if (lua_getfield(L, spec, "env") == LUA_TTABLE) {
      int t = lua_gettop(L);
      lua_pushnil(L);
      while (lua_next(L, t) != 0 && envc < 256) {
        env[envc++] = lua_pushfstring(L, "%s=%s", lua_tostring(L, -2), lua_tostring(L, -1));
        lua_insert(L, t); /* below, where it lives on */
        t++;
        lua_pop(L, 1);
        luaL_checkstack(L, 4, "environment");
      }
    }
    config.env = env;
    lua_getfield(L, spec, "cwd");
    config.cwd = lua_tostring(L, -1);
    lua_getfield(L, spec, "once");
    config.once = lua_toboolean(L, -1);
    lua_getfield(L, spec, "input");
    lua_getfield(L, spec, "output");
    const char *in = lua_tostring(L, -2), *out = lua_tostring(L, -1);
    i->text_in = in != NULL && strcmp(in, "text") == 0;
    i->text_out = out != NULL && strcmp(out, "text") == 0;
  }
  i->once = config.once;
  i->stop = c->stop;
  return mg_child_new(&i->child, &config, e);
}

mg_err mg_implementation_open(mg_implementation **out, const mg_implementation_config *c, mg_error *e) {
  *out = NULL;
  lua_State *L = mg_script_lua(c->checks->script);
  int top = lua_gettop(L);
  mg_err err = mg_checks_implementation(c->checks, c->name, e);
  if (err != MG_OK) return err;
  mg_implementation *i = calloc(1, sizeof *i);
  if (i == NULL) {
    err = mg_fail(e, MG_NOMEM, "memory ended");
    goto out;
  }
  lua_getfield(L, -1, "kind");
  const char *kind = lua_tostring(L, -1);
  lua_pop(L, 1); /* the spec keeps it */
  bool own_state = kind != NULL && (strcmp(kind, "lua") == 0 || strcmp(kind, "function") == 0);
  if (own_state) {
    i->script = mg_script_new((size_t)c->memory_mb << 20);
    if (i->script == NULL) {
      err = mg_fail(e, MG_NOMEM, "memory ended");
      goto out;
    }
    if (strcmp(kind, "lua") == 0) {
      lua_getfield(L, -1, "path");
      err = open_lua(i, lua_tostring(L, -1), e);
    } else {
      err = open_function(i, c, e);
    }
    if (err == MG_OK) err = mg_script_commit(i->script, e);
  } else {
    err = open_child(i, c, kind != NULL ? kind : "exec", e);
    if (err == MG_OK && mg_implementation_wants_start(i)) err = mg_implementation_start(i, e);
  }
out:
  lua_settop(L, top);
  if (err != MG_OK) {
    mg_implementation_free(i);
    if (e != NULL) (void)mg_fail_in(e, "implementation \"%s\"", c->name);
    return err;
  }
  *out = i;
  return MG_OK;
}

/* ---- calling ---- */

static mg_err call_function(mg_implementation *i, const mg_tape *args, mg_tape *out, mg_error *e) {
  lua_State *L = mg_script_lua(i->script);
  mg_err err = mg_tape_push(args, i->script, 1, e);
  if (err != MG_OK) return err;
  err = mg_script_call(i->script, (int)args->values, 1, e);
  if (err != MG_OK) return err;
  mg_tape_clear(out);
  err = mg_tape_read(out, L, -1, e); /* the value stays on the stack: the tape borrows its strings */
  return err == MG_OK ? MG_OK : mg_fail_in(e, "its result");
}

static mg_err read_answer(mg_implementation *i, mg_slice answer, mg_tape *out, mg_error *e) {
  mg_tape_clear(out);
  if (i->answers == MAX_DOCS) return mg_fail(e, MG_FATAL, "too many answers of one case");
  size_t slot = i->answers++;
  if (i->text_out) {
    mg_buf *text = &i->texts[slot];
    mg_buf_clear(text);
    mg_buf_put(text, answer.data, answer.len);
    mg_cell *c = mg_tape_add(out, MG_CELL_STRING);
    if (c == NULL || text->failed) return mg_fail(e, MG_NOMEM, "memory ended");
    c->u.text = text->data != NULL ? (const char *)text->data : "";
    c->length = text->len;
    out->values = 1;
    return MG_OK;
  }
  mg_tape whole = {0};
  mg_err err = mg_json_read(answer, &whole, &i->docs[slot], e);
  if (err != MG_OK) {
    mg_tape_fini(&whole);
    int shown = answer.len < 60 ? (int)answer.len : 60;
    char why[200];
    (void)snprintf(why, sizeof why, "%.190s", e != NULL ? e->text : "");
    return mg_fail(e, MG_ARG, "it answered what is no JSON (%s): %.*s", why, shown, (const char *)answer.data);
  }
  const mg_cell *value = whole.cells;
  if (!i->once) { /* a kept process answers {"result": value} or {"error": "text"} */
    const mg_cell *result = NULL, *problem = NULL;
    const mg_cell *k = whole.cells + 1;
    uint32_t pairs = value->kind == MG_CELL_TABLE ? value->count : 0;
    for (uint32_t n = 0; n < pairs; n++) {
      const mg_cell *v = mg_cell_next(k);
      if (k->kind == MG_CELL_STRING && k->length == 6 && memcmp(k->u.text, "result", 6) == 0) result = v;
      if (k->kind == MG_CELL_STRING && k->length == 5 && memcmp(k->u.text, "error", 5) == 0) problem = v;
      k = mg_cell_next(v);
    }
    if (problem != NULL && problem->kind == MG_CELL_STRING) {
      err = mg_fail(e, MG_ARG, "%.*s", (int)(problem->length < 400 ? problem->length : 400), problem->u.text);
    } else if (result == NULL) {
      err = mg_fail(e, MG_ARG, "its answer has neither \"result\" nor \"error\": write {\"result\": value} or {\"error\": \"text\"}");
    }
    value = result;
  }
  if (err == MG_OK) {
    const mg_cell *end = mg_cell_next(value);
    for (const mg_cell *c = value; err == MG_OK && c < end; c++) {
      mg_cell *copy = mg_tape_add(out, (mg_cell_kind)c->kind);
      if (copy == NULL) err = mg_fail(e, MG_NOMEM, "memory ended");
      else *copy = *c;
    }
    if (err == MG_OK && out->cells[0].kind == MG_CELL_NULL) out->cells[0].kind = MG_CELL_NIL; /* "no result" is nil in Lua */
    out->values = 1;
  }
  mg_tape_fini(&whole);
  return err;
}

static mg_err call_child(mg_implementation *i, const mg_tape *args, mg_tape *out, mg_error *e) {
  mg_buf_clear(&i->request);
  mg_slice request;
  if (i->text_in) {
    if (args->values != 1 || args->cells[0].kind != MG_CELL_STRING) {
      return mg_fail(e, MG_ARG, "with input = \"text\" a case has one argument, a string");
    }
    request = (mg_slice){(const uint8_t *)args->cells[0].u.text, args->cells[0].length};
  } else {
    mg_err err = mg_json_write(args, true, false, &i->request, e);
    if (err != MG_OK) return err;
    request = mg_buf_slice(&i->request);
  }
  mg_slice answer;
  mg_err err = mg_child_call(i->child, request, &answer, i->stop, e);
  return err == MG_OK ? read_answer(i, answer, out, e) : err;
}

bool mg_implementation_wants_start(const mg_implementation *i) { return i->greets && !mg_child_running(i->child); }

mg_err mg_implementation_start(mg_implementation *i, mg_error *e) {
  mg_tape nothing = {0};
  mg_slice answer;
  mg_err err = mg_child_call(i->child, mg_slice_of("null"), &answer, i->stop, e);
  if (err == MG_OK) err = read_answer(i, answer, &nothing, e);
  mg_tape_fini(&nothing);
  mg_implementation_rest(i);
  return err;
}

mg_err mg_implementation_call(mg_implementation *i, const mg_tape *args, uint64_t seed, uint64_t case_number, uint32_t random_stream,
                              mg_tape *out, mg_error *e) {
  if (i->child != NULL) return call_child(i, args, out, e);
  mg_script_reseed(i->script, seed, case_number, random_stream);
  mg_err err = call_function(i, args, out, e);
  mg_script_restore(i->script);
  return err;
}

double mg_implementation_cpu_ms(const mg_implementation *i) {
  struct timespec t;
  clockid_t clock = CLOCK_THREAD_CPUTIME_ID;
  if (i->once) { /* each process it started was waited for */
    struct rusage u;
    if (getrusage(RUSAGE_CHILDREN, &u) != 0) return NAN;
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e3 + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e3;
  }
  if (i->child != NULL && mg_child_pid(i->child) == 0) return 0; /* not started yet: all that it will have used is this call's */
  if (i->child != NULL && clock_getcpuclockid(mg_child_pid(i->child), &clock) != 0) return NAN;
  return clock_gettime(clock, &t) == 0 ? (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6 : NAN;
}

double mg_implementation_memory_mb(const mg_implementation *i) {
  if (i->script != NULL) return (double)mg_script_used(i->script) / (1 << 20);
  char name[64], text[128];
  unsigned long total, resident;
  if (mg_child_pid(i->child) == 0) return NAN;
  (void)snprintf(name, sizeof name, "/proc/%d/statm", mg_child_pid(i->child));
  int fd = open(name, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NAN;
  ssize_t n = read(fd, text, sizeof text - 1);
  (void)close(fd);
  if (n <= 0) return NAN;
  text[n] = '\0';
  if (sscanf(text, "%lu %lu", &total, &resident) != 2) return NAN;
  return (double)resident * (double)sysconf(_SC_PAGESIZE) / (1 << 20);
}

void mg_implementation_rest(mg_implementation *i) {
  for (size_t k = 0; k < i->answers; k++) {
    mg_json_free(i->docs[k]);
    i->docs[k] = NULL;
  }
  i->answers = 0;
  if (i->script != NULL) lua_settop(mg_script_lua(i->script), 1);
}
