#include "execute/executor_case.h"

#include "execute/executor_clauses.h"
#include "execute/executor_record.h"
#include "execute/executor_values.h"
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

/* ---- phases ---- */

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

/* ---- opening ---- */

static mg_err put_in_place(mg_runner *r, mg_error *e) {
  lua_State *L = mg_script_lua(r->script);
  lua_settop(L, 0);
  if (!lua_checkstack(L, 256 + MG_PLACES * (MG_MAX_CLAUSES + 1))) return mg_fail(e, MG_NOMEM, "memory ended");
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->checks.generate);
  mg_generator_push(L, &r->generator, r->checks.size);
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->checks.equal);
  for (int i = 1; i < r->checks.count; i++) {
    const int refs[MG_PLACES] = {r->checks.checks[i].check, r->checks.checks[i].transform, r->checks.checks[i].given};
    for (int k = 0; k < MG_PLACES; k++) {
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
  r->measure = t->kind == MG_TASK_COUNT ? t->measure : 0;
  r->measures = r->measure != 0 || (t->kind == MG_TASK_COUNT && r->checks.metric_count > 0);
  r->places = t->kind == MG_TASK_COUNT && (r->checks.cluster > 0 || r->checks.group > 0);
  memset(r->stored, 0, sizeof r->stored);
  return MG_OK;
}

/* ---- arguments ---- */

/* What stands above top becomes the values, and stays where it is: it is lent to the clauses, and the tape borrows its strings. */
static mg_err read_results(mg_runner *r, mg_values *v, int top, mg_error *e) {
  lua_State *L = mg_script_lua(r->script);
  int n = lua_gettop(L) - top;
  if (lua_gettop(L) > 100 && !lua_checkstack(L, 128)) return mg_fail(e, MG_NOMEM, "too many values");
  mg_err err = mg_tape_read_top(&v->tape, L, n, e);
  v->at = top + 1;
  return err == MG_OK ? mg_tape_anchor(&v->tape, r->script, e) : err;
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
  mg_tape_clear(&r->args.tape);
  r->args.at = 0;
  if (input.len > 0) {
    return mg_tape_unpack(&r->args.tape, input, true, e);
  }
  lua_State *L = mg_script_lua(r->script);
  mg_generator_begin(&r->generator, r->seed, case_number, 0);
  mg_script_reseed(r->script, r->seed, case_number, MG_RANDOM_CHECKS);
  int top = r->base;
  lua_pushvalue(L, MG_AT_GENERATE);
  lua_pushvalue(L, MG_AT_G);
  mg_err err = mg_checks_call(r, 1, LUA_MULTRET, e);
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
  lua_State *L = mg_script_lua(r->script);
  int top = lua_gettop(L);
  lua_pushvalue(L, mg_place(clause, MG_GIVEN));
  mg_err err = mg_push_values(r, &r->args, e);
  if (err == MG_OK) err = mg_checks_call(r, lua_gettop(L) - top - 1, 1, e);
  else lua_settop(L, top);
  if (err != MG_OK) return err;
  r->applies[clause] = lua_toboolean(L, -1);
  lua_pop(L, 1);
  return MG_OK;
}

static mg_err transform(mg_runner *r, int clause, int relation, uint64_t case_number, const char **what, mg_error *e) {
  lua_State *L = mg_script_lua(r->script);
  *what = "transform";
  mg_generator_begin(&r->generator, r->seed, case_number, 1 + (uint32_t)relation);
  mg_script_reseed(r->script, r->seed, case_number, MG_RANDOM_CHECKS + 1 + (uint32_t)relation);
  int top = lua_gettop(L);
  lua_pushvalue(L, mg_place(clause, MG_TRANSFORM));
  lua_pushvalue(L, MG_AT_G);
  mg_err err = mg_tape_push(&r->args.tape, r->script, 0, e); /* always a copy: to change it and give it back is how transforms are written */
  if (err != MG_OK) {
    lua_settop(L, top);
    return err;
  }
  bool before = r->generator.discarded;
  r->generator.discarded = false;
  err = mg_checks_call(r, lua_gettop(L) - top - 1, LUA_MULTRET, e);
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
static mg_err prepare_once(mg_runner *r, uint64_t case_number, mg_slice input, mg_error *e) {
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

static mg_err place_case(mg_runner *r, uint32_t index, uint64_t case_number, mg_error *e) {
  const char *what = "";
  mg_err err = mg_values_place(r, index, case_number, &what, e);
  if (err != MG_OK) fault_text(r, what, case_number, err, e);
  return err == MG_OK ? MG_OK : MG_ARG;
}

static mg_err prepare_case(mg_runner *r, uint64_t case_number, mg_slice input, mg_error *e) {
  lua_State *L = mg_script_lua(r->script);
  mg_err err = prepare_once(r, case_number, input, e);
  if (r->careful || r->generator.discarded || r->args.at == 0 || mg_tape_unchanged(&r->args.tape, L, r->args.at)) return err;
  r->careful = true; /* some given() changed the arguments: once more, with copies */
  lua_settop(L, r->base);
  return prepare_once(r, case_number, input, e);
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
  mg_record_violation(r, index, case_number, role, 0, why, false, args2, NULL);
  return (role_result){o, MG_COMPLETES};
}

static role_result run_role(mg_runner *r, uint32_t index, uint64_t case_number, mg_role role) {
  mg_error e;
  role_result res = {MG_PASS, 0};
  if (r->measures) mg_values_begin(r, role);
  mg_err first = call_role(r, role, &r->args.tape, case_number, MG_RANDOM_CALL, &r->out.tape, &e);
  if (r->measures) mg_values_end(r, role, first == MG_OK);
  if (first != MG_OK) {
    mg_outcome o = outcome_of(first);
    if (o != MG_ERROR) return stopped(r, index, case_number, role, o, e.text, NULL);
    res = (role_result){MG_ERROR, MG_COMPLETES};
    mg_record_violation(r, index, case_number, role, 0, e.text, false, NULL, NULL);
  }
  if (first == MG_OK && r->explain) mg_record_violation(r, index, case_number, role, 0, "holds", true, NULL, NULL);
  int number = 0;
  for (int i = 1; i < r->checks.count; i++) {
    if (!r->checks.checks[i].relation) continue;
    uint32_t stream = MG_RANDOM_CALL + 1 + (uint32_t)number++;
    r->has_out2[i] = false;
    if (!r->applies[i]) continue;
    mg_err err = call_role(r, role, &r->args2[i].tape, case_number, stream, &r->out2[i].tape, &e);
    r->has_out2[i] = err == MG_OK;
    if (err == MG_OK) continue;
    mg_outcome o = outcome_of(err);
    if (o != MG_ERROR) return stopped(r, index, case_number, role, o, e.text, &r->args2[i].tape);
    if ((res.failed & MG_COMPLETES) == 0) mg_record_violation(r, index, case_number, role, 0, e.text, first == MG_OK, &r->args2[i].tape, NULL);
    res = (role_result){MG_ERROR, MG_COMPLETES};
  }
  char why[MG_NAME_MAX + 300];
  mg_clause_mask failed;
  mg_err err = mg_judge_clauses(r, index, case_number, role, first == MG_OK, &failed, why, sizeof why);
  if (err == MG_OK && (r->measures || r->explain) && first == MG_OK && mg_values_metrics(r, index, case_number, role, &e) != MG_OK) {
    (void)snprintf(why, sizeof why, "the time limit was reached in a metric");
    err = MG_TIMEOUT;
  }
  if (err == MG_TIMEOUT) return stopped(r, index, case_number, role, MG_TIMED_OUT, why, NULL);
  if (err != MG_OK) return stopped(r, index, case_number, role, MG_ERROR, why, NULL);
  res.failed |= failed;
  if (failed != 0 && res.outcome == MG_PASS) res.outcome = MG_FAIL;
  return res;
}

/* The role in a phase of its own, whose time the parent watches. */
static role_result time_role(mg_runner *r, uint32_t index, uint64_t case_number, mg_role role) {
  if (mg_implementation_wants_start(r->roles[role])) { /* after a crash or a time-out; what goes wrong here goes wrong again in the call */
    mg_error ignored;
    enter(r, MG_PHASE_LOAD, index, case_number);
    (void)mg_implementation_start(r->roles[role], &ignored);
  }
  enter(r, role == MG_BASELINE ? MG_PHASE_BASELINE : MG_PHASE_CANDIDATE, index, case_number);
  role_result res = run_role(r, index, case_number, role);
  mg_implementation_rest(r->roles[role]);
  if (r->stop && res.outcome != MG_TIMED_OUT) res = stopped(r, index, case_number, role, MG_TIMED_OUT, "the time limit was reached in a finalizer", NULL);
  calm(r);
  return res;
}

mg_err mg_runner_case(mg_runner *r, uint32_t index, uint64_t case_number, mg_slice input, unsigned half, mg_outcome half_outcome, mg_error *e) {
  mg_slot *s = r->slot;
  lua_State *L = mg_script_lua(r->script);
  enter(r, MG_PHASE_GENERATE, index, case_number);
  mg_err err = prepare_case(r, case_number, input, e);
  if (err == MG_OK && r->places && !r->generator.discarded) err = place_case(r, index, case_number, e);
  if (err != MG_OK) {
    mg_record_fault(r, index, e->text);
    calm(r);
    lua_settop(L, r->base);
    return err;
  }
  calm(r);
  bool discarded = r->generator.discarded;
  if (!discarded && half == 0) mg_record_labels(r, index);
  /* Where anything is measured the sides take turns at going first, so that neither always finds the caches warm. */
  bool candidate_first = r->measures && (case_number & 1) != 0;
  for (int turn = 0; turn < MG_ROLES; turn++) {
    int role = candidate_first ? MG_CANDIDATE - turn : turn;
    if (half == 1u + (unsigned)role) {
      s->outcomes[role][index] = (uint8_t)half_outcome;
      continue;
    }
    if (r->roles[role] == NULL) {
      s->outcomes[role][index] = MG_ABSENT;
      continue;
    }
    role_result res = discarded ? (role_result){MG_DISCARD, 0} : time_role(r, index, case_number, (mg_role)role);
    if (res.failed != 0) mg_record_failed(r, index, (mg_role)role, res.failed);
    mg_digester_add(r->digester, &r->sum, case_number, (mg_role)role, res.outcome, res.failed);
    s->outcomes[role][index] = (uint8_t)res.outcome;
    if (r->measures && !discarded) mg_record_values(r, index, (mg_role)role);
    if (turn == 0) atomic_store_explicit(&s->half_done, 1 + (uint32_t)role, memory_order_release); /* a death in the other role does not run it again */
  }
  atomic_store_explicit(&s->done, index + 1, memory_order_release);
  atomic_store_explicit(&s->half_done, 0, memory_order_release);
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
