#include "wire/message_measures.h"

#include <stdlib.h>
#include <string.h>

enum { RESULT_FIELDS = 17, VIOLATION_FIELDS = 9 };

/* Fewest bytes an element can take: what an array may claim is bounded by what came with it. */
enum { SHORTEST_FAILED = 4, SHORTEST_VIOLATION = 15, SHORTEST_LABEL = 4 };

/* Length and value, length and value, ...: mostly one run, for mostly all pass. */
static void pack_outcomes(msgpack_packer *p, const uint8_t *outcomes, uint32_t count) {
  size_t runs = 0;
  for (uint32_t i = 0; i < count; i++) runs += i == 0 || outcomes[i] != outcomes[i - 1];
  msgpack_pack_array(p, 2 * runs);
  for (uint32_t i = 0, end; i < count; i = end) {
    for (end = i + 1; end < count && outcomes[end] == outcomes[i]; end++) continue;
    msgpack_pack_uint32(p, end - i);
    msgpack_pack_uint8(p, outcomes[i]);
  }
}

void mg_result_encode(mg_buf *out, const mg_result *r) {
  msgpack_packer p = mg_wire_begin(out, MG_WIRE_RESULT, RESULT_FIELDS + (r->measures != NULL));
  mg_wire_text(&p, r->run);
  msgpack_pack_uint32(&p, r->epoch);
  mg_wire_text(&p, r->id);
  msgpack_pack_uint32(&p, r->attempt);
  mg_wire_text(&p, r->worker);
  msgpack_pack_uint32(&p, r->count);
  pack_outcomes(&p, r->outcomes, r->count);
  msgpack_pack_array(&p, r->failed_count);
  for (size_t i = 0; i < r->failed_count; i++) {
    msgpack_pack_array(&p, 3);
    msgpack_pack_uint32(&p, r->failed[i].index);
    msgpack_pack_int(&p, r->failed[i].role);
    msgpack_pack_uint64(&p, r->failed[i].mask);
  }
  msgpack_pack_array(&p, r->violation_count);
  for (size_t i = 0; i < r->violation_count; i++) {
    const mg_violation *v = &r->violations[i];
    msgpack_pack_array(&p, VIOLATION_FIELDS);
    msgpack_pack_uint32(&p, v->index);
    msgpack_pack_uint64(&p, v->case_number);
    msgpack_pack_int(&p, v->role);
    msgpack_pack_uint8(&p, v->clause);
    mg_wire_bytes(&p, v->message.data, v->message.len);
    mg_wire_bytes(&p, v->input.data, v->input.len);
    mg_wire_bytes(&p, v->output.data, v->output.len);
    mg_wire_bytes(&p, v->input2.data, v->input2.len);
    mg_wire_bytes(&p, v->output2.data, v->output2.len);
  }
  msgpack_pack_array(&p, r->label_count);
  for (size_t i = 0; i < r->label_count; i++) {
    msgpack_pack_array(&p, 2);
    mg_wire_bytes(&p, r->labels[i].name.data, r->labels[i].name.len);
    msgpack_pack_uint64(&p, r->labels[i].count);
  }
  if (r->has_digest) {
    msgpack_pack_array(&p, 2);
    msgpack_pack_uint64(&p, r->digest.low);
    msgpack_pack_uint64(&p, r->digest.high);
  } else {
    msgpack_pack_nil(&p);
  }
  msgpack_pack_uint64(&p, r->busy_ns);
  msgpack_pack_array(&p, MG_ROLES);
  for (int i = 0; i < MG_ROLES; i++) msgpack_pack_uint64(&p, r->role_ns[i]);
  mg_wire_bytes(&p, r->fault.data, r->fault.len);
  mg_wire_bytes(&p, r->refused.data, r->refused.len);
  mg_wire_bytes(&p, r->worker_fingerprint, sizeof r->worker_fingerprint);
  if (r->measures != NULL) mg_wire_measures(&p, r->measures);
}

static bool outcome_ok(unsigned nibble) {
  return nibble < MG_OUTCOMES || nibble == MG_ABSENT;
}

static mg_err read_outcomes(mg_reader *in, mg_result *r, mg_error *e) {
  size_t numbers = mg_read_array(in, 0, 2 * (size_t)r->count, 1, "outcomes");
  uint32_t filled = 0;
  if (!mg_reader_ok(in)) return MG_OK;
  if (r->count > 0) {
    r->outcomes = malloc(r->count);
    if (r->outcomes == NULL) return mg_fail(e, MG_NOMEM, "no memory left for a result of %u cases", r->count);
  }
  for (size_t i = 0; i + 1 < numbers && mg_reader_ok(in); i += 2) {
    uint32_t length = (uint32_t)mg_read_uint(in, 1, r->count - filled, "outcomes");
    uint8_t value = (uint8_t)mg_read_uint(in, 0, UINT8_MAX, "outcomes");
    if (!outcome_ok(value & 15) || !outcome_ok(value >> 4)) mg_reader_fail(in, "outcomes", "known outcomes");
    if (mg_reader_ok(in)) memset(r->outcomes + filled, value, length);
    filled += length;
  }
  if (numbers % 2 != 0 || filled != r->count) mg_reader_fail(in, "outcomes", "as many outcomes as cases");
  return MG_OK;
}

static mg_err read_failed(mg_reader *in, mg_result *r, mg_error *e) {
  size_t count = mg_read_array(in, 0, (size_t)MG_ROLES * r->count, SHORTEST_FAILED, "failed");
  if (count == 0) return MG_OK;
  r->failed = calloc(count, sizeof *r->failed);
  if (r->failed == NULL) return mg_fail(e, MG_NOMEM, "no memory left for a result with %zu failures", count);
  for (; r->failed_count < count && mg_reader_ok(in); r->failed_count++) {
    mg_failed *f = &r->failed[r->failed_count];
    (void)mg_read_array(in, 3, 3, 1, "failed");
    f->index = (uint32_t)mg_read_uint(in, 0, r->count - 1, "failed");
    f->role = (mg_role)mg_read_uint(in, MG_BASELINE, MG_CANDIDATE, "failed");
    f->mask = mg_read_uint(in, 1, UINT64_MAX, "failed");
    if (r->failed_count == 0) continue;
    /* In order, and each role of a case at most once: a repeat would count its clauses twice. */
    bool later = f->index > f[-1].index;
    bool other_role =
        f->index == f[-1].index && f->role != f[-1].role && (r->failed_count == 1 || f[-2].index != f->index);
    if (!later && !other_role) mg_reader_fail(in, "failed", "cases in order");
  }
  return MG_OK;
}

static mg_err read_violations(mg_reader *in, mg_result *r, mg_error *e) {
  size_t count = mg_read_array(in, 0, SIZE_MAX, SHORTEST_VIOLATION, "violations");
  if (count == 0) return MG_OK;
  r->violations = calloc(count, sizeof *r->violations);
  if (r->violations == NULL) return mg_fail(e, MG_NOMEM, "no memory left for a result with %zu violations", count);
  for (; r->violation_count < count && mg_reader_ok(in); r->violation_count++) {
    mg_violation *v = &r->violations[r->violation_count];
    (void)mg_read_array(in, VIOLATION_FIELDS, VIOLATION_FIELDS, 1, "violations");
    v->index = (uint32_t)mg_read_uint(in, 0, UINT32_MAX, "violations");
    if (v->index >= r->count) mg_reader_fail(in, "violations", "a case of this result");
    v->case_number = mg_read_uint(in, 0, UINT64_MAX, "violations");
    v->role = (mg_role)mg_read_uint(in, MG_BASELINE, MG_CANDIDATE, "violations");
    v->clause = (uint8_t)mg_read_uint(in, 0, MG_EXPLAINED_MOST, "violations");
    v->message = mg_read_bin(in, "violations");
    v->input = mg_read_bin(in, "violations");
    v->output = mg_read_bin(in, "violations");
    v->input2 = mg_read_bin(in, "violations");
    v->output2 = mg_read_bin(in, "violations");
  }
  return MG_OK;
}

static mg_err read_labels(mg_reader *in, mg_result *r, mg_error *e) {
  size_t count = mg_read_array(in, 0, SIZE_MAX, SHORTEST_LABEL, "labels");
  if (count == 0) return MG_OK;
  r->labels = calloc(count, sizeof *r->labels);
  if (r->labels == NULL) return mg_fail(e, MG_NOMEM, "no memory left for a result with %zu labels", count);
  for (; r->label_count < count && mg_reader_ok(in); r->label_count++) {
    (void)mg_read_array(in, 2, 2, 1, "labels");
    r->labels[r->label_count].name = mg_read_bin(in, "labels");
    r->labels[r->label_count].count = mg_read_uint(in, 0, UINT64_MAX, "labels");
  }
  return MG_OK;
}

mg_err mg_result_decode(mg_result *r, mg_slice bytes, mg_error *e) {
  mg_reader in;
  memset(r, 0, sizeof *r);
  bool measures;
  mg_err err = mg_wire_open_more(&in, bytes, MG_WIRE_RESULT, RESULT_FIELDS, &measures, "result", e);
  if (err != MG_OK) return err;
  mg_read_text(&in, r->run, sizeof r->run, MG_READ_IDENT, "run");
  r->epoch = (uint32_t)mg_read_uint(&in, 0, UINT32_MAX, "epoch");
  mg_read_text(&in, r->id, sizeof r->id, MG_READ_DOTTED, "task");
  r->attempt = (uint32_t)mg_read_uint(&in, 1, UINT32_MAX, "attempt");
  mg_read_text(&in, r->worker, sizeof r->worker, MG_READ_NAME, "worker");
  r->count = (uint32_t)mg_read_uint(&in, 0, MG_TASK_CASES, "count");
  if ((err = read_outcomes(&in, r, e)) != MG_OK || (err = read_failed(&in, r, e)) != MG_OK ||
      (err = read_violations(&in, r, e)) != MG_OK || (err = read_labels(&in, r, e)) != MG_OK) {
    return err;
  }
  r->has_digest = !mg_read_nil(&in);
  if (r->has_digest) {
    (void)mg_read_array(&in, 2, 2, 1, "digest");
    r->digest.low = mg_read_uint(&in, 0, UINT64_MAX, "digest");
    r->digest.high = mg_read_uint(&in, 0, UINT64_MAX, "digest");
  }
  r->busy_ns = mg_read_uint(&in, 0, UINT64_MAX, "busy_ns");
  (void)mg_read_array(&in, MG_ROLES, MG_ROLES, 1, "role_ns");
  for (int i = 0; i < MG_ROLES; i++) r->role_ns[i] = mg_read_uint(&in, 0, UINT64_MAX, "role_ns");
  r->fault = mg_read_bin(&in, "fault");
  r->refused = mg_read_bin(&in, "refused");
  mg_read_bytes(&in, r->worker_fingerprint, sizeof r->worker_fingerprint, "worker_fingerprint");
  if (r->refused.len > 0 && r->count > 0) mg_reader_fail(&in, "refused", "no cases beside a refusal");
  if (measures && mg_reader_ok(&in) && (err = mg_read_measures(&in, &r->measures, r->count, e)) != MG_OK) return err;
  return mg_reader_end(&in, "result", e);
}

void mg_result_fini(mg_result *r) {
  free(r->outcomes);
  free(r->failed);
  free(r->violations);
  free(r->labels);
  mg_measures_free(r->measures);
  r->measures = NULL;
  r->outcomes = NULL;
  r->failed = NULL;
  r->violations = NULL;
  r->labels = NULL;
  r->count = 0;
  r->failed_count = r->violation_count = r->label_count = 0;
}

#define RESULTS_FIELDS 2

void mg_results_encode(mg_buf *out, const mg_slice *parts, size_t count) {
  msgpack_packer p = mg_wire_begin(out, MG_WIRE_RESULTS, RESULTS_FIELDS);
  msgpack_pack_array(&p, count);
  for (size_t i = 0; i < count; i++) mg_wire_bytes(&p, parts[i].data, parts[i].len);
}

mg_err mg_results_split(mg_slice bytes, mg_slice parts[MG_RESULTS_MOST], size_t *count, mg_error *e) {
  mg_reader r;
  *count = 1;
  parts[0] = bytes;
  if (!mg_wire_is(bytes, MG_WIRE_RESULTS)) return MG_OK;
  mg_err err = mg_wire_open(&r, bytes, MG_WIRE_RESULTS, RESULTS_FIELDS, "results", e);
  if (err != MG_OK) return err;
  *count = mg_read_array(&r, 1, MG_RESULTS_MOST, 1, "results");
  for (size_t i = 0; i < *count; i++) parts[i] = mg_read_bin(&r, "results");
  return mg_reader_end(&r, "results", e);
}
