/* What comes in: every case is counted once, by the first answer that has it. */
#include "dispatch/coordinator_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- is it a result of this run at all? --- */

static bool outcome_ok(unsigned o) { return o <= MG_DISCARD; }

/* What a worker may say; lost and unrun are the coordinator's words. */
static const char *fault_of(const mg_coordinator *c, const mg_result *r) {
  mg_clause_mask known = c->plan->clause_count >= 64 ? UINT64_MAX : ((mg_clause_mask)1 << c->plan->clause_count) - 1;
  bool baseline = c->plan->baseline != NULL;
  for (uint32_t i = 0; i < r->count; i++) {
    if (i > 0 && r->outcomes[i] == r->outcomes[i - 1]) continue;
    unsigned b = r->outcomes[i] & 15, k = r->outcomes[i] >> 4;
    if (!outcome_ok(k) || (baseline ? !outcome_ok(b) : b != MG_ABSENT)) return "outcomes that no executor gives";
  }
  for (size_t i = 0; i < r->failed_count; i++) {
    if ((r->failed[i].mask & ~known) != 0) return "clauses that the checks do not have";
    if (r->failed[i].role == MG_BASELINE && !baseline) return "a baseline where there is none";
  }
  if (r->measures != NULL && r->measures->count > 0 && r->measures->count != c->plan->columns) return "measures that the plan does not ask for";
  return NULL;
}

/* --- counting --- */

static void keep_sample(mg_coordinator *c, const mg_first *f) {
  for (size_t i = 0; i < c->sample_count; i++) {
    if (c->sample[i].case_number != f->case_number || c->sampled[i]) continue;
    c->sample[i] = *f;
    c->sampled[i] = true;
  }
}

static bool sample_within(const mg_coordinator *c, uint64_t first, uint64_t count) {
  for (size_t i = 0; i < c->sample_count; i++) {
    if (c->sample[i].case_number - first < count) return true;
  }
  return false;
}

mg_first mg_coord_case_of(const mg_result *r, uint64_t first, uint32_t i, size_t *at) {
  mg_first f = {.case_number = first + i, .outcomes = {(mg_outcome)(r->outcomes[i] & 15), (mg_outcome)(r->outcomes[i] >> 4)}};
  while (*at < r->failed_count && r->failed[*at].index < i) ++*at;
  for (; *at < r->failed_count && r->failed[*at].index == i; ++*at) f.masks[r->failed[*at].role] = r->failed[*at].mask;
  return f;
}

static void count_case(mg_coordinator *c, mg_part *part, const mg_result *r, const mg_first *f, uint32_t i) {
  mg_tally_add(&part->tally, f->outcomes[MG_BASELINE], f->outcomes[MG_CANDIDATE], f->masks[MG_BASELINE], f->masks[MG_CANDIDATE]);
  if ((f->masks[MG_BASELINE] | f->masks[MG_CANDIDATE]) == 0) return;
  mg_violations_add(&c->violations, f, i, r->violations, r->violation_count);
  if (c->plan->fail_fast && mg_violations_deciding(&c->violations, f) != 0) mg_coord_fail_fast(c, f);
}

static void digest_case(mg_coordinator *c, mg_digest *sum, const mg_first *f) {
  mg_digester_add(c->digester, sum, f->case_number, MG_BASELINE, f->outcomes[MG_BASELINE], f->masks[MG_BASELINE]);
  mg_digester_add(c->digester, sum, f->case_number, MG_CANDIDATE, f->outcomes[MG_CANDIDATE], f->masks[MG_CANDIDATE]);
}

static mg_digest digest_of(mg_coordinator *c, uint64_t first, const mg_result *r) {
  mg_digest sum = {0};
  size_t at = 0;
  if (r->has_digest) return r->digest;
  for (uint32_t i = 0; i < r->count; i++) {
    mg_first f = mg_coord_case_of(r, first, i, &at);
    digest_case(c, &sum, &f);
  }
  return sum;
}

/* All of it is new: stretches of cases without a failed clause are counted as one. */
static void count_whole(mg_coordinator *c, mg_part *part, uint64_t first, const mg_result *r) {
  size_t at = 0;
  bool sample = sample_within(c, first, r->count);
  mg_digest sum = digest_of(c, first, r);
  mg_digest_add(&part->digest, &sum);
  for (uint32_t i = 0; i < r->count;) {
    uint32_t next = at < r->failed_count ? r->failed[at].index : r->count, end = i + 1;
    if (next > i && !sample) {
      while (end < next && r->outcomes[end] == r->outcomes[i]) end++;
      mg_tally_add_run(&part->tally, (mg_outcome)(r->outcomes[i] & 15), (mg_outcome)(r->outcomes[i] >> 4), end - i);
    } else {
      mg_first f = mg_coord_case_of(r, first, i, &at);
      if (sample) keep_sample(c, &f);
      count_case(c, part, r, &f, i);
    }
    i = end;
  }
}

/* Part of it was counted before: case by case, and the digest of the new ones alone. */
static void count_new(mg_coordinator *c, mg_part *part, uint64_t first, const mg_result *r) {
  size_t at = 0;
  for (uint32_t i = 0; i < r->count; i++) {
    mg_first f = mg_coord_case_of(r, first, i, &at);
    if (mg_case_set_has(&c->counted, first + i)) continue;
    keep_sample(c, &f);
    digest_case(c, &part->digest, &f);
    count_case(c, part, r, &f, i);
  }
}

static void write_outcomes(mg_coordinator *c, uint64_t first, const mg_result *r, bool whole) {
  mg_error e = {0};
  mg_err err = MG_OK;
  if (c->csv == NULL) return;
  if (whole) {
    err = mg_outcomes_csv_put(c->csv, first, r->count, r->outcomes, r->failed, r->failed_count, &e);
  } else {
    size_t at = 0;
    for (uint32_t i = 0; i < r->count && err == MG_OK; i++) {
      mg_first f = mg_coord_case_of(r, first, i, &at);
      if (mg_case_set_has(&c->counted, first + i)) continue;
      mg_failed failed[MG_ROLES];
      size_t n = 0;
      for (int role = 0; role < MG_ROLES; role++) {
        if (f.masks[role] != 0) failed[n++] = (mg_failed){.role = (mg_role)role, .mask = f.masks[role]};
      }
      err = mg_outcomes_csv_put(c->csv, first + i, 1, &r->outcomes[i], failed, n, &e);
    }
  }
  if (err != MG_OK) mg_coord_fail(c, e.text);
}

int mg_coord_label(mg_coordinator *c, mg_slice name) {
  for (int i = 0; i < c->label_count; i++) {
    if (strlen(c->label_names[i]) == name.len && memcmp(c->label_names[i], name.data, name.len) == 0) return i;
  }
  char *copy = c->label_count == MG_MAX_LABELS ? NULL : strndup((const char *)name.data, name.len);
  if (copy == NULL) return -1;
  c->label_names[c->label_count] = copy;
  return c->label_count++;
}

static void count_labels(mg_coordinator *c, mg_part *part, const mg_result *r) {
  for (size_t k = 0; k < r->label_count; k++) {
    int i = mg_coord_label(c, r->labels[k].name);
    if (i >= 0) part->labels[i] += r->labels[k].count;
  }
}

static void count_measures(mg_coordinator *c, mg_part *part, uint64_t first, const mg_measures *more) {
  mg_error e;
  mg_err err = part->measures != NULL ? MG_OK : mg_measures_new(&part->measures, c->plan->columns, &e);
  if (err == MG_OK) err = mg_measures_merge(part->measures, more, true, (uint64_t)c->plan->seed, first, &e);
  if (err != MG_OK) mg_coord_fail(c, e.text);
}

static void sample_flaky(mg_coordinator *c, uint64_t first, const mg_result *r) {
  size_t at = 0;
  for (uint32_t i = 0; i < r->count; i++) {
    mg_first f = mg_coord_case_of(r, first, i, &at);
    if (!mg_case_set_has(&c->counted, first + i)) mg_coord_keep_flaky(c, &f);
  }
}

/* Counts what of the answer is new; true where all of it was. */
static bool count(mg_coordinator *c, uint64_t first, const mg_result *r) {
  uint64_t before = mg_case_set_within(&c->counted, first, r->count), added = 0;
  if (r->count == 0) return true;
  if (before == r->count) return false;
  /* Its labels and measures are those of all its cases, known and new together: what is new goes out again, so that each is counted once. */
  if (before > 0 && (r->label_count > 0 || r->measures != NULL)) return false;
  mg_part *part = mg_coord_part(c, first);
  if (part == NULL) {
    mg_coord_fail(c, "no memory for the counts between two looks");
    return false;
  }
  write_outcomes(c, first, r, before == 0);
  if (before == 0)
    count_whole(c, part, first, r);
  else
    count_new(c, part, first, r);
  if (before == 0) count_labels(c, part, r);
  if (before == 0 && r->measures != NULL) count_measures(c, part, first, r->measures);
  if (c->flaky_below > 0) sample_flaky(c, first, r);
  mg_coord_write_result(c, first, r->count);
  if (!mg_case_set_add(&c->counted, first, r->count, &added)) mg_coord_fail(c, "no memory for the set of counted cases");
  return before == 0;
}

/* --- an answer and its task --- */

static void refused(mg_coordinator *c, mg_entry_out *e, const mg_result *r) {
  int w = mg_breaker_find(&c->breaker, r->worker);
  if (e != NULL) {
    e->refused = true;
    e->sign_ms = mg_now_ms();
  }
  if (w >= 0 && c->breaker.seen[w].refused) return;
  if (w >= 0) c->breaker.seen[w].refused = true;
  char theirs[65], ours[65];
  for (int i = 0; i < 32; i++) {
    (void)snprintf(theirs + 2 * i, 3, "%02x", r->worker_fingerprint[i]);
    (void)snprintf(ours + 2 * i, 3, "%02x", c->plan->fingerprint[i]);
  }
  mg_coord_log(c, MG_SAY_NOTE, MG_LOG_WARN, "worker_refused",
               MG_FIELDS(MG_LT("worker_id", r->worker), MG_LT("worker_fingerprint", theirs), MG_LT("run_fingerprint", ours)),
               "worker %s cannot run the tasks: %.*s (its files have the fingerprint %s, those of the run %s)", r->worker,
               (int)(r->refused.len < 200 ? r->refused.len : 200), (const char *)r->refused.data, theirs, ours);
}

static void seen_answering(mg_coordinator *c, const mg_result *r) {
  int w = mg_breaker_find(&c->breaker, r->worker);
  c->able_ms = c->idle_ms = mg_now_ms();
  if (w < 0) {
    if (c->answering == 0) c->answering = 1;
    return;
  }
  c->breaker.seen[w].tasks_done++;
  c->breaker.seen[w].cases_done += r->count;
  c->breaker.seen[w].refused = false;
}

/* A second answer to what was answered once. */
static void compare(mg_coordinator *c, const mg_answered *a, const mg_result *r) {
  if (a == NULL || !a->compare || a->count != r->count) return;
  mg_digest again = digest_of(c, a->first, r);
  if (again.low == a->digest.low && again.high == a->digest.high) return;
  mg_coord_note(c, "flaky_repeat", "cases %" PRIu64 " to %" PRIu64 " came out differently when they were delivered twice: their outcomes are not stable",
                a->first, a->first + a->count - 1);
}

static void say_completed(mg_coordinator *c, const mg_entry_out *e, const mg_result *r) {
  char id[MG_TASK_MAX + 1];
  mg_ms took = e->sent_ms > 0 ? mg_now_ms() - e->sent_ms : 0;
  mg_task_id_make(id, e->epoch, e->seq);
  mg_coord_log(c, MG_SAY_ROUTINE, MG_LOG_INFO, "queue_completed",
               MG_FIELDS(MG_LT("task_id", id), MG_LR("duration", (double)took / 1000), MG_LI("duration_ms", took), MG_LI("cases", r->count),
                         MG_LI("busy_ms", r->busy_ns / 1000000), MG_LT("worker_id", r->worker)),
               "task %s, %u cases in %" PRId64 " ms", id, r->count, took);
}

static void answer_entry(mg_coordinator *c, mg_entry_out *e, const mg_result *r) {
  uint64_t first = e->first;
  if (r->count == 0) {
    mg_coord_vanished(c, e, true, false, "its worker answered without a single case");
    return;
  }
  bool paired = e->copy != 0 || e->original != 0;
  mg_entry_out *other = paired ? mg_ledger_find(&c->ledger, e->copy != 0 ? e->copy : e->original) : NULL;
  if (e->published) {
    double elapsed = (double)(mg_now_ms() - e->sent_ms) / 1000;
    mg_batching_observe(&c->batching, r->count, (double)r->busy_ns / 1e9, elapsed);
    mg_timing_add(&c->task_seconds, elapsed, 1);
    if (r->busy_ns > 0) mg_timing_add(&c->case_seconds, (double)r->busy_ns / 1e9 / r->count, r->count);
  }
  say_completed(c, e, r);
  e->answerer = mg_breaker_find(&c->breaker, r->worker);
  mg_coord_taken(c, e);
  bool fresh = count(c, first, r);
  if (!fresh) c->repeats_dropped++;
  if (!mg_coord_live(c)) return;
  if (mg_case_set_within(&c->counted, first, e->count) < e->count) {
    mg_coord_rest(c, e);
    return;
  }
  c->tasks_done++;
  bool whole = fresh && r->count == e->count;
  mg_digest sum = whole ? digest_of(c, first, r) : (mg_digest){0};
  mg_coord_trace_end(c, e, r->worker, NULL);
  if (e->attempt > 1) mg_coord_cancel(c, e); /* an earlier or later attempt may still wait */
  mg_ledger_answer(&c->ledger, e, whole ? &sum : NULL);
  if (other == NULL) return;
  mg_coord_cancel(c, other);
  mg_coord_trace_end(c, other, NULL, NULL);
  mg_ledger_answer(&c->ledger, other, whole ? &sum : NULL);
}

static void late_answer(mg_coordinator *c, uint32_t epoch, uint64_t seq, const mg_result *r) {
  if (c->stopped) return; /* beyond the prefix that decided */
  const mg_answered *a = mg_ledger_answered(&c->ledger, epoch, seq);
  uint64_t before = c->counted.count;
  if (a != NULL && r->count <= a->count && a->count > 0) {
    mg_answered known = *a;
    if (!count(c, known.first, r)) compare(c, &known, r);
  }
  if (c->counted.count == before)
    c->repeats_dropped++;
  else
    c->swept = true;
}

static void take(mg_coordinator *c, const mg_result *r) {
  uint32_t epoch;
  uint64_t seq;
  const char *bad = NULL;
  if (strcmp(r->run, c->run) != 0 || !mg_task_id_parse(r->id, &epoch, &seq)) bad = "a run or task that is not ours";
  if (bad == NULL) bad = fault_of(c, r);
  mg_entry_out *e = bad != NULL ? NULL : mg_coord_entry(c, epoch, seq);
  c->arriving_seq = bad != NULL ? 0 : seq;
  if (e != NULL && r->count > e->count) bad = "more cases than its task has";
  if (bad != NULL) {
    if (mg_coord_bad(c)) {
      mg_coord_log(c, MG_SAY_EVENT, MG_LOG_WARN, "result_dropped", MG_FIELDS(MG_LT("worker_id", r->worker), MG_LT("reason", bad)),
                   "a result of worker %s was dropped: it names %s", r->worker, bad);
    }
    return;
  }
  if (r->refused.len > 0) {
    refused(c, e, r);
    return;
  }
  seen_answering(c, r);
  if (r->fault.len > 0) {
    mg_coord_fault(c, "%.*s", (int)(r->fault.len < 400 ? r->fault.len : 400), (const char *)r->fault.data);
    return;
  }
  if (e == NULL)
    late_answer(c, epoch, seq, r);
  else if (e->kind == MG_TASK_REPEAT) {
    mg_coord_trace_end(c, e, r->worker, NULL);
    mg_coord_repeated(c, e, r);
  } else
    answer_entry(c, e, r);
}

mg_err mg_coord_recount(mg_coordinator *c, const mg_record *record, mg_error *e) {
  mg_result r;
  uint64_t before = c->counted.count, said = 0;
  mg_err err = mg_result_decode(&r, record->body, e);
  if (err == MG_OK && (strcmp(r.run, c->run) != 0 || fault_of(c, &r) != NULL || record->first >= c->planned || r.count > c->planned - record->first))
    err = mg_fail(e, MG_FATAL, "a result that is not of this run");
  for (size_t i = 0; err == MG_OK && i < record->range_count; i++) {
    const mg_case_range *a = &record->ranges[i];
    said += a->count;
    if (a->first < record->first || a->first - record->first > r.count || a->count > r.count - (a->first - record->first))
      err = mg_fail(e, MG_FATAL, "cases %" PRIu64 " and on, which are not in their result", a->first);
    else if (mg_case_set_within(&c->counted, a->first, a->count) > 0)
      err = mg_fail(e, MG_FATAL, "cases from %" PRIu64 " to %" PRIu64 " a second time", a->first, a->first + a->count - 1);
  }
  if (err == MG_OK) (void)count(c, record->first, &r);
  if (err == MG_OK && c->counted.count - before != said)
    err = mg_fail(e, MG_FATAL, "%" PRIu64 " new cases where %" PRIu64 " are named", c->counted.count - before, said);
  mg_result_fini(&r);
  return err;
}

void mg_coord_result(mg_coordinator *c, uint64_t token, mg_slice body) {
  mg_result r;
  mg_error e = {0};
  if (mg_coord_live(c)) {
    c->arriving = body;
    if (mg_result_decode(&r, body, &e) == MG_OK) {
      take(c, &r);
    } else if (mg_coord_bad(c)) {
      mg_coord_log(c, MG_SAY_EVENT, MG_LOG_WARN, "result_dropped", MG_FIELDS(MG_LT("worker_id", NULL), MG_LT("reason", e.text)), "a result was dropped: %s",
                   e.text);
    }
    mg_result_fini(&r);
  }
  mg_coord_settle(c, token);
}
