#include "dispatch/verify.h"

#include "dispatch/case_set.h"
#include "wire/message.h"
#include <string.h>

typedef struct audit {
  mg_audit *a;
  mg_case_set recorded, lost, crashed;
} audit;

static mg_err add(mg_case_set *s, uint64_t first, uint64_t count, uint64_t *added, mg_error *e) {
  return mg_case_set_add(s, first, count, added) ? MG_OK : mg_fail(e, MG_NOMEM, "memory ended");
}

/* How much of the range the plan has. */
static uint64_t within(const mg_audit *a, uint64_t first, uint64_t count) {
  uint64_t room = first < a->planned ? a->planned - first : 0;
  return count < room ? count : room;
}

static mg_err take_result(audit *u, const mg_record *r, mg_error *e) {
  mg_audit *a = u->a;
  mg_result result;
  mg_err err = mg_result_decode(&result, r->body, e);
  bool ours = err == MG_OK && strcmp(result.run, a->run) == 0;
  mg_result_fini(&result);
  for (size_t i = 0; i < r->range_count && err == MG_OK; i++) {
    uint64_t count = ours ? within(a, r->ranges[i].first, r->ranges[i].count) : 0, added = 0;
    err = add(&u->recorded, r->ranges[i].first, count, &added, e);
    a->unexpected += r->ranges[i].count - count;
    a->duplicated += count - added;
  }
  return err;
}

static mg_err take(void *owner, const mg_record *r, mg_error *e) {
  audit *u = owner;
  uint64_t ignored = 0, count;
  switch (r->kind) {
  case MG_RECORD_RESULT: return take_result(u, r, e);
  case MG_RECORD_LOST:
    count = within(u->a, r->first, r->count);
    u->a->unexpected += r->count - count;
    return add(r->flag ? &u->crashed : &u->lost, r->first, count, &ignored, e);
  case MG_RECORD_COUNTS:
    u->a->recovered = r->count_count > 4 ? r->counts[4] : 0;
    u->a->dropped = r->count_count > 5 ? r->counts[5] : 0;
    return MG_OK;
  default: return MG_OK;
  }
}

/* What of `s` is in neither of the others. */
static uint64_t alone(const mg_case_set *s, const mg_case_set *a, const mg_case_set *b, uint64_t planned) {
  uint64_t n = 0, first, count;
  for (uint64_t at = 0; mg_case_set_gap(a, at, planned, &first, &count); at = first + count) {
    for (uint64_t k = first; k < first + count; k++) n += mg_case_set_has(s, k) && (b == NULL || !mg_case_set_has(b, k));
  }
  return n;
}

mg_err mg_audit_read(mg_audit *a, mg_runfile *f, mg_error *e) {
  audit u = {.a = a};
  mg_err err = mg_runfile_read(f, take, &u, e);
  if (err == MG_OK) {
    a->recorded = u.recorded.count;
    bool any = u.lost.count > 0 || u.crashed.count > 0;
    a->lost = any ? alone(&u.lost, &u.recorded, NULL, a->planned) : 0;
    a->crashed = any ? alone(&u.crashed, &u.recorded, &u.lost, a->planned) : 0;
    a->missing = a->planned - a->recorded - a->lost - a->crashed;
  }
  mg_case_set_fini(&u.recorded);
  mg_case_set_fini(&u.lost);
  mg_case_set_fini(&u.crashed);
  return err;
}

/* --- the digest --- */

typedef struct sum {
  mg_digester *digester;
  mg_digest *out;
  mg_case_set recorded; /* so far */
  bool has_baseline;
  uint64_t limit;
} sum;

static mg_err sum_result(sum *s, const mg_record *r, mg_error *e) {
  mg_result result;
  mg_err err = mg_result_decode(&result, r->body, e);
  size_t at = 0;
  uint64_t added = 0;
  for (size_t i = 0; err == MG_OK && i < r->range_count; i++) {
    const mg_case_range *range = &r->ranges[i];
    if (range->first < r->first || range->first - r->first > result.count || range->count > result.count - (range->first - r->first))
      err = mg_fail(e, MG_FATAL, "cases that are not in their result");
    for (uint64_t k = range->first; err == MG_OK && k < range->first + range->count && k < s->limit; k++) {
      uint32_t index = (uint32_t)(k - r->first);
      mg_clause_mask masks[MG_ROLES] = {0};
      while (at < result.failed_count && result.failed[at].index < index) at++;
      for (; at < result.failed_count && result.failed[at].index == index; at++) masks[result.failed[at].role] = result.failed[at].mask;
      mg_digester_add(s->digester, s->out, k, MG_BASELINE, (mg_outcome)(result.outcomes[index] & 15), masks[MG_BASELINE]);
      mg_digester_add(s->digester, s->out, k, MG_CANDIDATE, (mg_outcome)(result.outcomes[index] >> 4), masks[MG_CANDIDATE]);
    }
    if (err == MG_OK) err = add(&s->recorded, range->first, range->count, &added, e);
  }
  mg_result_fini(&result);
  return err;
}

static mg_err sum_record(void *owner, const mg_record *r, mg_error *e) { return r->kind == MG_RECORD_RESULT ? sum_result(owner, r, e) : MG_OK; }

/* Once all results are known. */
static mg_err sum_lost(void *owner, const mg_record *r, mg_error *e) {
  sum *s = owner;
  uint64_t added = 0;
  if (r->kind != MG_RECORD_LOST) return MG_OK;
  for (uint64_t k = r->first; k < r->first + r->count && k < s->limit; k++) {
    if (mg_case_set_has(&s->recorded, k)) continue;
    mg_outcome baseline = !s->has_baseline ? MG_ABSENT : r->flag ? MG_PASS : MG_CASE_LOST;
    mg_digester_add(s->digester, s->out, k, MG_BASELINE, baseline, 0);
    mg_digester_add(s->digester, s->out, k, MG_CANDIDATE, r->flag ? MG_CRASH : MG_CASE_LOST, r->flag ? MG_COMPLETES : 0);
  }
  return add(&s->recorded, r->first, r->count, &added, e);
}

mg_err mg_audit_digest(const mg_audit *a, mg_runfile *f, const char *const *names, int name_count, bool has_baseline, uint64_t limit, mg_digest *out,
                       mg_error *e) {
  *out = (mg_digest){0};
  sum s = {.digester = mg_digester_new(names, name_count), .out = out, .has_baseline = has_baseline, .limit = limit < a->planned ? limit : a->planned};
  mg_err err = s.digester == NULL ? mg_fail(e, MG_NOMEM, "memory ended") : mg_runfile_read(f, sum_record, &s, e);
  if (err == MG_OK && (a->lost > 0 || a->crashed > 0)) err = mg_runfile_read(f, sum_lost, &s, e);
  mg_digester_free(s.digester);
  mg_case_set_fini(&s.recorded);
  return err;
}
