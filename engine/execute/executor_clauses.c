#include "execute/executor_clauses.h"

#include "execute/executor_record.h"
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

mg_err mg_checks_call(mg_runner *r, int nargs, int nresults, mg_error *e) {
  r->running = r->script;
  mg_err err;
  if (r->stop) {
    lua_pop(mg_script_lua(r->script), nargs + 1);
    err = mg_fail(e, MG_TIMEOUT, "the time limit was reached");
  } else {
    err = mg_script_call(r->script, nargs, nresults, e);
  }
  r->running = NULL;
  return err;
}

mg_err mg_push_values(mg_runner *r, const mg_values *v, mg_error *e) {
  if (r->careful || v->at == 0) return mg_tape_push(&v->tape, r->script, 0, e);
  lua_State *L = mg_script_lua(r->script);
  int n = (int)v->tape.values;
  if (n > 8 && !lua_checkstack(L, n + 8)) return mg_fail(e, MG_NOMEM, "too many values");
  for (int i = 0; i < n; i++) lua_pushvalue(L, v->at + i);
  return MG_OK;
}

typedef struct verdict {
  bool holds;
  bool late; /* the time was up */
  char message[MG_MESSAGE_BYTES];
} verdict;

/* Reads boolean [, text] from the two results on the stack. */
static void read_verdict(mg_runner *r, verdict *v) {
  lua_State *L = mg_script_lua(r->script);
  v->holds = lua_toboolean(L, -2);
  if (!v->holds) {
    v->message[0] = '\0';
    if (lua_type(L, -1) == LUA_TSTRING) (void)snprintf(v->message, sizeof v->message, "%s", lua_tostring(L, -1));
    else if (lua_isnil(L, -2)) (void)snprintf(v->message, sizeof v->message, "it returned nil, which counts as false");
  }
  lua_pop(L, 2);
}

/* Calls what stands below nargs arguments, unless pushing them failed already. */
static void call_for_verdict(mg_runner *r, mg_err err, int function_at, int nresults, verdict *v, mg_error *e) {
  lua_State *L = mg_script_lua(r->script);
  if (err == MG_OK) err = mg_checks_call(r, lua_gettop(L) - function_at, nresults, e);
  else lua_settop(L, function_at - 1);
  if (err != MG_OK) {
    v->holds = false;
    v->late = err == MG_TIMEOUT;
    (void)snprintf(v->message, sizeof v->message, "it raised: %s", e->text);
    return;
  }
  if (nresults == 1) lua_pushnil(L);
  read_verdict(r, v);
}

static void check_property(mg_runner *r, int clause, uint64_t case_number, const mg_values *out, const mg_values *args, verdict *v) {
  lua_State *L = mg_script_lua(r->script);
  mg_error e;
  int at = lua_gettop(L) + 1;
  mg_script_reseed(r->script, r->seed, case_number, MG_RANDOM_CLAUSE + (uint32_t)clause);
  lua_pushvalue(L, mg_place(clause, MG_CHECK));
  mg_err err = mg_push_values(r, out, &e);
  if (err == MG_OK) err = mg_push_values(r, args, &e);
  call_for_verdict(r, err, at, 2, v, &e);
}

static int core_equal(lua_State *L) {
  lua_pushboolean(L, mg_value_equal(L, 1, 2, 0, 0));
  return 1;
}

/* expect, out, out2, count of args, args, args2 -> expect(out, out2, {args}, {args2}) */
static int call_expect(lua_State *L) {
  int n = (int)lua_tointeger(L, 4), n2 = lua_gettop(L) - 4 - n;
  int first = 5;
  for (int list = 0; list < 2; list++) {
    int count = list == 0 ? n : n2;
    lua_createtable(L, count, 1);
    for (int i = 1; i <= count; i++) {
      lua_pushvalue(L, first + i - 1);
      lua_rawseti(L, -2, i);
    }
    lua_pushinteger(L, count);
    lua_setfield(L, -2, "n");
    first += count;
  }
  lua_replace(L, 5); /* args2 */
  lua_replace(L, 4); /* args */
  lua_settop(L, 5);
  lua_call(L, 4, 2);
  return 2;
}

static void check_transformed(mg_runner *r, int relation, uint64_t case_number, verdict *v) {
  v->holds = true;
  for (int i = 1; i < r->checks.count && v->holds && !v->late; i++) {
    if (r->checks.checks[i].relation) continue;
    check_property(r, i, case_number, &r->out2[relation], &r->args2[relation], v);
    if (v->holds) continue;
    char why[MG_MESSAGE_BYTES];
    (void)snprintf(why, sizeof why, "property \"%.100s\" does not hold for the transformed case%s%.800s", r->checks.clauses[i].name,
                   v->message[0] != '\0' ? ": " : "", v->message);
    memcpy(v->message, why, sizeof why);
  }
}

static void check_relation(mg_runner *r, int clause, uint64_t case_number, verdict *v) {
  lua_State *L = mg_script_lua(r->script);
  const mg_check *c = &r->checks.checks[clause];
  mg_error e;
  if (c->expect == MG_EXPECT_PROPERTIES) {
    check_transformed(r, clause, case_number, v);
    return;
  }
  bool function = c->expect == MG_EXPECT_FUNCTION;
  if (!function && r->checks.equal_is_core && mg_tape_alike(&r->out.tape, &r->out2[clause].tape)) {
    v->holds = c->expect == MG_EXPECT_EQUAL;
    v->message[0] = '\0';
    return;
  }
  int at = lua_gettop(L) + 1;
  mg_script_reseed(r->script, r->seed, case_number, MG_RANDOM_CLAUSE + (uint32_t)clause);
  if (function) {
    lua_pushcfunction(L, call_expect);
    lua_pushvalue(L, mg_place(clause, MG_CHECK));
  } else if (r->checks.equal_is_core) {
    lua_pushcfunction(L, core_equal);
  } else {
    lua_pushvalue(L, MG_AT_EQUAL);
  }
  mg_err err = mg_push_values(r, &r->out, &e);
  if (err == MG_OK) err = mg_push_values(r, &r->out2[clause], &e);
  if (err == MG_OK && function) {
    lua_pushinteger(L, (lua_Integer)r->args.tape.values);
    err = mg_push_values(r, &r->args, &e);
    if (err == MG_OK) err = mg_push_values(r, &r->args2[clause], &e);
  }
  call_for_verdict(r, err, at, function ? 2 : 1, v, &e);
  if (!function && !v->late && strncmp(v->message, "it raised", 9) != 0) v->message[0] = '\0';
  if (c->expect == MG_EXPECT_NOT_EQUAL && !v->late && err == MG_OK) v->holds = !v->holds;
}

/* The result as a value on the stack, where it holds tables: lent to every clause. */
static mg_err place_result(mg_runner *r, mg_values *v, mg_error *e) {
  v->at = 0;
  if (r->careful || !mg_tape_has_tables(&v->tape)) return MG_OK;
  lua_State *L = mg_script_lua(r->script);
  if (!lua_checkstack(L, 32)) return mg_fail(e, MG_NOMEM, "memory ended");
  int top = lua_gettop(L);
  mg_err err = mg_tape_push(&v->tape, r->script, 0, e);
  if (err == MG_OK) v->at = top + 1;
  return err;
}

static bool unchanged(mg_runner *r, const mg_values *v) { return v->at == 0 || mg_tape_unchanged(&v->tape, mg_script_lua(r->script), v->at); }

static bool all_unchanged(mg_runner *r, bool has_out) {
  if (!unchanged(r, &r->args) || (has_out && !unchanged(r, &r->out))) return false;
  for (int i = 1; i < r->checks.count; i++) {
    if (r->has_out2[i] && (!unchanged(r, &r->args2[i]) || !unchanged(r, &r->out2[i]))) return false;
  }
  return true;
}

/* Values of a result that cannot be built in the checks' state (memory) are that role's error: nothing can be checked. */
static mg_err place_results(mg_runner *r, bool has_out, mg_error *e) {
  mg_err err = has_out ? place_result(r, &r->out, e) : MG_OK;
  for (int i = 1; err == MG_OK && i < r->checks.count; i++) {
    if (r->has_out2[i]) err = place_result(r, &r->out2[i], e);
  }
  return err;
}

static mg_err judge_once(mg_runner *r, uint32_t index, uint64_t case_number, mg_role role, bool has_out, mg_clause_mask *failed, char *why,
                         size_t why_size) {
  *failed = 0;
  for (int i = 1; i < r->checks.count; i++) {
    bool relation = r->checks.checks[i].relation;
    const mg_tape *args2 = relation ? &r->args2[i].tape : NULL, *out2 = relation ? &r->out2[i].tape : NULL;
    if (!r->applies[i] || !has_out || (relation && !r->has_out2[i])) {
      if (r->explain) mg_record_violation(r, index, case_number, role, i, r->applies[i] ? "not reached" : "does not apply", false, NULL, NULL);
      continue;
    }
    verdict v; /* its kilobyte of text is not cleared for every clause of every case */
    v.late = false;
    if (relation) check_relation(r, i, case_number, &v);
    else check_property(r, i, case_number, &r->out, &r->args, &v);
    if (v.late || r->stop) {
      const char *where = mg_script_where(r->script);
      (void)snprintf(why, why_size, "the time limit was reached in clause \"%.100s\"%s%s", r->checks.clauses[i].name, where[0] != '\0' ? " at " : "", where);
      return MG_TIMEOUT;
    }
    if (v.holds) {
      if (r->explain) mg_record_violation(r, index, case_number, role, i, "holds", true, args2, out2);
      continue;
    }
    *failed |= (mg_clause_mask)1 << i;
    mg_record_violation(r, index, case_number, role, i, v.message, true, args2, out2);
  }
  return MG_OK;
}

mg_err mg_judge_clauses(mg_runner *r, uint32_t index, uint64_t case_number, mg_role role, bool has_out, mg_clause_mask *failed, char *why,
                        size_t why_size) {
  lua_State *L = mg_script_lua(r->script);
  int top = lua_gettop(L);
  uint32_t arena = atomic_load_explicit(&r->slot->arena_used, memory_order_relaxed);
  uint8_t stored[MG_MAX_CLAUSES + 1];
  memcpy(stored, r->stored[role], sizeof stored);
  mg_error e;
  mg_err err;
  for (;;) {
    err = place_results(r, has_out, &e);
    if (err != MG_OK) {
      (void)snprintf(why, why_size, "its result cannot be checked: %s", e.text);
      break;
    }
    err = judge_once(r, index, case_number, role, has_out, failed, why, why_size);
    if (err != MG_OK || r->careful || all_unchanged(r, has_out)) break;
    r->careful = true; /* a clause function changed a value: once more, with copies */
    lua_settop(L, top);
    memcpy(r->stored[role], stored, sizeof stored);
    atomic_store_explicit(&r->slot->arena_used, arena, memory_order_release);
  }
  lua_settop(L, top);
  return err;
}
