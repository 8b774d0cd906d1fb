#include "execute/pool_job.h"

#include <stdlib.h>
#include <string.h>

mg_err mg_job_new(mg_job **out, const mg_task *task, mg_slice bytes, void *owner, mg_error *e) {
  if (task->count < 1 || task->count > MG_SLOT_CASES) {
    return mg_fail(e, MG_ARG, "task %s has %u cases, 1 to %u are possible", task->id, task->count, MG_SLOT_CASES);
  }
  mg_job *j = calloc(1, sizeof *j);
  if (j == NULL) return mg_fail(e, MG_NOMEM, "no memory for task %s", task->id);
  j->task = *task;
  j->task.payload = (mg_slice){0};
  j->owner = owner;
  j->last_case = task->first;
  j->outcomes = malloc(task->count);
  mg_buf_put(&j->bytes, bytes.data, bytes.len);
  if (j->outcomes == NULL || j->bytes.failed) {
    mg_job_free(j);
    return mg_fail(e, MG_NOMEM, "no memory for task %s", task->id);
  }
  *out = j;
  return MG_OK;
}

void mg_job_free(mg_job *j) {
  if (j == NULL) return;
  free(j->outcomes);
  free(j->failed);
  free(j->violations);
  free(j->violation_at);
  free(j->labels);
  free(j->label_at);
  mg_case_values_fini(&j->values);
  mg_buf_fini(&j->bytes);
  mg_buf_fini(&j->text);
  mg_buf_fini(&j->fault);
  mg_buf_fini(&j->refused);
  free(j);
}

bool mg_job_goes_with(const mg_job *first, const mg_job *more) {
  const mg_task *a = &first->task, *b = &more->task;
  return a->care == MG_CARE_NONE && b->care == MG_CARE_NONE && more->done == 0 && more->half == 0 && a->kind == b->kind && a->measure == b->measure && a->case_timeout_ms == b->case_timeout_ms && a->memory_mb == b->memory_mb &&
         a->seed == b->seed && strcmp(a->run, b->run) == 0 && strcmp(a->baseline, b->baseline) == 0 && strcmp(a->candidate, b->candidate) == 0 &&
         memcmp(a->fingerprint, b->fingerprint, sizeof a->fingerprint) == 0;
}

/* Room for one more in two arrays side by side. */
static bool grow(void **items, size_t item_bytes, size_t **at, size_t count, size_t *cap) {
  if (count < *cap) return true;
  size_t more = *cap == 0 ? 8 : *cap * 2;
  void *p = realloc(*items, more * item_bytes);
  if (p == NULL) return false;
  *items = p;
  if (at != NULL) {
    size_t *q = realloc(*at, more * sizeof *q);
    if (q == NULL) return false;
    *at = q;
  }
  *cap = more;
  return true;
}

void mg_job_fail(mg_job *j, uint32_t index, mg_role role, mg_clause_mask mask) {
  if (mask == 0) return;
  mg_failed *last = j->failed_count > 0 ? &j->failed[j->failed_count - 1] : NULL;
  if (last != NULL && last->index == index && last->role == role) {
    last->mask |= mask;
    return;
  }
  if (last != NULL && last->index > index) return;
  if (!grow((void **)&j->failed, sizeof *j->failed, NULL, j->failed_count, &j->failed_cap)) return;
  j->failed[j->failed_count++] = (mg_failed){index, role, mask};
}

static void take_violation(mg_job *j, const mg_record *r, uint32_t index) {
  if (!grow((void **)&j->violations, sizeof *j->violations, &j->violation_at, j->violation_count, &j->violation_cap)) return;
  mg_violation *v = &j->violations[j->violation_count];
  *v = (mg_violation){.index = index, .case_number = r->case_number, .role = r->role, .clause = r->clause};
  v->message.len = r->text.len;
  v->input.len = r->values[0].len;
  v->output.len = r->values[1].len;
  v->input2.len = r->values[2].len;
  v->output2.len = r->values[3].len;
  j->violation_at[j->violation_count] = j->text.len;
  mg_buf_put(&j->text, r->text.data, r->text.len);
  for (int i = 0; i < 4; i++) mg_buf_put(&j->text, r->values[i].data, r->values[i].len);
  if (j->text.failed) return;
  j->violation_count++;
  if (r->clause == 0) j->completes_count[r->role]++;
}

static void take_label(mg_job *j, mg_slice name) {
  for (size_t i = 0; i < j->label_count; i++) {
    if (j->labels[i].name.len == name.len && memcmp(j->text.data + j->label_at[i], name.data, name.len) == 0) {
      j->labels[i].count++;
      return;
    }
  }
  if (!grow((void **)&j->labels, sizeof *j->labels, &j->label_at, j->label_count, &j->label_cap)) return;
  j->labels[j->label_count] = (mg_label){.name = {.len = name.len}, .count = 1};
  j->label_at[j->label_count] = j->text.len;
  mg_buf_put(&j->text, name.data, name.len);
  if (!j->text.failed) j->label_count++;
}

void mg_job_take(mg_job *j, const mg_record *r, uint32_t index) {
  switch (r->kind) {
  case MG_RECORD_FAILED: mg_job_fail(j, index, r->role, r->mask); break;
  case MG_RECORD_VIOLATION: take_violation(j, r, index); break;
  case MG_RECORD_LABEL:
    if (r->text.len > 0) take_label(j, r->text);
    break;
  case MG_RECORD_FAULT:
    mg_buf_clear(&j->fault);
    mg_buf_put(&j->fault, r->text.data, r->text.len);
    if (j->fault.len == 0) mg_buf_puts(&j->fault, "the checks are at fault");
    break;
  case MG_RECORD_TIME:
    j->role_ns[MG_BASELINE] += r->ns[MG_BASELINE];
    j->role_ns[MG_CANDIDATE] += r->ns[MG_CANDIDATE];
    break;
  case MG_RECORD_DIGEST:
    j->has_digest = !j->resumed && index == j->task.count - 1;
    j->digest = r->digest;
    break;
  case MG_RECORD_VALUES:
  case MG_RECORD_PLACE: mg_case_values_take(&j->values, r, index, j->task.count); break;
  }
}

static void point(mg_slice *s, const uint8_t **at) {
  s->data = s->len > 0 ? *at : NULL;
  *at += s->len;
}

void mg_job_result(mg_job *j, mg_result *r) {
  *r = (mg_result){.epoch = j->task.epoch, .attempt = j->task.attempt, .count = j->done};
  memcpy(r->run, j->task.run, sizeof r->run);
  memcpy(r->id, j->task.id, sizeof r->id);
  r->outcomes = j->outcomes;
  /* A fault may end the task in the middle of a case whose baseline had run. */
  while (j->failed_count > 0 && j->failed[j->failed_count - 1].index >= j->done) j->failed_count--;
  size_t kept = 0;
  for (size_t i = 0; i < j->violation_count; i++) {
    if (j->violations[i].index >= j->done) continue;
    mg_violation *v = &j->violations[kept];
    *v = j->violations[i];
    j->violation_at[kept++] = j->violation_at[i];
    const uint8_t *at = j->text.data + j->violation_at[i];
    point(&v->message, &at);
    point(&v->input, &at);
    point(&v->output, &at);
    point(&v->input2, &at);
    point(&v->output2, &at);
  }
  j->violation_count = kept;
  for (size_t i = 0; i < j->label_count; i++) j->labels[i].name.data = j->text.data + j->label_at[i];
  r->failed = j->failed;
  r->failed_count = j->failed_count;
  r->violations = j->violations;
  r->violation_count = j->violation_count;
  r->labels = j->labels;
  r->label_count = j->label_count;
  r->has_digest = j->has_digest && j->done == j->task.count;
  r->digest = j->digest;
  r->busy_ns = j->busy_ns;
  memcpy(r->role_ns, j->role_ns, sizeof r->role_ns);
  r->measures = mg_case_values_make(&j->values, j->outcomes, j->done);
  r->fault = mg_buf_slice(&j->fault);
  r->refused = mg_buf_slice(&j->refused);
}

/* --- bundles ------------------------------------------------------------------------------------------------------------- */

mg_bundle *mg_bundle_new(void) { return calloc(1, sizeof(mg_bundle)); }

void mg_bundle_free(mg_bundle *b) {
  if (b == NULL) return;
  free(b->jobs);
  free(b->base);
  free(b);
}

bool mg_bundle_add(mg_bundle *b, mg_job *j) {
  if (b->count == b->cap) {
    int cap = b->cap == 0 ? 4 : b->cap * 2;
    mg_job **jobs = realloc(b->jobs, (size_t)cap * sizeof *jobs);
    if (jobs == NULL) return false;
    b->jobs = jobs;
    uint32_t *base = realloc(b->base, (size_t)cap * sizeof *base);
    if (base == NULL) return false;
    b->base = base;
    b->cap = cap;
  }
  b->jobs[b->count] = j;
  b->base[b->count] = b->cases;
  b->cases += j->task.count;
  b->count++;
  return true;
}

static void put_u32(mg_buf *b, uint32_t v) {
  uint8_t bytes[4] = {(uint8_t)v, (uint8_t)(v >> 8), (uint8_t)(v >> 16), (uint8_t)(v >> 24)};
  mg_buf_put(b, bytes, sizeof bytes);
}

void mg_bundle_start(mg_bundle *b, mg_slot *s, mg_buf *run) {
  const mg_job *first = b->jobs[0];
  b->resume = b->collected = first->done;
  uint8_t where[2] = {first->half, first->half != 0 ? first->half_outcome : (uint8_t)MG_ABSENT};
  put_u32(run, first->done);
  mg_buf_put(run, where, sizeof where);
  put_u32(run, (uint32_t)b->count);
  for (int i = 0; i < b->count; i++) {
    mg_job *j = b->jobs[i];
    j->resumed = j->begun;
    j->begun = true;
    put_u32(run, (uint32_t)j->bytes.len);
    mg_buf_put(run, j->bytes.data, j->bytes.len);
  }
  /* Should it die before it has read this, the numbers of the RUN before must not stand for this one's. */
  atomic_store(&s->done, first->done);
  atomic_store(&s->index, first->done);
  atomic_store(&s->case_number, first->last_case);
  atomic_store(&s->arena_used, 0);
  atomic_store(&s->half_done, 0);
}

mg_job *mg_bundle_job_at(const mg_bundle *b, uint32_t index, uint32_t *base) {
  int low = 0, high = b->count - 1;
  if (index >= b->cases) return NULL;
  while (low < high) {
    int middle = (low + high + 1) / 2;
    if (b->base[middle] <= index) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  if (base != NULL) *base = b->base[low];
  return b->jobs[low];
}

void mg_bundle_account(mg_bundle *b, int64_t now_ns) {
  uint32_t ran = b->collected - b->resume;
  int64_t ns = now_ns - b->started_ns;
  if (ns < 0) ns = 0;
  for (int i = 0; i < b->count; i++) {
    mg_job *j = b->jobs[i];
    uint32_t from = b->base[i] > b->resume ? b->base[i] : b->resume;
    uint32_t end = b->base[i] + j->task.count < b->collected ? b->base[i] + j->task.count : b->collected;
    if (ran > 0 && end > from) j->busy_ns += (uint64_t)((double)ns * (end - from) / ran);
  }
}
