#include "execute/executor_case.h"

#include <lauxlib.h>
#include <lua.h>
#include <msgpack/pack.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN_BYTES 4096   /* of a value in a stored violation */
#define MESSAGE_BYTES 1024

/* Streams of Philox: 0 generates and 1 + r transforms (generator.h); math.random of each call has one of its own. */
enum { RANDOM_CHECKS = 0x40000000, RANDOM_CALL = 0x50000000, RANDOM_CLAUSE = 0x60000000 };

/* ---- phases and records ---- */

static void enter(mg_runner *r, mg_phase phase, uint32_t index, uint64_t case_number) {
  mg_slot *s = r->slot;
  r->stop = 0;
  atomic_store_explicit(&s->phase, phase, memory_order_relaxed);
  atomic_store_explicit(&s->index, index, memory_order_relaxed);
  atomic_store_explicit(&s->case_number, case_number, memory_order_relaxed);
  uint64_t seq = atomic_load_explicit(&s->seq, memory_order_relaxed);
  atomic_store_explicit(&s->seq, seq + 1, memory_order_release);
}

void mg_runner_interrupt(mg_runner *r) {
  r->stop = 1;
  mg_script *running = r->running;
  if (running != NULL) mg_script_interrupt(running);
}

static void calm(mg_runner *r) {
  if (!r->stop) return;
  r->stop = 0;
  if (r->script != NULL) mg_script_calm(r->script);
  for (int i = 0; i < MG_ROLES; i++) {
    if (r->roles[i] != NULL && mg_implementation_script(r->roles[i]) != NULL) mg_script_calm(mg_implementation_script(r->roles[i]));
  }
}

static int append(void *data, const char *bytes, size_t len) {
  mg_buf_put(data, bytes, len);
  return 0;
}

static void begin_record(mg_runner *r, msgpack_packer *pk, int elements, int kind, uint32_t index) {
  mg_buf_clear(&r->record);
  msgpack_packer_init(pk, &r->record, append);
  msgpack_pack_array(pk, (size_t)elements);
  msgpack_pack_int(pk, kind);
  msgpack_pack_uint32(pk, index);
}

static void put_text(msgpack_packer *pk, mg_slice text) {
  msgpack_pack_str(pk, text.len);
  msgpack_pack_str_body(pk, text.data != NULL ? (const char *)text.data : "", text.len);
}

static void end_record(mg_runner *r) {
  mg_slot *s = r->slot;
  uint32_t used = atomic_load_explicit(&s->arena_used, memory_order_relaxed);
  if (r->record.failed || r->record.len > MG_SLOT_ARENA_BYTES - used) return; /* only violations can be that large; counts come first */
  memcpy(s->arena + used, r->record.data, r->record.len);
  atomic_store_explicit(&s->arena_used, used + (uint32_t)r->record.len, memory_order_release);
}

static void record_fault(mg_runner *r, uint32_t index, const char *text) {
  msgpack_packer pk;
  begin_record(r, &pk, 3, 3, index);
  put_text(&pk, mg_slice_of(text));
  end_record(r);
}

static void record_violation(mg_runner *r, uint32_t index, uint64_t case_number, mg_role role, int clause, const char *message,
                             bool has_out, const mg_tape *args2, const mg_tape *out2) {
  if (r->stored[role][clause] >= r->violation_cap || r->stored[role][clause] == UINT8_MAX) return;
  r->stored[role][clause]++;
  msgpack_packer pk;
  begin_record(r, &pk, 10, 1, index);
  msgpack_pack_uint64(&pk, case_number);
  msgpack_pack_int(&pk, role);
  msgpack_pack_int(&pk, clause);
  size_t n = message != NULL ? strnlen(message, MESSAGE_BYTES) : 0;
  put_text(&pk, (mg_slice){(const uint8_t *)message, n});
  const mg_tape *shown[4] = {&r->args, has_out ? &r->out : NULL, args2, out2};
  for (int i = 0; i < 4; i++) {
    mg_buf_clear(&r->text);
    if (shown[i] != NULL) mg_tape_show(shown[i], SHOWN_BYTES, &r->text);
    put_text(&pk, mg_buf_slice(&r->text));
  }
  end_record(r);
}

static void record_failed(mg_runner *r, uint32_t index, mg_role role, mg_clause_mask mask) {
  msgpack_packer pk;
  begin_record(r, &pk, 4, 0, index);
  msgpack_pack_int(&pk, role);
  msgpack_pack_uint64(&pk, mask);
  end_record(r);
}

static void record_labels(mg_runner *r, uint32_t index) {
  if (r->generator.label_count == 0) return;
  lua_State *L = mg_script_lua(r->script);
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->generator.labels_ref);
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    lua_pop(L, 1);
    size_t len;
    const char *name = lua_tolstring(L, -1, &len);
    msgpack_packer pk;
    begin_record(r, &pk, 3, 2, index);
    put_text(&pk, (mg_slice){(const uint8_t *)name, len});
    end_record(r);
  }
  lua_pop(L, 1);
}

/* ---- opening ---- */

/* Functions that are called for every case stand at fixed places of the checks' stack, below all else: a lookup by reference would cost more. */
enum { AT_GENERATE = 1, AT_G, AT_CLAUSES };
enum { CHECK = 0, TRANSFORM, GIVEN, PLACES };
static int place(int clause, int what) { return AT_CLAUSES + PLACES * (clause - 1) + what; }

static mg_err put_in_place(mg_runner *r, mg_error *e) {
  lua_State *L = mg_script_lua(r->script);
  lua_settop(L, 0);
  if (!lua_checkstack(L, 256 + PLACES * (MG_MAX_CLAUSES + 1))) return mg_fail(e, MG_NOMEM, "memory ended");
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->checks.generate);
  mg_generator_push(L, &r->generator, r->checks.size);
  for (int i = 1; i < r->checks.count; i++) {
    const int refs[PLACES] = {r->checks.checks[i].check, r->checks.checks[i].transform, r->checks.checks[i].given};
    for (int k = 0; k < PLACES; k++) {
      if (refs[k] > 0) lua_rawgeti(L, LUA_REGISTRYINDEX, refs[k]);
      else lua_pushnil(L);
    }
  }
  r->base = lua_gettop(L);
  return MG_OK;
}

mg_err mg_runner_open(mg_runner *r, mg_error *e) {
  r->script = mg_script_new(0);
  if (r->script == NULL) return mg_fail(e, MG_NOMEM, "memory ended");
  mg_err err = mg_checks_load(&r->checks, r->script, r->path, r->overrides, e);
  if (err != MG_OK) return err;
  err = mg_checks_hook(&r->checks, "setup", e);
  if (err != MG_OK) return mg_fail_in(e, "setup");
  err = mg_script_commit(r->script, e);
  if (err == MG_OK) err = put_in_place(r, e);
  if (err != MG_OK || r->digester != NULL) return err;
  const char *names[MG_MAX_CLAUSES] = {NULL};
  for (int i = 1; i < r->checks.count; i++) names[i - 1] = r->checks.clauses[i].name;
  r->digester = mg_digester_new(names, r->checks.count - 1);
  return r->digester != NULL ? MG_OK : mg_fail(e, MG_NOMEM, "memory ended");
}

static void close_roles(mg_runner *r) {
  for (int i = 0; i < MG_ROLES; i++) {
    mg_implementation_free(r->roles[i]);
    r->roles[i] = NULL;
    r->names[i][0] = '\0';
  }
}

void mg_runner_close(mg_runner *r) {
  close_roles(r);
  if (r->script != NULL && r->checks.spec > 0) (void)mg_checks_hook(&r->checks, "teardown", NULL);
  mg_script_free(r->script);
  r->script = NULL;
  mg_digester_free(r->digester);
  r->digester = NULL;
}

mg_err mg_runner_prepare(mg_runner *r, const mg_task *t, bool fresh, mg_error *e) {
  if (fresh || r->script == NULL) {
    mg_runner_close(r);
    mg_err err = mg_runner_open(r, e);
    if (err != MG_OK) return err;
  }
  const char *wanted[MG_ROLES] = {t->baseline, t->candidate};
  if (t->memory_mb != r->memory_mb) close_roles(r);
  r->memory_mb = t->memory_mb;
  mg_script_limit(r->script, 0);
  for (int i = 0; i < MG_ROLES; i++) {
    if (strcmp(r->names[i], wanted[i]) == 0) continue;
    mg_implementation_free(r->roles[i]);
    r->roles[i] = NULL;
    r->names[i][0] = '\0';
    if (wanted[i][0] == '\0') continue;
    mg_implementation_config c = {.checks = &r->checks,
                                  .name = wanted[i],
                                  .script = r->path,
                                  .overrides = r->overrides,
                                  .memory_mb = t->memory_mb,
                                  .group = &r->slot->groups[i],
                                  .stop = &r->stop};
    mg_err err = mg_implementation_open(&r->roles[i], &c, e);
    if (err != MG_OK) return err;
    (void)snprintf(r->names[i], sizeof r->names[i], "%s", wanted[i]);
  }
  /* The checks hold copies of everything the roles hold; the same limit again bounds a property that runs away. */
  mg_script_limit(r->script, (size_t)t->memory_mb << 20);
  r->seed = t->seed;
  r->violation_cap = t->violation_cap;
  r->explain = t->kind == MG_TASK_EXPLAIN;
  memset(r->stored, 0, sizeof r->stored);
  return MG_OK;
}

/* ---- calls into the checks' state ---- */

/* Everything but MG_OK leaves the stack as it was. */
static mg_err checks_call(mg_runner *r, int nargs, int nresults, mg_error *e) {
  r->running = r->script;
  mg_err err = r->stop ? MG_TIMEOUT : mg_script_call(r->script, nargs, nresults, e);
  if (r->stop && err == MG_TIMEOUT && !mg_script_interrupted(r->script)) {
    lua_pop(mg_script_lua(r->script), nargs + 1);
    err = mg_fail(e, MG_TIMEOUT, "the time limit was reached");
  }
  r->running = NULL;
  return err;
}

static mg_err push_with(mg_runner *r, int function, const mg_tape *first, const mg_tape *rest, int *nargs, mg_error *e) {
  mg_err err = MG_OK;
  r->running = r->script;
  if (first != NULL) {
    err = mg_tape_push(first, r->script, function, e);
    if (err == MG_OK) {
      err = mg_tape_push(rest, r->script, 0, e);
      if (err != MG_OK) lua_pop(mg_script_lua(r->script), (int)first->values + (function != 0));
    }
    *nargs = (int)(first->values + rest->values);
  } else {
    err = mg_tape_push(rest, r->script, function, e);
    *nargs = (int)rest->values;
  }
  r->running = NULL;
  return err;
}

/* What stands above top becomes the tape's values, and stays where it is: the tape borrows its strings. */
static mg_err read_results(mg_runner *r, mg_tape *t, int top, mg_error *e) {
  lua_State *L = mg_script_lua(r->script);
  if (lua_gettop(L) > 100 && !lua_checkstack(L, 128)) return mg_fail(e, MG_NOMEM, "too many values");
  return mg_tape_read_top(t, L, lua_gettop(L) - top, e);
}

static void fault_text(mg_runner *r, const char *what, uint64_t case_number, mg_err err, mg_error *e) {
  char why[400];
  if (err == MG_TIMEOUT) {
    (void)snprintf(why, sizeof why, "did not return within the case's time limit%s%s", mg_script_where(r->script)[0] != '\0' ? ", it was at " : "",
                   mg_script_where(r->script));
  } else {
    (void)snprintf(why, sizeof why, "raised: %.380s", e->text);
  }
  (void)mg_fail(e, MG_ARG, "the checks are at fault: %s of case %llu %s", what, (unsigned long long)case_number, why);
}

/* Leaves the arguments on the stack, where the tape borrows their strings. */
static mg_err make_args(mg_runner *r, uint64_t case_number, mg_slice input, mg_error *e) {
  if (input.len > 0) {
    mg_tape_clear(&r->args);
    return mg_tape_unpack(&r->args, input, true, e);
  }
  lua_State *L = mg_script_lua(r->script);
  mg_generator_begin(&r->generator, r->seed, case_number, 0);
  mg_script_reseed(r->script, r->seed, case_number, RANDOM_CHECKS);
  int top = r->base;
  lua_pushvalue(L, AT_GENERATE);
  lua_pushvalue(L, AT_G);
  mg_err err = checks_call(r, 1, LUA_MULTRET, e);
  if (err != MG_OK) return r->generator.discarded && err == MG_ARG ? MG_OK : err;
  if (r->generator.discarded) return MG_OK;
  return read_results(r, &r->args, top, e);
}

/* given(args): false makes the clause not applicable. */
static mg_err applies(mg_runner *r, int clause, const char **what, mg_error *e) {
  const mg_check *c = &r->checks.checks[clause];
  r->applies[clause] = true;
  if (c->given <= 0) return MG_OK;
  *what = "given";
  int nargs;
  mg_err err = push_with(r, place(clause, GIVEN), NULL, &r->args, &nargs, e);
  if (err == MG_OK) err = checks_call(r, nargs, 1, e);
  if (err != MG_OK) return err;
  lua_State *L = mg_script_lua(r->script);
  r->applies[clause] = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return MG_OK;
}

static mg_err transform(mg_runner *r, int clause, int relation, uint64_t case_number, const char **what, mg_error *e) {
  lua_State *L = mg_script_lua(r->script);
  *what = "transform";
  mg_generator_begin(&r->generator, r->seed, case_number, 1 + (uint32_t)relation);
  mg_script_reseed(r->script, r->seed, case_number, RANDOM_CHECKS + 1 + (uint32_t)relation);
  int top = lua_gettop(L), nargs;
  mg_err err = push_with(r, place(clause, TRANSFORM), NULL, &r->args, &nargs, e);
  if (err != MG_OK) return err;
  lua_pushvalue(L, AT_G);
  lua_insert(L, -nargs - 1);
  bool before = r->generator.discarded;
  r->generator.discarded = false;
  err = checks_call(r, nargs + 1, LUA_MULTRET, e);
  bool gave_up = r->generator.discarded;
  r->generator.discarded = before;
  if (gave_up && (err == MG_OK || err == MG_ARG)) { /* g:discard() in a transform: this relation does not apply to this case */
    lua_settop(L, top);
    r->applies[clause] = false;
    return MG_OK;
  }
  return err == MG_OK ? read_results(r, &r->args2[clause], top, e) : err;
}

/* Arguments of the case and of its relations. MG_OK, also where discarded. */
static mg_err prepare_case(mg_runner *r, uint64_t case_number, mg_slice input, mg_error *e) {
  const char *what = input.len > 0 ? "input" : "generate";
  int number = 0;
  r->generator.discarded = false;
  mg_err err = make_args(r, case_number, input, e);
  for (int i = 1; i < r->checks.count && err == MG_OK && !r->generator.discarded; i++) {
    bool relation = r->checks.checks[i].relation;
    int relation_number = relation ? number++ : 0;
    char named[MG_NAME_MAX + 32];
    err = applies(r, i, &what, e);
    if (err == MG_OK && relation && r->applies[i]) err = transform(r, i, relation_number, case_number, &what, e);
    if (err != MG_OK) {
      (void)snprintf(named, sizeof named, "%s of \"%.100s\"", what, r->checks.clauses[i].name);
      fault_text(r, named, case_number, err, e);
      return MG_ARG;
    }
  }
  if (err != MG_OK) {
    fault_text(r, what, case_number, err, e);
    return MG_ARG;
  }
  return MG_OK;
}

/* ---- clauses ---- */

typedef struct verdict {
  bool holds;
  mg_err stopped; /* MG_TIMEOUT, or MG_OK */
  char message[MESSAGE_BYTES];
} verdict;

/* Reads boolean [, text] from the two results on the stack. */
static void read_verdict(mg_runner *r, verdict *v) {
  lua_State *L = mg_script_lua(r->script);
  v->holds = lua_toboolean(L, -2);
  if (v->holds) {
    lua_pop(L, 2);
    return;
  }
  v->message[0] = '\0';
  if (lua_type(L, -1) == LUA_TSTRING) (void)snprintf(v->message, sizeof v->message, "%s", lua_tostring(L, -1));
  else if (lua_isnil(L, -2)) (void)snprintf(v->message, sizeof v->message, "it returned nil, which counts as false");
  lua_pop(L, 2);
}

static void clause_error(verdict *v, mg_err err, const mg_error *e) {
  v->holds = false;
  v->stopped = err == MG_TIMEOUT ? MG_TIMEOUT : MG_OK;
  (void)snprintf(v->message, sizeof v->message, "it raised: %s", e->text);
}

static void check_property(mg_runner *r, int clause, uint64_t case_number, const mg_tape *out, const mg_tape *args, verdict *v) {
  mg_error e;
  int nargs;
  mg_script_reseed(r->script, r->seed, case_number, RANDOM_CLAUSE + (uint32_t)clause);
  mg_err err = push_with(r, place(clause, CHECK), out, args, &nargs, &e);
  if (err == MG_OK) err = checks_call(r, nargs, 2, &e);
  if (err != MG_OK) clause_error(v, err, &e);
  else read_verdict(r, v);
}

static int push_two(lua_State *L) {
  mg_runner *r = lua_touserdata(L, 1);
  int clause = (int)lua_tointeger(L, 2);
  lua_settop(L, 0);
  (void)mg_tape_build(&r->out, L);
  (void)mg_tape_build(&r->out2[clause], L);
  if (r->checks.equal_is_core) {
    lua_pushboolean(L, mg_value_equal(L, 1, 2, 0, 0));
    return 1;
  }
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->checks.equal);
  lua_insert(L, 1);
  lua_call(L, 2, 1);
  return 1;
}

/* expect(out, out2, args, args2), the arguments as lists. */
static int push_expect(lua_State *L) {
  mg_runner *r = lua_touserdata(L, 1);
  int clause = (int)lua_tointeger(L, 2);
  lua_settop(L, 0);
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->checks.checks[clause].check);
  (void)mg_tape_build(&r->out, L);
  (void)mg_tape_build(&r->out2[clause], L);
  const mg_tape *lists[2] = {&r->args, &r->args2[clause]};
  for (int i = 0; i < 2; i++) {
    int n = mg_tape_build(lists[i], L);
    lua_createtable(L, n, 1);
    lua_insert(L, -n - 1);
    for (int k = n; k >= 1; k--) lua_rawseti(L, -k - 1, k);
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
  }
  lua_call(L, 4, 2);
  return 2;
}

static void check_relation(mg_runner *r, int clause, uint64_t case_number, verdict *v) {
  lua_State *L = mg_script_lua(r->script);
  const mg_check *c = &r->checks.checks[clause];
  mg_error e;
  v->holds = true;
  if (c->expect == MG_EXPECT_PROPERTIES) {
    for (int i = 1; i < r->checks.count && v->holds; i++) {
      if (r->checks.checks[i].relation) continue;
      check_property(r, i, case_number, &r->out2[clause], &r->args2[clause], v);
      if (!v->holds) {
        char why[MESSAGE_BYTES];
        (void)snprintf(why, sizeof why, "property \"%.100s\" does not hold for the transformed case%s%.800s", r->checks.clauses[i].name,
                       v->message[0] != '\0' ? ": " : "", v->message);
        memcpy(v->message, why, sizeof why);
      }
    }
    return;
  }
  bool function = c->expect == MG_EXPECT_FUNCTION;
  mg_script_reseed(r->script, r->seed, case_number, RANDOM_CLAUSE + (uint32_t)clause);
  lua_pushcfunction(L, function ? push_expect : push_two);
  lua_pushlightuserdata(L, r);
  lua_pushinteger(L, clause);
  mg_err err = checks_call(r, 2, function ? 2 : 1, &e);
  if (err != MG_OK) {
    clause_error(v, err, &e);
    return;
  }
  if (!function) lua_pushliteral(L, "");
  read_verdict(r, v);
  if (c->expect == MG_EXPECT_NOT_EQUAL) v->holds = !v->holds;
  if (!function) v->message[0] = '\0';
}

/* ---- a role ---- */

typedef struct role_result {
  mg_outcome outcome;
  mg_clause_mask failed;
} role_result;

static mg_outcome outcome_of(mg_err err) {
  return err == MG_TIMEOUT ? MG_TIMED_OUT : err == MG_LOST ? MG_CRASH : MG_ERROR;
}

static mg_err call_role(mg_runner *r, mg_role role, const mg_tape *args, uint64_t case_number, uint32_t stream, mg_tape *out, mg_error *e) {
  mg_implementation *impl = r->roles[role];
  mg_script *state = mg_implementation_script(impl);
  r->running = state;
  mg_err err;
  if (r->stop) err = mg_fail(e, MG_TIMEOUT, "the time limit was reached");
  else err = mg_implementation_call(impl, args, r->seed, case_number, stream, out, e);
  if (r->stop) { /* its time was up while it ran, whatever it answered after that */
    const char *where = state != NULL && mg_script_interrupted(state) ? mg_script_where(state) : "";
    err = mg_fail(e, MG_TIMEOUT, "the time limit was reached%s%s", where[0] != '\0' ? " at " : "", where);
  }
  r->running = NULL;
  return err;
}

/* Time-outs and crashes end the role with `completes` alone: what else would have failed cannot depend on when the time was up. */
static role_result stopped(mg_runner *r, uint32_t index, uint64_t case_number, mg_role role, mg_outcome o, const char *why, const mg_tape *args2) {
  record_violation(r, index, case_number, role, 0, why, false, args2, NULL);
  return (role_result){o, MG_COMPLETES};
}

static role_result run_role(mg_runner *r, uint32_t index, uint64_t case_number, mg_role role) {
  mg_error e;
  role_result res = {MG_PASS, 0};
  mg_err first = call_role(r, role, &r->args, case_number, RANDOM_CALL, &r->out, &e);
  if (first != MG_OK) {
    mg_outcome o = outcome_of(first);
    if (o != MG_ERROR) return stopped(r, index, case_number, role, o, e.text, NULL);
    res = (role_result){MG_ERROR, MG_COMPLETES};
    record_violation(r, index, case_number, role, 0, e.text, false, NULL, NULL);
  }
  if (first == MG_OK && r->explain) record_violation(r, index, case_number, role, 0, "holds", true, NULL, NULL);
  int number = 0;
  for (int i = 1; i < r->checks.count; i++) {
    if (!r->checks.checks[i].relation) continue;
    uint32_t stream = RANDOM_CALL + 1 + (uint32_t)number++;
    r->has_out2[i] = false;
    if (!r->applies[i]) continue;
    mg_err err = call_role(r, role, &r->args2[i], case_number, stream, &r->out2[i], &e);
    r->has_out2[i] = err == MG_OK;
    if (err == MG_OK) continue;
    mg_outcome o = outcome_of(err);
    if (o != MG_ERROR) return stopped(r, index, case_number, role, o, e.text, &r->args2[i]);
    if ((res.failed & MG_COMPLETES) == 0) record_violation(r, index, case_number, role, 0, e.text, first == MG_OK, &r->args2[i], NULL);
    res = (role_result){MG_ERROR, MG_COMPLETES};
  }
  for (int i = 1; i < r->checks.count; i++) {
    bool relation = r->checks.checks[i].relation;
    if (!r->applies[i] || first != MG_OK || (relation && !r->has_out2[i])) {
      if (r->explain) record_violation(r, index, case_number, role, i, r->applies[i] ? "not reached" : "does not apply", false, NULL, NULL);
      continue;
    }
    verdict v; /* its kilobyte of text is not cleared for every clause of every case */
    v.stopped = MG_OK;
    if (relation) check_relation(r, i, case_number, &v);
    else check_property(r, i, case_number, &r->out, &r->args, &v);
    if (v.stopped == MG_TIMEOUT || r->stop) {
      char why[MG_NAME_MAX + 200];
      (void)snprintf(why, sizeof why, "the time limit was reached in clause \"%.100s\"%s%s", r->checks.clauses[i].name,
                     mg_script_where(r->script)[0] != '\0' ? " at " : "", mg_script_where(r->script));
      return stopped(r, index, case_number, role, MG_TIMED_OUT, why, NULL);
    }
    if (v.holds) {
      if (r->explain) record_violation(r, index, case_number, role, i, "holds", true, relation ? &r->args2[i] : NULL, relation ? &r->out2[i] : NULL);
      continue;
    }
    res.failed |= (mg_clause_mask)1 << i;
    if (res.outcome == MG_PASS) res.outcome = MG_FAIL;
    record_violation(r, index, case_number, role, i, v.message, true, relation ? &r->args2[i] : NULL, relation ? &r->out2[i] : NULL);
  }
  return res;
}

mg_err mg_runner_case(mg_runner *r, uint32_t index, uint64_t case_number, mg_slice input, bool skip_baseline, mg_outcome baseline_outcome, mg_error *e) {
  mg_slot *s = r->slot;
  lua_State *L = mg_script_lua(r->script);
  mg_outcome outcomes[MG_ROLES] = {MG_ABSENT, MG_ABSENT};
  enter(r, MG_PHASE_GENERATE, index, case_number);
  mg_err err = prepare_case(r, case_number, input, e);
  if (err != MG_OK) {
    record_fault(r, index, e->text);
    calm(r);
    lua_settop(L, r->base);
    return err;
  }
  calm(r);
  bool discarded = r->generator.discarded;
  if (!discarded && !skip_baseline) record_labels(r, index);
  for (int role = 0; role < MG_ROLES; role++) {
    bool skip = role == MG_BASELINE && skip_baseline;
    if (r->roles[role] == NULL && !skip) continue;
    role_result res = {MG_DISCARD, 0};
    if (skip) {
      outcomes[role] = baseline_outcome;
      s->outcomes[role][index] = (uint8_t)baseline_outcome;
      continue;
    }
    if (!discarded) {
      enter(r, role == MG_BASELINE ? MG_PHASE_BASELINE : MG_PHASE_CANDIDATE, index, case_number);
      res = run_role(r, index, case_number, (mg_role)role);
      mg_implementation_rest(r->roles[role]);
      if (r->stop && res.outcome != MG_TIMED_OUT) res = stopped(r, index, case_number, (mg_role)role, MG_TIMED_OUT, "the time limit was reached in a finalizer", NULL);
      calm(r);
    }
    if (res.failed != 0) record_failed(r, index, (mg_role)role, res.failed);
    mg_digester_add(r->digester, &r->sum, case_number, (mg_role)role, res.outcome, res.failed);
    outcomes[role] = res.outcome;
    s->outcomes[role][index] = (uint8_t)res.outcome;
    if (role == MG_BASELINE) atomic_store_explicit(&s->baseline_done, 1, memory_order_release);
  }
  for (int role = 0; role < MG_ROLES; role++) s->outcomes[role][index] = (uint8_t)outcomes[role];
  s->digest_low = r->sum.low;
  s->digest_high = r->sum.high;
  atomic_store_explicit(&s->done, index + 1, memory_order_release);
  atomic_store_explicit(&s->baseline_done, 0, memory_order_release);
  lua_settop(L, r->base);
  mg_script_restore(r->script);
  return MG_OK;
}

mg_err mg_runner_preflight(mg_runner *r, uint64_t seed, uint64_t case_number, mg_error *e) {
  if (r->checks.generate <= 0) return MG_OK;
  r->seed = seed;
  mg_err err = prepare_case(r, case_number, (mg_slice){NULL, 0}, e);
  lua_settop(mg_script_lua(r->script), r->base);
  mg_script_restore(r->script);
  calm(r);
  return err;
}
