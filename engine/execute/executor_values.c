#include "execute/executor_values.h"

#include "base/hash.h"
#include "execute/executor_clauses.h"
#include "execute/executor_record.h"
#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

_Static_assert(MG_EXPLAINED_METRIC + MG_MAX_METRICS == MG_EXPLAINED_MOST + 1, "every metric can be explained");

int mg_builtin_columns(uint8_t measure) { return __builtin_popcount(measure); }
int mg_columns_of(const mg_runner *r) { return mg_builtin_columns(r->measure) + r->checks.metric_count; }

static double now_ms(void) {
  struct timespec t;
  (void)clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

void mg_values_begin(mg_runner *r, mg_role role) {
  int at = 0;
  for (int i = 0, n = mg_columns_of(r); i < n; i++) r->values[i] = NAN;
  int latency = (r->measure & MG_MEASURE_LATENCY) != 0 ? at++ : -1;
  if ((r->measure & MG_MEASURE_CPU) != 0) r->values[at++] = mg_implementation_cpu_ms(r->roles[role]);
  if (latency >= 0) r->values[latency] = now_ms(); /* last, next to the call */
}

void mg_values_end(mg_runner *r, mg_role role, bool returned) {
  int at = 0;
  if ((r->measure & MG_MEASURE_LATENCY) != 0) {
    double took = now_ms() - r->values[at];
    r->values[at++] = took > 1e-6 ? took : 1e-6; /* a ratio needs more than nothing */
  }
  if ((r->measure & MG_MEASURE_CPU) != 0) {
    double used = mg_implementation_cpu_ms(r->roles[role]) - r->values[at];
    r->values[at++] = used > 1e-6 ? used : used >= 0 ? 1e-6 : NAN;
  }
  if ((r->measure & MG_MEASURE_MEMORY) != 0) r->values[at++] = mg_implementation_memory_mb(r->roles[role]);
  for (int i = 0; i < at && !returned; i++) r->values[i] = NAN;
}

/* What a call gave, for people: err MG_OK with its result on the stack, or why. */
static void explain(mg_runner *r, uint32_t index, uint64_t case_number, mg_role role, int metric, mg_err err, const mg_error *why) {
  lua_State *L = mg_script_lua(r->script);
  char text[MG_MESSAGE_BYTES];
  if (err != MG_OK)
    (void)snprintf(text, sizeof text, "no value: %s", why->text);
  else if (lua_type(L, -1) == LUA_TNUMBER)
    (void)snprintf(text, sizeof text, mg_measure_fits(lua_tonumber(L, -1)) ? "%.14g" : "no value: it gave %.14g", lua_tonumber(L, -1));
  else
    (void)snprintf(text, sizeof text, lua_isnil(L, -1) ? "no value" : "no value: it gave a %s", luaL_typename(L, -1));
  mg_record_violation(r, index, case_number, role, MG_EXPLAINED_METRIC + metric, text, false, NULL, NULL);
}

mg_err mg_values_metrics(mg_runner *r, uint32_t index, uint64_t case_number, mg_role role, mg_error *e) {
  lua_State *L = mg_script_lua(r->script);
  int top = lua_gettop(L), first = mg_builtin_columns(r->measure);
  mg_err err = MG_OK;
  for (int i = 0; i < r->checks.metric_count && err != MG_TIMEOUT; i++) {
    mg_script_reseed(r->script, r->seed, case_number, MG_RANDOM_METRIC + (uint32_t)i);
    lua_rawgeti(L, LUA_REGISTRYINDEX, r->checks.metrics[i].value);
    err = mg_tape_push(&r->out.tape, r->script, 0, e); /* copies: what a metric does to them is nobody's concern */
    if (err == MG_OK) err = mg_tape_push(&r->args.tape, r->script, 0, e);
    if (err == MG_OK) err = mg_checks_call(r, lua_gettop(L) - top - 1, 1, e);
    if (r->explain) explain(r, index, case_number, role, i, err, e);
    if (err == MG_OK && lua_type(L, -1) == LUA_TNUMBER) r->values[first + i] = lua_tonumber(L, -1);
    lua_settop(L, top);
  }
  return err == MG_TIMEOUT || r->stop ? MG_TIMEOUT : MG_OK;
}

/* The function's one result on the stack. */
static mg_err ask(mg_runner *r, int reference, mg_error *e) {
  lua_State *L = mg_script_lua(r->script);
  int top = lua_gettop(L);
  lua_rawgeti(L, LUA_REGISTRYINDEX, reference);
  mg_err err = mg_tape_push(&r->args.tape, r->script, 0, e);
  if (err == MG_OK) return mg_checks_call(r, lua_gettop(L) - top - 1, 1, e);
  lua_settop(L, top);
  return err;
}

enum { NUMBER_TEXT = 40 };

/* The number or string on the stack as text. Not by Lua's own conversions: they take memory, and ask the script's __tostring, and what is raised here would
 * end the process. 2.0 is 2. */
static mg_slice text_of(lua_State *L, char number[NUMBER_TEXT]) {
  mg_slice text = {(const uint8_t *)number, 0};
  int whole;
  if (lua_type(L, -1) == LUA_TSTRING) {
    text.data = (const uint8_t *)lua_tolstring(L, -1, &text.len);
    return text;
  }
  lua_Integer n = lua_tointegerx(L, -1, &whole);
  int len = whole ? snprintf(number, NUMBER_TEXT, LUA_INTEGER_FMT, n) : snprintf(number, NUMBER_TEXT, LUA_NUMBER_FMT, lua_tonumber(L, -1));
  text.len = len > 0 ? (size_t)len : 0;
  return text;
}

static uint64_t key_of(lua_State *L, uint64_t case_number) {
  char number[NUMBER_TEXT];
  uint64_t low, high;
  if (lua_isnil(L, -1)) return mg_case_hash(UINT64_MAX, case_number); /* a cluster of its own */
  mg_slice text = text_of(L, number);
  mg_xxh3_128(text.data, text.len, &low, &high);
  return low;
}

static bool is_group_name(const char *text, size_t len) {
  if (len < 1 || len > MG_GROUP_NAME) return false;
  for (size_t i = 0; i < len; i++) {
    if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) return false;
  }
  return true;
}

mg_err mg_values_place(mg_runner *r, uint32_t index, uint64_t case_number, const char **what, mg_error *e) {
  lua_State *L = mg_script_lua(r->script);
  int top = lua_gettop(L);
  mg_err err = MG_OK;
  uint64_t key = 0;
  mg_slice group = {NULL, 0};
  char number[NUMBER_TEXT];
  mg_script_reseed(r->script, r->seed, case_number, MG_RANDOM_CHECKS + 0x8000);
  if (r->checks.cluster > 0) {
    *what = "cluster";
    err = ask(r, r->checks.cluster, e);
    int type = err == MG_OK ? lua_type(L, -1) : LUA_TNIL;
    if (type != LUA_TNIL && type != LUA_TNUMBER && type != LUA_TSTRING)
      err = mg_fail(e, MG_ARG, "it must return a string or a number (nil: a cluster of its own), not a %s", lua_typename(L, type));
    if (err == MG_OK) key = key_of(L, case_number);
  }
  if (err == MG_OK && r->checks.group > 0) {
    *what = "group";
    err = ask(r, r->checks.group, e);
    int type = err == MG_OK ? lua_type(L, -1) : LUA_TNIL;
    if (type == LUA_TNUMBER || type == LUA_TSTRING) group = text_of(L, number);
    if (err == MG_OK && type != LUA_TNIL && !is_group_name((const char *)group.data, group.len))
      err = mg_fail(e, MG_ARG, "it must return a name of 1 to %d bytes without control characters (nil: no group)", MG_GROUP_NAME);
  }
  if (err == MG_OK) mg_record_place(r, index, r->checks.cluster > 0 ? &key : NULL, group);
  lua_settop(L, top);
  return err;
}
