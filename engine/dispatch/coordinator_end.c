/* How a run ends, and what it came to. */
#include "dispatch/coordinator_internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLOSE_MS = 5000, CONTROL_TTL_MS = 600000 };

/* --- the last counts --- */

static void count_lost(mg_coordinator *c, uint64_t case_number, bool candidate_ran) {
  static const char said[] = "its worker died each time the candidate ran this case";
  bool baseline = c->plan->baseline != NULL;
  mg_outcome lost = candidate_ran ? MG_CRASH : MG_CASE_LOST;
  mg_first f = {.case_number = case_number, .outcomes = {baseline ? (candidate_ran ? MG_PASS : MG_CASE_LOST) : MG_ABSENT, lost}};
  if (candidate_ran) f.masks[MG_CANDIDATE] = MG_COMPLETES;
  mg_tally_add(&c->lost_tally, f.outcomes[MG_BASELINE], f.outcomes[MG_CANDIDATE], 0, f.masks[MG_CANDIDATE]);
  for (int r = 0; r < MG_ROLES; r++) mg_digester_add(c->digester, &c->total.digest, case_number, (mg_role)r, f.outcomes[r], f.masks[r]);
  if (candidate_ran) { /* several workers saw it: that is its repetition */
    mg_violation text = {.role = MG_CANDIDATE, .clause = 0, .message = mg_slice_of(said)};
    mg_violations_add(&c->violations, &f, 0, &text, 1);
    mg_violations_repeated(&c->violations, case_number, MG_COMPLETES);
  }
  if (c->csv == NULL) return;
  uint8_t both = (uint8_t)(f.outcomes[MG_BASELINE] | f.outcomes[MG_CANDIDATE] << 4);
  mg_failed failed = {.role = MG_CANDIDATE, .mask = MG_COMPLETES};
  mg_error e = {0};
  if (mg_outcomes_csv_put(c->csv, case_number, 1, &both, &failed, candidate_ran ? 1 : 0, &e) != MG_OK && c->failed == NULL) c->failed = strdup(e.text);
}

static uint64_t row_sum(const mg_tally *t, mg_role r) {
  uint64_t sum = 0;
  for (int o = 0; o < MG_OUTCOMES; o++) sum += t->outcomes[r][o];
  return sum;
}

/* planned = the sum of the outcomes, or there is no report. */
static void check_sum(mg_coordinator *c) {
  const mg_tally *t = &c->final_tally;
  bool ok = t->cases == c->planned && row_sum(t, MG_CANDIDATE) == c->planned && c->total.tally.cases <= c->counted.count;
  if (c->plan->baseline != NULL) ok = ok && row_sum(t, MG_BASELINE) == c->planned;
  if (ok || c->failed != NULL) return;
  char text[200];
  (void)snprintf(text, sizeof text, "the outcomes of %" PRIu64 " cases do not add up to the %" PRIu64 " planned; this is a fault of mguard", t->cases,
                 c->planned);
  c->failed = strdup(text);
}

void mg_coord_settle_lost(mg_coordinator *c, uint64_t before) {
  for (size_t i = 0; i < c->lost_count; i++) {
    uint64_t first, count, added, end = c->lost[i].first + c->lost[i].count;
    if (end > before) end = before;
    for (uint64_t at = c->lost[i].first; at < end && mg_case_set_gap(&c->counted, at, end, &first, &count); at = first + count) {
      for (uint64_t k = 0; k < count; k++) count_lost(c, first + k, c->lost[i].candidate_ran);
      added = 0;
      (void)mg_case_set_add(&c->counted, first, count, &added);
    }
  }
}

/* Of what lies beyond the look that ended the run only violations that decide are told: how far others came is chance. */
static void drop_beyond(mg_coordinator *c) {
  size_t n = 0;
  for (size_t i = 0; i < c->listed_count; i++) {
    if (c->listed[i].case_number < c->looked || mg_violation_decides(&c->violations, &c->listed[i])) c->listed[n++] = c->listed[i];
  }
  c->listed_count = n;
}

static void sum_up(mg_coordinator *c) {
  mg_coord_merge_parts(c);
  mg_coord_settle_lost(c, c->stopped ? c->looked : c->planned);
  c->final_tally = c->total.tally;
  mg_tally_merge(&c->final_tally, &c->lost_tally);
  if (c->csv != NULL && c->stopped) mg_outcomes_csv_limit(c->csv, c->looked);
  uint64_t unrun = c->planned - c->final_tally.cases;
  if (unrun > 0) mg_tally_add_run(&c->final_tally, c->plan->baseline != NULL ? MG_UNRUN : MG_ABSENT, MG_UNRUN, unrun);
  check_sum(c);
  c->listed = mg_violations_list(&c->violations, &c->listed_count);
  if (c->stopped) drop_beyond(c);
  mg_error e = {0};
  if (c->csv != NULL && c->failed == NULL && mg_outcomes_csv_write(c->csv, &e) != MG_OK) c->failed = strdup(e.text);
}

static void close_run(mg_coordinator *c, mg_ms within_ms) {
  if (mg_coord_resumable(c)) {
    c->close_by = mg_now_ms();
    mg_link_stop(c->link, c->close_by);
    return;
  }
  mg_control control = {.kind = c->interrupted ? MG_RUN_CANCELLED : MG_RUN_CLOSED, .epoch = c->epoch};
  memcpy(control.subject, c->run, sizeof c->run);
  mg_link_control(c->link, &control, CONTROL_TTL_MS);
  mg_link_purge_run(c->link, c->run);
  c->close_by = mg_now_ms() + within_ms;
  mg_link_stop(c->link, c->close_by);
}

void mg_coord_over(mg_coordinator *c) {
  if (!mg_coord_live(c)) return;
  c->phase = MG_PHASE_CLOSING;
  c->ended_ms = mg_now_ms();
  mg_coord_trace_over(c);
  mg_coord_journal_end(c);
  sum_up(c);
  close_run(c, c->connected ? CLOSE_MS : 0);
}

void mg_coord_fail(mg_coordinator *c, const char *failed) {
  if (!mg_coord_live(c)) return;
  if (c->replaying) { /* there is no link yet */
    if (c->failed == NULL) c->failed = strdup(failed);
    return;
  }
  c->phase = MG_PHASE_CLOSING;
  c->ended_ms = mg_now_ms();
  free(c->failed);
  c->failed = strdup(failed);
  mg_coord_trace_over(c);
  sum_up(c);
  close_run(c, 0);
}

void mg_coord_fault(mg_coordinator *c, const char *format, ...) {
  char text[500];
  va_list ap;
  if (!mg_coord_live(c)) return;
  va_start(ap, format);
  (void)vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  free(c->fault);
  c->fault = strdup(text);
  mg_coord_over(c);
}

void mg_coord_finish(mg_coordinator *c) {
  if (c->phase == MG_PHASE_OVER) return;
  if (mg_coord_live(c)) { /* the link stopped by itself */
    mg_coord_fail(c, "the link to the broker ended");
  }
  c->phase = MG_PHASE_OVER;
  (void)uv_timer_stop(&c->timer);
  mg_coord_log(c, MG_SAY_EVENT, MG_LOG_INFO, "run_eval_complete",
               MG_FIELDS(MG_LI("cases", c->planned), MG_LI("counted", mg_coord_counted(c)), MG_LI("duration_ms", c->ended_ms - c->started_ms),
                         MG_LI("requeued_tasks", c->requeued_tasks), MG_LI("repeats_dropped", c->repeats_dropped), MG_LI("dead_lettered", c->dead_lettered),
                         MG_LB("interrupted", c->interrupted), MG_LT("failed", c->failed)),
               "%" PRIu64 " of %" PRIu64 " cases counted", mg_coord_counted(c), c->planned);
  c->config.ended(c->config.owner, c->failed);
}

/* --- reading --- */

static double cases_per_second(const mg_coordinator *c) {
  size_t oldest = c->rate_at >= MG_RATE_SAMPLES ? c->rate_at - MG_RATE_SAMPLES : 0;
  if (c->rate_at == 0) return 0;
  mg_ms span = mg_now_ms() - c->rate[oldest % MG_RATE_SAMPLES].at;
  return span <= 0 ? 0 : 1000.0 * (double)(mg_coord_counted(c) - c->rate[oldest % MG_RATE_SAMPLES].counted) / (double)span;
}

/* Tasks of this run that live workers hold; a beat may name some that were answered since. */
static uint64_t held_tasks(const mg_coordinator *c) {
  uint64_t n = 0;
  for (size_t i = 0; i < c->breaker.count; i++) {
    const mg_peer *p = &c->breaker.peers[i];
    if (!mg_breaker_is_alive(&c->breaker, (int)i)) continue;
    for (size_t k = 0; k < p->task_count; k++) n += strcmp(p->tasks[k].run, c->run) == 0;
  }
  return n < c->ledger.count ? n : c->ledger.count;
}

static int by_name(const void *a, const void *b) { return strcmp(((const mg_label_count *)a)->name, ((const mg_label_count *)b)->name); }

void mg_coordinator_read(const mg_coordinator *c, mg_run_state *out) {
  bool live = mg_coord_live(c);
  *out = (mg_run_state){.run = c->run,
                        .planned = c->planned,
                        .counted = mg_coord_counted(c),
                        .outstanding_cases = c->ledger.cases,
                        .dispatched_cases = c->dispatched_cases,
                        .started_ms = c->started_ms,
                        .now_ms = live ? mg_now_ms() : c->ended_ms,
                        .cases_per_second = cases_per_second(c),
                        .tally = live ? &c->total.tally : &c->final_tally,
                        .digest = c->total.digest,
                        .measures = c->total.measures,
                        .violations = c->listed,
                        .violation_count = c->listed_count,
                        .repeated_cases = c->repeated_cases,
                        .different = c->different,
                        .different_count = c->different_count,
                        .flaky = mg_coord_flaky(c),
                        .workers = c->breaker.seen,
                        .worker_count = c->breaker.count,
                        .tasks_published = c->tasks_published,
                        .tasks_done = c->tasks_done,
                        .requeued_tasks = c->requeued_tasks,
                        .requeued_cases = c->requeued_cases,
                        .repeats_dropped = c->repeats_dropped,
                        .dead_lettered = c->dead_lettered,
                        .bad_messages = c->bad_messages,
                        .hedges = c->hedges,
                        .outstanding_tasks = c->ledger.count,
                        .held_tasks = held_tasks(c),
                        .unsent_cases = live ? c->planned - c->next_case : 0,
                        .batch = c->batching.batch,
                        .active_workers = (uint32_t)mg_breaker_alive(&c->breaker),
                        .workers_lost = c->workers_lost,
                        .workers_recovered = c->workers_recovered,
                        .oldest_ms = c->ledger.oldest != NULL ? c->ledger.oldest->first_ms : 0,
                        .task_seconds = &c->task_seconds,
                        .case_seconds = &c->case_seconds,
                        .reconnects = c->reconnects + mg_link_reconnects(c->link),
                        .connected = c->connected,
                        .notes = (const char *const *)c->notes,
                        .note_count = c->note_count};
  if (c->journal != NULL) {
    mg_journal_lag lag;
    mg_journal_lag_of(c->journal, &lag);
    out->journal_waiting = lag.unwritten_records;
    out->journal_oldest_ms = lag.oldest_ms;
    out->journal_commit_seconds = lag.last_commit_seconds;
  }
  for (int i = 0; i < c->label_count; i++) {
    if (c->total.labels[i] > 0) out->labels[out->label_count++] = (mg_label_count){c->label_names[i], c->total.labels[i]};
  }
  qsort(out->labels, (size_t)out->label_count, sizeof *out->labels, by_name);
}

void mg_coordinator_read_link(const mg_coordinator *c, mg_link_stats *out) { mg_link_read_stats(c->link, out); }

void mg_coordinator_judge(const mg_coordinator *c, mg_judgement *out) {
  uint32_t reproduced[MG_MAX_CLAUSES + 1], vanished[MG_MAX_CLAUSES + 1], beyond[MG_MAX_CLAUSES + 1];
  uint64_t different = 0;
  mg_reruns flaky = mg_coord_flaky(c);
  mg_violations_tell(&c->violations, reproduced, vanished);
  mg_violations_beyond(&c->violations, c->stopped ? c->looked : UINT64_MAX, beyond);
  for (size_t i = 0; i < c->repeat_count; i++) different += c->repeats[i].differs && (!c->stopped || c->repeats[i].first.case_number < c->looked);
  mg_facts facts = {.clauses = c->plan->clauses,
                    .clause_count = c->plan->clause_count,
                    .has_baseline = c->plan->baseline != NULL,
                    .planned = c->planned,
                    .max_discard = c->plan->max_discard,
                    .reproduced = reproduced,
                    .vanished = vanished,
                    .fault = c->fault,
                    .no_worker = c->no_worker,
                    .repeat_different = different,
                    .interrupted = c->interrupted,
                    .timed_out = c->timed_out,
                    .flaky_reruns = flaky.reruns,
                    .flaky_cases = flaky.cases,
                    .flaky_different = flaky.different,
                    .flaky_limit = c->plan->flaky_limit,
                    .cover = c->plan->cover,
                    .labelled = c->total.labels,
                    .cover_count = c->plan->cover_count,
                    .measures = c->total.measures,
                    .views = c->plan->views,
                    .view_count = c->plan->view_count,
                    .clustered = c->plan->clustered,
                    .fairness_limit = c->plan->fairness_limit,
                    .seed = (uint64_t)c->plan->seed,
                    .correction = c->plan->corrects ? &c->plan->correction : NULL,
                    .stop = mg_coord_sequential(c) ? &c->plan->stop : NULL,
                    .stopped = c->stopped,
                    .looked = c->looked,
                    .answer = c->answer,
                    .beyond = beyond};
  mg_judge(out, &c->final_tally, &c->plan->goal, &facts);
}
