/* Cases that are run again in fresh states: a sample of every run, and violations that would decide it. */
#include "dispatch/coordinator_internal.h"

#include <stdlib.h>
#include <string.h>

enum { FAIL_FAST_AT_ONCE = 4 };

static int compare_cases(uint64_t x, uint64_t y) { return (x > y) - (x < y); }

static int key_case(const void *key, const void *r) { return compare_cases(*(const uint64_t *)key, ((const mg_repeat *)r)->first.case_number); }

static mg_repeat *find(const mg_coordinator *c, uint64_t case_number) {
  if (c->phase == MG_PHASE_REPEATING) /* sorted then, and maybe many */
    return c->repeat_count == 0 ? NULL : bsearch(&case_number, c->repeats, c->repeat_count, sizeof *c->repeats, key_case);
  for (size_t i = 0; i < c->repeat_count; i++) {
    if (c->repeats[i].first.case_number == case_number) return &c->repeats[i];
  }
  return NULL;
}

static bool push(mg_coordinator *c, const mg_first *first, uint32_t wanted, bool sampled) {
  if (c->repeat_count == c->repeat_cap) {
    size_t cap = c->repeat_cap == 0 ? 32 : 2 * c->repeat_cap;
    mg_repeat *grown = realloc(c->repeats, cap * sizeof *grown);
    if (grown == NULL) return false;
    c->repeats = grown;
    c->repeat_cap = cap;
  }
  c->repeats[c->repeat_count++] = (mg_repeat){.first = *first, .wanted = wanted, .sampled = sampled};
  return true;
}

/* By case; of one case what is no longer waiting comes first. */
static int by_case(const void *a, const void *b) {
  const mg_repeat *x = a, *y = b;
  int order = compare_cases(x->first.case_number, y->first.case_number);
  return order != 0 ? order : (int)y->state - (int)x->state;
}

static void sort_repeats(mg_coordinator *c) {
  size_t n = 0;
  if (c->repeat_count == 0) return;
  qsort(c->repeats, c->repeat_count, sizeof *c->repeats, by_case);
  for (size_t i = 1; i < c->repeat_count; i++) {
    mg_repeat *last = &c->repeats[n], *next = &c->repeats[i];
    if (last->first.case_number != next->first.case_number) {
      c->repeats[++n] = *next;
      continue;
    }
    if (next->wanted > last->wanted) last->wanted = next->wanted;
    last->sampled = last->sampled || next->sampled;
  }
  c->repeat_count = n + 1;
}

/* --- the plan's own sample --- */

void mg_coord_keep_flaky(mg_coordinator *c, const mg_first *first) {
  if (mg_case_hash((uint64_t)c->plan->seed, first->case_number) >= c->flaky_below) return;
  if (c->flaky_count == c->flaky_cap) {
    size_t cap = c->flaky_cap == 0 ? 64 : 2 * c->flaky_cap;
    mg_first *grown = realloc(c->flaky, cap * sizeof *grown);
    if (grown == NULL) return;
    c->flaky = grown;
    c->flaky_cap = cap;
  }
  c->flaky[c->flaky_count++] = *first;
}

mg_reruns mg_coord_flaky(const mg_coordinator *c) {
  mg_reruns out = {.reruns = c->plan->flaky_reruns};
  for (size_t i = 0; i < c->repeat_count && out.reruns > 0; i++) {
    const mg_repeat *r = &c->repeats[i];
    if (!r->sampled || r->done == 0) continue;
    out.cases++;
    out.different += r->differs;
  }
  return out;
}

static void compare_again(mg_coordinator *c, mg_repeat *r, const mg_first *again);

/* What ran again under an earlier coordinator does not have to. */
static void take_known(mg_coordinator *c) {
  mg_first again;
  for (size_t i = 0; i < c->repeat_count && c->known_count > 0; i++) {
    mg_repeat *r = &c->repeats[i];
    while (r->state == MG_AGAIN_WAITING && mg_coord_known_repeat(c, r->first.case_number, &again)) {
      c->repeats_out++;
      compare_again(c, r, &again);
    }
  }
}

/* The waiting ones, at most `each` a task. */
static void send_waiting(mg_coordinator *c, size_t each) {
  if (c->replaying) return;
  take_known(c);
  for (size_t i = 0; i < c->repeat_count;) {
    uint64_t *list = malloc(each * sizeof *list);
    size_t n = 0;
    for (; list != NULL && i < c->repeat_count && n < each; i++) {
      if (c->repeats[i].state != MG_AGAIN_WAITING) continue;
      c->repeats[i].state = MG_AGAIN_OUT;
      list[n++] = c->repeats[i].first.case_number;
    }
    mg_entry_out *e = n == 0 ? NULL : mg_ledger_add(&c->ledger, MG_TASK_REPEAT, 0, (uint32_t)n, list);
    if (e == NULL) {
      free(list);
      return;
    }
    c->repeats_out += n;
    mg_coord_send(c, e);
    if (!mg_coord_live(c)) return;
  }
}

/* A violation that came with the run's last breath decides only once it is seen again. */
static bool any_reproduced(const mg_coordinator *c) {
  uint32_t reproduced[MG_MAX_CLAUSES + 1], vanished[MG_MAX_CLAUSES + 1];
  mg_violations_tell(&c->violations, reproduced, vanished);
  for (int i = 0; i < c->plan->clause_count; i++) {
    if (reproduced[i] > 0) return true;
  }
  return false;
}

static void send_all(mg_coordinator *c) {
  size_t waiting = 0, executors = mg_coord_executors(c);
  for (size_t i = 0; i < c->repeat_count; i++) waiting += c->repeats[i].state == MG_AGAIN_WAITING;
  if (waiting == 0) return;
  size_t each = executors == 0 ? waiting : (waiting + executors - 1) / executors;
  send_waiting(c, each > c->batching.most ? c->batching.most : each);
}

/* None is out any more. */
static void settled(mg_coordinator *c) {
  if (c->repeats_out > 0 || !mg_coord_live(c)) return;
  if (c->phase == MG_PHASE_REPEATING) send_all(c); /* what is to be run more than once */
  if (c->repeats_out > 0 || !mg_coord_live(c)) return;
  if (c->phase == MG_PHASE_REPEATING || (c->paused && any_reproduced(c))) {
    mg_coord_over(c);
    return;
  }
  c->paused = false;
}

void mg_coord_begin_repeats(mg_coordinator *c) {
  uint32_t wanted = c->plan->flaky_reruns > 0 ? c->plan->flaky_reruns : 1;
  for (size_t i = 0; i < c->flaky_count; i++) {
    if (!c->stopped || c->flaky[i].case_number < c->looked) (void)push(c, &c->flaky[i], wanted, true);
  }
  for (size_t i = 0; i < c->sample_count; i++) {
    if (c->sampled[i] && (!c->stopped || c->sample[i].case_number < c->looked)) (void)push(c, &c->sample[i], wanted, true);
  }
  for (int clause = 0; clause < c->plan->clause_count; clause++) {
    for (size_t i = 0; i < c->violations.count[MG_CANDIDATE][clause]; i++) {
      const mg_kept *k = &c->violations.kept[MG_CANDIDATE][clause][i];
      if (mg_violation_decides(&c->violations, &k->v) && k->v.reproduced < 0) (void)push(c, &k->first, 1, false);
    }
  }
  sort_repeats(c);
  c->phase = MG_PHASE_REPEATING;
  settled(c);
}

void mg_coord_resume_repeats(mg_coordinator *c) {
  if (!c->paused) return;
  send_waiting(c, 1);
  settled(c);
}

void mg_coord_fail_fast(mg_coordinator *c, const mg_first *first) {
  if (c->phase != MG_PHASE_RUNNING || c->repeats_out >= FAIL_FAST_AT_ONCE) return;
  if (find(c, first->case_number) != NULL || !push(c, first, 1, false)) return;
  c->paused = true;
  send_waiting(c, 1);
}

static void differs(mg_coordinator *c, mg_repeat *r, mg_role role, mg_outcome again) {
  mg_different *grown = realloc(c->different, (c->different_count + 1) * sizeof *grown);
  if (grown == NULL) return;
  c->different = grown;
  c->different[c->different_count++] = (mg_different){r->first.case_number, role, r->first.outcomes[role], again};
  r->differs = true;
}

static void compare_again(mg_coordinator *c, mg_repeat *r, const mg_first *again) {
  if (r->done == 0) c->repeated_cases++;
  r->done++;
  for (int role = 0; role < MG_ROLES; role++) {
    if (r->first.outcomes[role] != again->outcomes[role] || r->first.masks[role] != again->masks[role]) {
      differs(c, r, (mg_role)role, again->outcomes[role]);
    }
  }
  if (r->done == 1) mg_violations_repeated(&c->violations, r->first.case_number, again->masks[MG_CANDIDATE]);
  r->state = r->done < r->wanted && !r->differs && c->phase == MG_PHASE_REPEATING ? MG_AGAIN_WAITING : MG_AGAIN_DONE;
  c->repeats_out--;
}

void mg_coord_repeated(mg_coordinator *c, const mg_entry_out *e, const mg_result *r) {
  size_t at = 0;
  for (uint32_t i = 0; i < r->count; i++) {
    mg_repeat *repeat = find(c, e->list[i]);
    mg_first again = {.case_number = e->list[i], .outcomes = {(mg_outcome)(r->outcomes[i] & 15), (mg_outcome)(r->outcomes[i] >> 4)}};
    for (; at < r->failed_count && r->failed[at].index == i; at++) again.masks[r->failed[at].role] = r->failed[at].mask;
    if (repeat != NULL && repeat->state == MG_AGAIN_OUT) compare_again(c, repeat, &again);
  }
  mg_coord_write_repeat(c, e->list, r->count);
  mg_entry_out *entry = mg_ledger_find(&c->ledger, e->seq);
  uint32_t rest = e->count - r->count;
  uint64_t *list = rest > 0 && r->count > 0 ? malloc(rest * sizeof *list) : NULL;
  if (list != NULL) {
    memcpy(list, e->list + r->count, rest * sizeof *list);
    mg_entry_out *more = mg_ledger_add(&c->ledger, MG_TASK_REPEAT, 0, rest, list);
    if (more != NULL) {
      mg_coord_send(c, more);
      rest = 0;
    } else {
      free(list);
    }
  }
  if (e->attempt > 1) mg_coord_cancel(c, e);
  if (rest > 0) mg_coord_repeats_lost(c, e, r->count);
  mg_ledger_remove(&c->ledger, entry);
  c->tasks_done++;
  settled(c);
}

void mg_coord_repeats_lost(mg_coordinator *c, const mg_entry_out *e, uint32_t from) {
  for (uint32_t i = from; i < e->count; i++) {
    mg_repeat *r = find(c, e->list[i]);
    if (r == NULL || r->state != MG_AGAIN_OUT) continue;
    r->state = MG_AGAIN_GIVEN_UP;
    c->repeats_out--;
  }
  settled(c);
}
