#include "script/plan.h"

#include "script/checks.h"
#include "script/json.h"
#include "script/value.h"
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct plan_state { /* mg_plan first, so that one pointer is both */
  mg_plan plan;
  mg_checks checks;
} plan_state;

/* The helpers read field `name` of the table on top; texts stay in the spec, which the state keeps. */
static const char *text(lua_State *L, const char *name) {
  lua_getfield(L, -1, name);
  const char *t = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  lua_pop(L, 1);
  return t;
}

static int64_t integer(lua_State *L, const char *name, int64_t otherwise) {
  lua_getfield(L, -1, name);
  int ok;
  lua_Integer v = lua_tointegerx(L, -1, &ok);
  lua_pop(L, 1);
  return ok ? v : otherwise;
}

static double number(lua_State *L, const char *name, double otherwise) {
  lua_getfield(L, -1, name);
  int ok;
  lua_Number v = lua_tonumberx(L, -1, &ok);
  lua_pop(L, 1);
  return ok ? v : otherwise;
}

static bool truth(lua_State *L, const char *name) {
  lua_getfield(L, -1, name);
  bool v = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return v;
}

static void read_goal(lua_State *L, mg_goal *g) {
  if (lua_getfield(L, -1, "goal") == LUA_TTABLE) {
    const char *kind = text(L, "kind");
    g->kind = kind == NULL ? MG_NONINFERIORITY
              : strcmp(kind, "superiority") == 0 ? MG_SUPERIORITY
              : strcmp(kind, "equivalence") == 0 ? MG_EQUIVALENCE
              : strcmp(kind, "absolute") == 0    ? MG_ABSOLUTE
                                                 : MG_NONINFERIORITY;
    g->margin = number(L, "margin", 0);
    g->min_pass_rate = number(L, "min_pass_rate", 0);
    g->alpha = number(L, "alpha", 0.05);
  }
  lua_pop(L, 1);
}

static int place_of(const char *name, const char *(*name_of)(int), int count) {
  for (int i = 0; name != NULL && i < count; i++) {
    if (strcmp(name, name_of(i)) == 0) return i;
  }
  return 0;
}

static const char *difference_name(int k) { return mg_difference_name((mg_difference_kind)k); }
static const char *rate_name(int k) { return mg_rate_name((mg_rate_kind)k); }

static const char *correction_name(int k) {
  static const char *const names[] = {[MG_HOLM] = "holm", [MG_HOCHBERG] = "hochberg", [MG_BH] = "bh", [MG_BY] = "by"};
  return names[k];
}

static void read_stop(lua_State *L, mg_stop_plan *s) {
  if (lua_getfield(L, -1, "stop") == LUA_TTABLE) {
    const char *kind = text(L, "kind"), *spending = text(L, "spending");
    s->kind = kind == NULL                    ? MG_STOP_FIXED
              : strcmp(kind, "anytime") == 0 ? MG_STOP_ANYTIME
              : strcmp(kind, "group") == 0   ? MG_STOP_GROUP
              : strcmp(kind, "sprt") == 0    ? MG_STOP_SPRT
                                             : MG_STOP_FIXED;
    s->max = (uint64_t)integer(L, "max", 0);
    s->alpha = number(L, "alpha", 0);
    s->looks = (int)integer(L, "looks", 5);
    s->spending = spending != NULL && strcmp(spending, "pocock") == 0 ? MG_SPEND_POCOCK : MG_SPEND_OBF;
    s->theta0 = 0.5;
    s->theta1 = number(L, "odds", 0.75);
    s->beta = number(L, "beta", 0.2);
  }
  lua_pop(L, 1);
}

static void read_measures(lua_State *L, mg_plan *p) {
  p->measure = (uint8_t)integer(L, "measure", 0);
  p->columns = (int)integer(L, "columns", 0);
  p->fairness_limit = number(L, "fairness", NAN);
  p->clustered = lua_getfield(L, -1, "cluster") == LUA_TFUNCTION;
  p->grouped = lua_getfield(L, -2, "group") == LUA_TFUNCTION;
  lua_pop(L, 2);
  if (lua_getfield(L, -1, "views") == LUA_TTABLE) {
    lua_Integer n = luaL_len(L, -1);
    for (lua_Integer i = 1; i <= n && i <= MG_MAX_COLUMNS; i++) {
      lua_geti(L, -1, i);
      const char *kind = text(L, "kind"), *better = text(L, "better");
      p->views[p->view_count++] = (mg_view){.name = text(L, "name"),
                                            .column = (int)integer(L, "column", 0),
                                            .kind = kind != NULL && strcmp(kind, "ratio") == 0      ? MG_VIEW_RATIO
                                                    : kind != NULL && strcmp(kind, "quantile") == 0 ? MG_VIEW_QUANTILE
                                                                                                    : MG_VIEW_MEAN,
                                            .quantile = number(L, "quantile", NAN),
                                            .higher = better != NULL && strcmp(better, "higher") == 0,
                                            .margin = number(L, "margin", NAN),
                                            .limit = number(L, "limit", NAN)};
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
}

static int by_label(const void *a, const void *b) { return strcmp(((const mg_cover_want *)a)->label, ((const mg_cover_want *)b)->label); }

static void read_cover(lua_State *L, mg_plan *p) {
  if (lua_getfield(L, -1, "cover") == LUA_TTABLE) {
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
      if (lua_type(L, -2) == LUA_TSTRING && p->cover_count < MG_MAX_LABELS) {
        p->cover[p->cover_count++] = (mg_cover_want){lua_tostring(L, -2), lua_tonumber(L, -1)};
      }
      lua_pop(L, 1);
    }
    qsort(p->cover, (size_t)p->cover_count, sizeof *p->cover, by_label);
  }
  lua_pop(L, 1);
}

static void read_queue(lua_State *L, mg_options *o) {
  if (lua_getfield(L, -1, "queue") == LUA_TTABLE) {
    lua_pushnil(L);
    while (lua_next(L, -2) != 0) {
      if (lua_type(L, -2) == LUA_TSTRING) {
        const char *key = lua_tostring(L, -2);
        bool ok = true;
        switch (lua_type(L, -1)) {
          case LUA_TSTRING: ok = mg_options_set_text(o, key, lua_tostring(L, -1)); break;
          case LUA_TBOOLEAN: ok = mg_options_set_bool(o, key, lua_toboolean(L, -1)); break;
          case LUA_TNUMBER:
            ok = lua_isinteger(L, -1) ? mg_options_set_int(o, key, lua_tointeger(L, -1)) : mg_options_set_real(o, key, lua_tonumber(L, -1));
            break;
          default: break;
        }
        if (!ok) luaL_error(L, "memory ended");
      }
      lua_pop(L, 1);
    }
  }
  lua_pop(L, 1);
}

/* Implementations that cost money or say hedge = false are never run twice for speed. */
static bool may_hedge(lua_State *L, const char *name) {
  bool may = true;
  if (name == NULL) return true;
  lua_getfield(L, -1, "implementations");
  if (lua_getfield(L, -1, name) == LUA_TTABLE) {
    lua_getfield(L, -1, "hedge");
    may = lua_isnil(L, -1) || lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (truth(L, "paid")) may = false;
  }
  lua_pop(L, 2);
  return may;
}

static int read_spec(lua_State *L) {
  plan_state *ps = lua_touserdata(L, 1);
  mg_plan *p = &ps->plan;
  lua_rawgeti(L, LUA_REGISTRYINDEX, ps->checks.spec);
  const char *kind = text(L, "kind");
  p->is_plan = kind != NULL && strcmp(kind, "plan") == 0;
  p->path = text(L, "path");
  p->dir = text(L, "dir");
  p->name = text(L, "name");
  read_queue(L, p->queue);
  if (lua_getfield(L, -1, "default_limits") == LUA_TTABLE) {
    p->default_timeout_ms = (uint32_t)integer(L, "case_timeout_ms", 0);
    p->default_memory_mb = (uint32_t)integer(L, "memory_mb", 0);
  }
  lua_pop(L, 1);
  if (!p->is_plan) return 0;
  p->baseline = text(L, "baseline");
  p->candidate = text(L, "candidate");
  if (lua_getfield(L, -1, "given") == LUA_TTABLE) {
    p->baseline_given = text(L, "baseline");
    p->candidate_given = text(L, "candidate");
  }
  lua_pop(L, 1);
  p->inputs = text(L, "inputs");
  p->cases = (uint64_t)integer(L, "cases", 0);
  p->seed = integer(L, "seed", 0);
  p->violation_cap = (uint32_t)integer(L, "violation_cap", 5);
  p->max_discard = number(L, "max_discard", 0.5);
  p->fail_fast = truth(L, "fail_fast");
  p->workers = (int)integer(L, "workers", 0);
  if (lua_getfield(L, -1, "limits") == LUA_TTABLE) {
    p->case_timeout_ms = (uint32_t)integer(L, "case_timeout_ms", p->default_timeout_ms);
    p->memory_mb = (uint32_t)integer(L, "memory_mb", p->default_memory_mb);
    p->timeout_given = truth(L, "timeout_given");
    p->memory_given = truth(L, "memory_given");
  }
  lua_pop(L, 1);
  if (lua_getfield(L, -1, "flaky") == LUA_TTABLE) {
    p->flaky_reruns = (uint32_t)integer(L, "reruns", 3);
    p->flaky_sample = number(L, "sample", 0.01);
    p->flaky_limit = number(L, "limit", 0);
  }
  lua_pop(L, 1);
  if (lua_getfield(L, -1, "report") == LUA_TTABLE) p->report_json = text(L, "json");
  lua_pop(L, 1);
  lua_getfield(L, -1, "batching");
  p->has_batching = lua_isfunction(L, -1);
  lua_pop(L, 1);
  p->hedge = may_hedge(L, p->baseline) && may_hedge(L, p->candidate);
  read_goal(L, &p->goal);
  p->goal.difference_by = (mg_difference_kind)place_of(text(L, "interval"), difference_name, MG_DIFFERENCE_KINDS);
  const char *correction = text(L, "correction");
  p->corrects = correction != NULL;
  p->correction = (mg_correction)place_of(correction, correction_name, MG_BY + 1);
  p->goal.rate_by = (mg_rate_kind)place_of(text(L, "rate_interval"), rate_name, MG_RATE_KINDS);
  read_stop(L, &p->stop.plan);
  read_measures(L, p);
  read_cover(L, p);
  return 0;
}

/* Lines of the inputs that are not blank. */
static mg_err count_lines(mg_plan *p, mg_error *e) {
  FILE *f = fopen(p->inputs, "re");
  if (f == NULL) return mg_fail(e, MG_ARG, "%s cannot be read", p->inputs);
  char *line = NULL;
  size_t cap = 0;
  ssize_t n;
  uint64_t lines = 0;
  while ((n = getline(&line, &cap, f)) > 0) {
    if (strspn(line, " \t\r\n") < (size_t)n) lines++;
  }
  bool bad = ferror(f) != 0;
  free(line);
  (void)fclose(f);
  if (bad) return mg_fail(e, MG_ARG, "%s cannot be read to its end", p->inputs);
  if (lines == 0) return mg_fail(e, MG_ARG, "%s holds no cases: write one JSON array of arguments a line", p->inputs);
  if (p->cases == 0 || p->cases > lines) p->cases = lines;
  return MG_OK;
}

mg_err mg_plan_load(mg_plan **out, const char *path, const void *overrides, size_t overrides_len, mg_error *e) {
  *out = NULL;
  plan_state *ps = calloc(1, sizeof *ps);
  if (ps == NULL) return mg_fail(e, MG_NOMEM, "memory ended");
  mg_plan *p = &ps->plan;
  mg_err err = MG_NOMEM;
  p->queue = mg_options_new();
  p->script = mg_script_new(0);
  if (p->queue == NULL || p->script == NULL) {
    mg_fail(e, MG_NOMEM, "memory ended");
    goto out;
  }
  err = mg_checks_load(&ps->checks, p->script, path, (mg_slice){overrides, overrides_len}, e);
  if (err != MG_OK) goto out;
  lua_State *L = mg_script_lua(p->script);
  lua_pushcfunction(L, read_spec);
  lua_pushlightuserdata(L, ps);
  err = mg_script_call(p->script, 1, 0, e);
  if (err != MG_OK) goto out;
  memcpy(p->clauses, ps->checks.clauses, sizeof p->clauses);
  p->clause_count = ps->checks.count;
  memcpy(p->fingerprint, ps->checks.fingerprint, sizeof p->fingerprint);
  p->parts = ps->checks.parts;
  if (p->inputs != NULL) err = count_lines(p, e);
  if (err == MG_OK && p->stop.plan.kind != MG_STOP_FIXED) {
    mg_stop_plan rule = p->stop.plan;
    if (rule.max > 0 && rule.max < p->cases) p->cases = rule.max;
    err = mg_goal_stop(&p->stop, &rule, &p->goal, p->cases, e);
    if (err != MG_OK) (void)mg_fail_in(e, "%s", p->path);
  }
out:
  if (err == MG_OK) *out = p;
  else mg_plan_free(p);
  return err;
}

static int resolve_queue(lua_State *L) {
  mg_options *o = lua_touserdata(L, 1);
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mguard.config");
  lua_call(L, 1, 1);
  lua_createtable(L, 0, 1);
  lua_getfield(L, -2, "resolve");
  lua_pushnil(L);
  lua_pushnil(L);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_call(L, 4, 1);
  lua_setfield(L, -2, "queue");
  read_queue(L, o);
  return 0;
}

mg_err mg_queue_load(mg_options **out, const char *backend, const char *source, mg_error *e) {
  mg_options *o = mg_options_new();
  mg_script *s = mg_script_new(0);
  mg_err err = MG_NOMEM;
  if (o == NULL || s == NULL) {
    mg_fail(e, MG_NOMEM, "memory ended");
  } else {
    lua_State *L = mg_script_lua(s);
    lua_pushcfunction(L, resolve_queue);
    lua_pushlightuserdata(L, o);
    lua_pushstring(L, backend);
    lua_pushstring(L, source);
    err = mg_script_call(s, 3, 0, e);
  }
  mg_script_free(s);
  if (err == MG_OK) *out = o;
  else mg_options_free(o);
  return err;
}

void mg_plan_free(mg_plan *p) {
  if (p == NULL) return;
  mg_script_free(p->script);
  mg_options_free(p->queue);
  free(p);
}

mg_err mg_plan_batching(mg_plan *p, const mg_batching_view *view, uint32_t *batch, mg_error *e) {
  plan_state *ps = (plan_state *)p;
  lua_State *L = mg_script_lua(p->script);
  lua_rawgeti(L, LUA_REGISTRYINDEX, ps->checks.spec);
  lua_getfield(L, -1, "batching");
  lua_remove(L, -2);
  lua_createtable(L, 0, 6);
  lua_pushinteger(L, (lua_Integer)view->remaining);
  lua_setfield(L, -2, "remaining");
  lua_pushinteger(L, (lua_Integer)view->outstanding);
  lua_setfield(L, -2, "outstanding");
  lua_pushinteger(L, view->executors);
  lua_setfield(L, -2, "executors");
  lua_pushinteger(L, view->batch);
  lua_setfield(L, -2, "batch");
  lua_pushnumber(L, view->case_seconds);
  lua_setfield(L, -2, "case_seconds");
  lua_pushnumber(L, view->round_trip_seconds);
  lua_setfield(L, -2, "round_trip_seconds");
  mg_err err = mg_script_call(p->script, 1, 1, e);
  if (err != MG_OK) return mg_fail_in(e, "batching");
  int ok;
  lua_Integer n = lua_tointegerx(L, -1, &ok);
  bool good = ok && n >= 1;
  if (good) *batch = n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
  else mg_fail(e, MG_ARG, "%s: batching must return a whole number from 1, got %s", p->path, luaL_typename(L, -1));
  lua_pop(L, 1);
  return good ? MG_OK : MG_ARG;
}

/* (plan_state, url, format): the resolved list stays in the registry, and so do its texts. */
static int read_webhooks(lua_State *L) {
  plan_state *ps = lua_touserdata(L, 1);
  mg_plan *p = &ps->plan;
  lua_getglobal(L, "require");
  lua_pushliteral(L, "mguard.webhooks");
  lua_call(L, 1, 1);
  lua_getfield(L, -1, "resolve");
  lua_rawgeti(L, LUA_REGISTRYINDEX, ps->checks.spec);
  lua_getfield(L, -1, "webhooks");
  lua_remove(L, -2);
  lua_pushvalue(L, 2);
  lua_pushvalue(L, 3);
  lua_call(L, 3, 1);
  lua_pushvalue(L, -1);
  (void)luaL_ref(L, LUA_REGISTRYINDEX);
  for (p->webhook_count = 0; p->webhook_count < MG_MAX_WEBHOOKS && lua_rawgeti(L, -1, p->webhook_count + 1) == LUA_TTABLE; p->webhook_count++) {
    mg_webhook_plan *w = &p->webhooks[p->webhook_count];
    w->url = text(L, "url");
    w->secret = text(L, "secret");
    w->slack = truth(L, "slack");
    w->on_verdict = truth(L, "on_verdict");
    w->on_alert = truth(L, "on_alert");
    w->timeout_s = number(L, "timeout_s", 10);
    w->tries = (int)integer(L, "tries", 5);
    lua_pop(L, 1);
  }
  return 0;
}

mg_err mg_plan_webhooks(mg_plan *p, const char *url, const char *format, mg_error *e) {
  lua_State *L = mg_script_lua(p->script);
  lua_pushcfunction(L, read_webhooks);
  lua_pushlightuserdata(L, p);
  lua_pushstring(L, url);
  lua_pushstring(L, format);
  return mg_script_call(p->script, 3, 0, e);
}

mg_err mg_plan_input(mg_plan *p, const char *line, size_t len, mg_buf *args, mg_error *e) {
  mg_tape tape = {0};
  mg_json *doc = NULL;
  mg_err err = mg_json_read((mg_slice){(const uint8_t *)line, len}, &tape, &doc, e);
  if (err != MG_OK) return mg_fail_in(e, "%s", p->inputs);
  const mg_cell *c = tape.cells;
  bool list = c->kind == MG_CELL_ARRAY || (c->kind == MG_CELL_TABLE && c->count == 0 && c->mark == MG_MARK_ARRAY);
  if (list) { /* the line is the list of arguments: its elements become the values */
    mg_tape view = {.cells = tape.cells + 1, .len = tape.len - 1, .cap = tape.len - 1, .values = c->count};
    mg_tape_pack(&view, false, args);
  } else {
    err = mg_fail(e, MG_ARG, "%s: a line must be a JSON array of the arguments, for example [[3, 1, 2], 2]", p->inputs);
  }
  mg_tape_fini(&tape);
  mg_json_free(doc);
  return err;
}
