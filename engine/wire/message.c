#include "wire/message.h"

#include "wire/codec.h"
#include <stdlib.h>
#include <string.h>

enum { TASK_FIELDS = 18, BEAT_FIELDS = 12, CONTROL_FIELDS = 5 };

void mg_task_encode(mg_buf *out, const mg_task *t) {
  msgpack_packer p = mg_wire_begin(out, MG_WIRE_TASK, TASK_FIELDS + (t->measure != 0));
  mg_wire_text(&p, t->run);
  msgpack_pack_uint32(&p, t->epoch);
  mg_wire_text(&p, t->id);
  msgpack_pack_uint32(&p, t->attempt);
  msgpack_pack_int(&p, t->care);
  msgpack_pack_int(&p, t->kind);
  msgpack_pack_uint64(&p, t->first);
  msgpack_pack_uint32(&p, t->count);
  mg_wire_bytes(&p, t->payload.data, t->payload.len);
  msgpack_pack_uint64(&p, t->seed);
  mg_wire_bytes(&p, t->fingerprint, sizeof t->fingerprint);
  mg_wire_text(&p, t->baseline);
  mg_wire_text(&p, t->candidate);
  msgpack_pack_uint32(&p, t->case_timeout_ms);
  msgpack_pack_uint32(&p, t->memory_mb);
  msgpack_pack_uint32(&p, t->violation_cap);
  mg_wire_bytes(&p, t->trace, sizeof t->trace);
  if (t->measure != 0) msgpack_pack_uint8(&p, t->measure);
}

/* The envelope of the payload: count pairs of case number and nil or bin. What the bins hold is the executor's to
 * check. */
static void check_payload(mg_reader *outer, mg_slice payload, uint32_t count) {
  mg_reader r = mg_reader_over(payload);
  size_t entries = mg_read_array(&r, count, count, 3, "payload");
  for (size_t i = 0; i < entries && mg_reader_ok(&r); i++) {
    (void)mg_read_array(&r, 2, 2, 1, "payload");
    (void)mg_read_uint(&r, 0, UINT64_MAX, "payload");
    if (!mg_read_nil(&r)) (void)mg_read_bin(&r, "payload");
  }
  if (mg_reader_end(&r, "payload", NULL) != MG_OK) mg_reader_fail(outer, "payload", "as many cases as the task counts");
}

mg_err mg_task_decode(mg_task *t, mg_slice bytes, mg_error *e) {
  mg_reader r;
  memset(t, 0, sizeof *t);
  bool measure;
  mg_err err = mg_wire_open_more(&r, bytes, MG_WIRE_TASK, TASK_FIELDS, &measure, "task", e);
  if (err != MG_OK) return err;
  mg_read_text(&r, t->run, sizeof t->run, MG_READ_IDENT, "run");
  t->epoch = (uint32_t)mg_read_uint(&r, 0, UINT32_MAX, "epoch");
  mg_read_text(&r, t->id, sizeof t->id, MG_READ_DOTTED, "task");
  t->attempt = (uint32_t)mg_read_uint(&r, 1, UINT32_MAX, "attempt");
  t->care = (mg_care)mg_read_uint(&r, MG_CARE_NONE, MG_CARE_ALONE, "care");
  t->kind = (mg_task_kind)mg_read_uint(&r, MG_TASK_COUNT, MG_TASK_EXPLAIN, "kind");
  t->first = mg_read_uint(&r, 0, UINT64_MAX - MG_TASK_CASES, "first");
  t->count = (uint32_t)mg_read_uint(&r, 1, MG_TASK_CASES, "count");
  t->payload = mg_read_bin(&r, "payload");
  t->seed = mg_read_uint(&r, 0, UINT64_MAX, "seed");
  mg_read_bytes(&r, t->fingerprint, sizeof t->fingerprint, "fingerprint");
  mg_read_text(&r, t->baseline, sizeof t->baseline, MG_READ_NAME_OR_EMPTY, "baseline");
  mg_read_text(&r, t->candidate, sizeof t->candidate, MG_READ_NAME, "candidate");
  t->case_timeout_ms = (uint32_t)mg_read_uint(&r, 0, UINT32_MAX, "case_timeout_ms");
  t->memory_mb = (uint32_t)mg_read_uint(&r, 0, UINT32_MAX, "memory_mb");
  t->violation_cap = (uint32_t)mg_read_uint(&r, 0, UINT32_MAX, "violation_cap");
  mg_read_bytes(&r, t->trace, sizeof t->trace, "trace");
  if (measure) t->measure = (uint8_t)mg_read_uint(&r, 1, MG_MEASURE_ALL, "measure");
  if (mg_reader_ok(&r) && t->payload.len > 0) check_payload(&r, t->payload, t->count);
  return mg_reader_end(&r, "task", e);
}

void mg_beat_encode(mg_buf *out, const mg_beat *b) {
  msgpack_packer p = mg_wire_begin(out, MG_WIRE_BEAT, BEAT_FIELDS);
  mg_wire_text(&p, b->worker);
  msgpack_pack_uint64(&p, b->counter);
  msgpack_pack_uint32(&p, b->executors);
  msgpack_pack_uint32(&p, b->executors_up);
  msgpack_pack_uint32(&p, b->restarts);
  mg_wire_bytes(&p, b->fingerprint, sizeof b->fingerprint);
  mg_wire_bool(&p, b->draining);
  mg_wire_bool(&p, b->leaving);
  mg_wire_bool(&p, b->quarantined);
  msgpack_pack_uint64(&p, b->cases_done);
  msgpack_pack_array(&p, b->task_count);
  for (size_t i = 0; i < b->task_count; i++) {
    const mg_beat_task *t = &b->tasks[i];
    msgpack_pack_array(&p, 5);
    mg_wire_text(&p, t->run);
    mg_wire_text(&p, t->id);
    msgpack_pack_uint32(&p, t->attempt);
    if (t->running)
      msgpack_pack_uint64(&p, t->case_number);
    else
      msgpack_pack_nil(&p);
    msgpack_pack_int(&p, t->role);
  }
}

mg_err mg_beat_decode(mg_beat *b, mg_slice bytes, mg_error *e) {
  enum { SHORTEST_TASK = 8 }; /* array, two texts of one letter, attempt, case, role */
  mg_reader r;
  memset(b, 0, sizeof *b);
  mg_err err = mg_wire_open(&r, bytes, MG_WIRE_BEAT, BEAT_FIELDS, "beat", e);
  if (err != MG_OK) return err;
  mg_read_text(&r, b->worker, sizeof b->worker, MG_READ_NAME, "worker");
  b->counter = mg_read_uint(&r, 0, UINT64_MAX, "counter");
  b->executors = (uint32_t)mg_read_uint(&r, 0, UINT32_MAX, "executors");
  b->executors_up = (uint32_t)mg_read_uint(&r, 0, UINT32_MAX, "executors_up");
  b->restarts = (uint32_t)mg_read_uint(&r, 0, UINT32_MAX, "restarts");
  mg_read_bytes(&r, b->fingerprint, sizeof b->fingerprint, "fingerprint");
  b->draining = mg_read_bool(&r, "draining");
  b->leaving = mg_read_bool(&r, "leaving");
  b->quarantined = mg_read_bool(&r, "quarantined");
  b->cases_done = mg_read_uint(&r, 0, UINT64_MAX, "cases_done");
  size_t count = mg_read_array(&r, 0, SIZE_MAX, SHORTEST_TASK, "tasks");
  if (count > 0) {
    b->tasks = calloc(count, sizeof *b->tasks);
    if (b->tasks == NULL) return mg_fail(e, MG_NOMEM, "no memory left for a beat of %zu tasks", count);
  }
  for (; b->task_count < count && mg_reader_ok(&r); b->task_count++) {
    mg_beat_task *t = &b->tasks[b->task_count];
    (void)mg_read_array(&r, 5, 5, 1, "tasks");
    mg_read_text(&r, t->run, sizeof t->run, MG_READ_IDENT, "run");
    mg_read_text(&r, t->id, sizeof t->id, MG_READ_DOTTED, "task");
    t->attempt = (uint32_t)mg_read_uint(&r, 1, UINT32_MAX, "attempt");
    t->running = !mg_read_nil(&r);
    if (t->running) t->case_number = mg_read_uint(&r, 0, UINT64_MAX, "case");
    t->role = (mg_role)mg_read_uint(&r, MG_BASELINE, MG_CANDIDATE, "role");
  }
  return mg_reader_end(&r, "beat", e);
}

void mg_beat_fini(mg_beat *b) {
  free(b->tasks);
  b->tasks = NULL;
  b->task_count = 0;
}

void mg_control_encode(mg_buf *out, const mg_control *c) {
  msgpack_packer p = mg_wire_begin(out, MG_WIRE_CONTROL, CONTROL_FIELDS);
  msgpack_pack_int(&p, c->kind);
  mg_wire_text(&p, c->subject);
  msgpack_pack_uint32(&p, c->epoch);
  msgpack_pack_array(&p, c->task_count);
  for (uint32_t i = 0; i < c->task_count; i++) mg_wire_text(&p, c->tasks[i]);
}

mg_err mg_control_decode(mg_control *c, mg_slice bytes, mg_error *e) {
  mg_reader r;
  memset(c, 0, sizeof *c);
  mg_err err = mg_wire_open(&r, bytes, MG_WIRE_CONTROL, CONTROL_FIELDS, "control", e);
  if (err != MG_OK) return err;
  c->kind = (mg_control_kind)mg_read_uint(&r, MG_RUN_CLOSED, MG_TASKS_DROPPED, "kind");
  mg_read_text(&r, c->subject, sizeof c->subject, MG_READ_NAME, "subject");
  c->epoch = (uint32_t)mg_read_uint(&r, 0, UINT32_MAX, "epoch");
  c->task_count = (uint32_t)mg_read_array(&r, 0, MG_CONTROL_TASKS, 1, "tasks");
  for (uint32_t i = 0; i < c->task_count && mg_reader_ok(&r); i++) mg_read_text(&r, c->tasks[i], sizeof c->tasks[i], MG_READ_DOTTED, "tasks");
  return mg_reader_end(&r, "control", e);
}
