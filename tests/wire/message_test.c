/* Messages: round trips, and what damaged, cut or hostile bytes do: an error or another valid message, never a crash.
 */
#include "wire/message.h"

#include "tests/wire/samples.h"
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { TASK, PAYLOAD_TASK, RESULT, REFUSAL, BEAT, CONTROL, SAMPLES };

static void encode_sample(int which, mg_buf *out) {
  mg_task task;
  mg_result result;
  mg_beat beat;
  mg_control control;
  switch (which) {
    case TASK: task = mg_sample_task(), mg_task_encode(out, &task); break;
    case PAYLOAD_TASK: task = mg_sample_payload_task(), mg_task_encode(out, &task); break;
    case RESULT: result = mg_sample_result(), mg_result_encode(out, &result); break;
    case REFUSAL: result = mg_sample_refusal(), mg_result_encode(out, &result); break;
    case BEAT: beat = mg_sample_beat(), mg_beat_encode(out, &beat); break;
    default: control = mg_sample_control(), mg_control_encode(out, &control); break;
  }
  assert_false(out->failed);
}

/* Decodes as the sample's type; where that works, what was read must come out again the same. again may be NULL. */
static mg_err decode_sample(int which, mg_slice bytes, mg_buf *again, mg_error *e) {
  mg_err err;
  if (which == TASK || which == PAYLOAD_TASK) {
    mg_task t;
    err = mg_task_decode(&t, bytes, e);
    if (err == MG_OK && again != NULL) mg_task_encode(again, &t);
  } else if (which == RESULT || which == REFUSAL) {
    mg_result r;
    err = mg_result_decode(&r, bytes, e);
    if (err == MG_OK && again != NULL) mg_result_encode(again, &r);
    mg_result_fini(&r);
  } else if (which == BEAT) {
    mg_beat b;
    err = mg_beat_decode(&b, bytes, e);
    if (err == MG_OK && again != NULL) mg_beat_encode(again, &b);
    mg_beat_fini(&b);
  } else {
    mg_control c;
    err = mg_control_decode(&c, bytes, e);
    if (err == MG_OK && again != NULL) mg_control_encode(again, &c);
  }
  return err;
}

static void every_sample_comes_back(void **state) {
  (void)state;
  for (int which = 0; which < SAMPLES; which++) {
    mg_buf bytes = {0}, again = {0};
    mg_error e = {0};
    encode_sample(which, &bytes);
    assert_int_equal(bytes.data[0], MG_WIRE_VERSION);
    assert_int_equal(decode_sample(which, mg_buf_slice(&bytes), &again, &e), MG_OK);
    assert_string_equal(e.text, ""); /* untouched */
    assert_int_equal(again.len, bytes.len);
    assert_memory_equal(again.data, bytes.data, bytes.len);
    mg_buf_fini(&bytes);
    mg_buf_fini(&again);
  }
}

#define SAME(a, b, field) assert_true((a).field == (b).field)
#define SAME_BYTES(a, b, field) assert_memory_equal(&(a).field, &(b).field, sizeof(a).field)
static void assert_same_slice(mg_slice a, mg_slice b) {
  assert_int_equal(a.len, b.len);
  if (a.len > 0) assert_memory_equal(a.data, b.data, a.len);
}

static void fields_keep_their_places(void **state) {
  (void)state;
  mg_buf bytes = {0};
  mg_task t = mg_sample_payload_task(), t2;
  mg_task_encode(&bytes, &t);
  assert_int_equal(mg_task_decode(&t2, mg_buf_slice(&bytes), NULL), MG_OK);
  assert_string_equal(t2.run, t.run);
  assert_string_equal(t2.id, t.id);
  assert_string_equal(t2.baseline, "");
  assert_string_equal(t2.candidate, t.candidate);
  SAME(t, t2, epoch), SAME(t, t2, attempt), SAME(t, t2, care), SAME(t, t2, kind), SAME(t, t2, first), SAME(t, t2, count),
      SAME(t, t2, seed);
  SAME(t, t2, case_timeout_ms), SAME(t, t2, memory_mb), SAME(t, t2, violation_cap);
  SAME_BYTES(t, t2, fingerprint), SAME_BYTES(t, t2, trace);
  assert_same_slice(t2.payload, t.payload);
  assert_true(t2.payload.data > bytes.data && t2.payload.data < bytes.data + bytes.len); /* borrowed */

  mg_buf_clear(&bytes);
  mg_result r = mg_sample_result(), r2;
  mg_result_encode(&bytes, &r);
  assert_int_equal(mg_result_decode(&r2, mg_buf_slice(&bytes), NULL), MG_OK);
  assert_string_equal(r2.worker, r.worker);
  SAME(r, r2, epoch), SAME(r, r2, attempt), SAME(r, r2, count), SAME(r, r2, has_digest), SAME(r, r2, busy_ns);
  SAME(r, r2, digest.low), SAME(r, r2, digest.high), SAME(r, r2, role_ns[0]), SAME(r, r2, role_ns[1]);
  SAME(r, r2, failed_count), SAME(r, r2, violation_count), SAME(r, r2, label_count);
  assert_memory_equal(r2.outcomes, r.outcomes, r.count);
  for (size_t i = 0; i < r.failed_count; i++) {
    SAME(r, r2, failed[i].index), SAME(r, r2, failed[i].role), SAME(r, r2, failed[i].mask);
  }
  for (size_t i = 0; i < r.violation_count; i++) {
    SAME(r, r2, violations[i].index), SAME(r, r2, violations[i].case_number), SAME(r, r2, violations[i].role);
    SAME(r, r2, violations[i].clause);
    assert_same_slice(r2.violations[i].message, r.violations[i].message);
    assert_same_slice(r2.violations[i].input, r.violations[i].input);
    assert_same_slice(r2.violations[i].output, r.violations[i].output);
    assert_same_slice(r2.violations[i].input2, r.violations[i].input2);
    assert_same_slice(r2.violations[i].output2, r.violations[i].output2);
  }
  for (size_t i = 0; i < r.label_count; i++) {
    assert_same_slice(r2.labels[i].name, r.labels[i].name);
    SAME(r, r2, labels[i].count);
  }
  SAME(r, r2, measures->count), SAME(r, r2, measures->group_count), SAME(r, r2, measures->cluster_count), SAME(r, r2, measures->ungrouped);
  for (int i = 0; i < r.measures->count; i++) {
    SAME(r, r2, measures->columns[i].n), SAME(r, r2, measures->columns[i].missing), SAME(r, r2, measures->columns[i].kept_count);
    assert_true(mg_sum_value(&r.measures->columns[i].squares) == mg_sum_value(&r2.measures->columns[i].squares));
    assert_true(mg_sum_value(&r.measures->columns[i].difference) == mg_sum_value(&r2.measures->columns[i].difference));
    assert_true(mg_sketch_quantile(&r.measures->columns[i].sketch[0], .5) == mg_sketch_quantile(&r2.measures->columns[i].sketch[0], .5));
  }
  assert_memory_equal(r2.measures->columns[1].kept, r.measures->columns[1].kept, 4 * sizeof(mg_kept_pair));
  assert_memory_equal(r2.measures->groups, r.measures->groups, 2 * sizeof(mg_group));
  assert_memory_equal(r2.measures->clusters, r.measures->clusters, 2 * sizeof(mg_cluster_count));
  assert_same_slice(r2.fault, r.fault);
  assert_int_equal(r2.refused.len, 0);
  mg_result_fini(&r2);

  mg_buf_clear(&bytes);
  mg_beat b = mg_sample_beat(), b2;
  mg_beat_encode(&bytes, &b);
  assert_int_equal(mg_beat_decode(&b2, mg_buf_slice(&bytes), NULL), MG_OK);
  assert_string_equal(b2.worker, b.worker);
  SAME(b, b2, counter), SAME(b, b2, executors), SAME(b, b2, executors_up), SAME(b, b2, restarts), SAME(b, b2, draining), SAME(b, b2, quarantined);
  SAME(b, b2, leaving), SAME(b, b2, cases_done), SAME(b, b2, task_count);
  SAME_BYTES(b, b2, fingerprint);
  for (size_t i = 0; i < b.task_count; i++) {
    assert_string_equal(b2.tasks[i].run, b.tasks[i].run);
    assert_string_equal(b2.tasks[i].id, b.tasks[i].id);
    SAME(b, b2, tasks[i].attempt), SAME(b, b2, tasks[i].running), SAME(b, b2, tasks[i].case_number);
    SAME(b, b2, tasks[i].role);
  }
  mg_beat_fini(&b2);
  mg_buf_fini(&bytes);
}

static void a_cut_message_is_refused(void **state) {
  (void)state;
  for (int which = 0; which < SAMPLES; which++) {
    mg_buf bytes = {0};
    encode_sample(which, &bytes);
    for (size_t len = 0; len < bytes.len; len++) {
      /* A block of exactly this size, so that a sanitizer or valgrind sees one byte too many. */
      uint8_t *cut = malloc(len > 0 ? len : 1);
      memcpy(cut, bytes.data, len);
      mg_error e = {0};
      assert_int_equal(decode_sample(which, (mg_slice){cut, len}, NULL, &e), MG_ARG);
      assert_true(strlen(e.text) > 10);
      free(cut);
    }
    mg_buf_put(&bytes, "\xC0", 1); /* and so is one that goes on */
    assert_int_equal(decode_sample(which, mg_buf_slice(&bytes), NULL, NULL), MG_ARG);
    mg_buf_fini(&bytes);
  }
}

static void a_flipped_bit_is_refused_or_read(void **state) {
  (void)state;
  for (int which = 0; which < SAMPLES; which++) {
    mg_buf bytes = {0}, again = {0}, third = {0};
    int refused = 0;
    encode_sample(which, &bytes);
    for (size_t bit = 0; bit < 8 * bytes.len; bit++) {
      bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
      mg_buf_clear(&again);
      mg_err err = decode_sample(which, mg_buf_slice(&bytes), &again, NULL);
      if (err == MG_OK) {
        mg_buf_clear(&third);
        assert_int_equal(decode_sample(which, mg_buf_slice(&again), &third, NULL), MG_OK);
        assert_int_equal(third.len, again.len);
        assert_memory_equal(third.data, again.data, again.len);
      } else {
        assert_true(err == MG_ARG || (err == MG_UNSUPPORTED && bit < 8));
        refused++;
      }
      bytes.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_true(refused > 20);
    mg_buf_fini(&bytes);
    mg_buf_fini(&again);
    mg_buf_fini(&third);
  }
}

static void results_share_a_message(void **state) {
  (void)state;
  mg_buf together = {0}, one = {0};
  mg_slice parts[MG_RESULTS_MOST], given[] = {mg_slice_of("first"), mg_slice_of("the second"), mg_slice_of("")};
  size_t count = 0;
  mg_results_encode(&together, given, 3);
  mg_slice bytes = mg_buf_slice(&together);
  assert_int_equal(mg_results_split(bytes, parts, &count, NULL), MG_OK);
  assert_int_equal(count, 3);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(parts[i].len, given[i].len);
    if (parts[i].len > 0) assert_memory_equal(parts[i].data, given[i].data, parts[i].len);
  }
  for (size_t len = 4; len < bytes.len; len++) assert_int_equal(mg_results_split((mg_slice){bytes.data, len}, parts, &count, NULL), MG_ARG);
  encode_sample(RESULT, &one);
  assert_int_equal(mg_results_split(mg_buf_slice(&one), parts, &count, NULL), MG_OK);
  assert_true(count == 1 && parts[0].data == one.data && parts[0].len == one.len);
  mg_slice many[MG_RESULTS_MOST + 1];
  for (size_t i = 0; i <= MG_RESULTS_MOST; i++) many[i] = mg_slice_of("x");
  mg_buf_clear(&together);
  mg_results_encode(&together, many, MG_RESULTS_MOST + 1);
  assert_int_equal(mg_results_split(mg_buf_slice(&together), parts, &count, NULL), MG_ARG);
  mg_buf_fini(&together);
  mg_buf_fini(&one);
}

static void a_message_of_another_type_is_refused(void **state) {
  (void)state;
  static const int reader_of[] = {TASK, RESULT, BEAT, CONTROL};
  static const int type_of[SAMPLES] = {TASK, TASK, RESULT, RESULT, BEAT, CONTROL};
  for (int which = 0; which < SAMPLES; which++) {
    mg_buf bytes = {0};
    encode_sample(which, &bytes);
    for (int i = 0; i < 4; i++) {
      mg_err err = decode_sample(reader_of[i], mg_buf_slice(&bytes), NULL, NULL);
      assert_int_equal(err, reader_of[i] == type_of[which] ? MG_OK : MG_ARG);
    }
    mg_buf_fini(&bytes);
  }
}

static void a_newer_version_is_told_apart(void **state) {
  (void)state;
  mg_buf bytes = {0};
  encode_sample(TASK, &bytes);
  bytes.data[0] = MG_WIRE_VERSION + 1;
  mg_task t;
  mg_error e;
  assert_int_equal(mg_task_decode(&t, mg_buf_slice(&bytes), &e), MG_UNSUPPORTED);
  assert_non_null(strstr(e.text, "upgrade"));
  mg_buf_fini(&bytes);
}

static size_t heap_in_use(void) {
  struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd;
}

/* Every array header in turn claims 2^32-1 elements, every bin and str 2^32-1 bytes. */
static void a_huge_claim_allocates_nothing(void **state) {
  (void)state;
  for (int which = 0; which < SAMPLES; which++) {
    mg_buf bytes = {0};
    encode_sample(which, &bytes);
    for (size_t at = 1; at < bytes.len; at++) {
      for (int kind = 0; kind < 3; kind++) {
        static const uint8_t claims[3][5] = {
            {0xDD, 255, 255, 255, 255}, {0xC6, 255, 255, 255, 255}, {0xDB, 255, 255, 255, 255}};
        mg_buf bad = {0};
        mg_buf_put(&bad, bytes.data, at);
        mg_buf_put(&bad, claims[kind], 5);
        mg_buf_put(&bad, bytes.data + at + 1, bytes.len - at - 1);
        size_t before = heap_in_use();
        mg_result r;
        mg_beat b;
        /* Before fini, so that what was allocated still stands. */
        if (which == RESULT || which == REFUSAL) (void)mg_result_decode(&r, mg_buf_slice(&bad), NULL);
        else if (which == BEAT) (void)mg_beat_decode(&b, mg_buf_slice(&bad), NULL);
        else (void)decode_sample(which, mg_buf_slice(&bad), NULL, NULL);
        size_t after = heap_in_use();
        assert_true(after <= before + 64 * bad.len + 1024);
        if (which == RESULT || which == REFUSAL) mg_result_fini(&r);
        if (which == BEAT) mg_beat_fini(&b);
        mg_buf_fini(&bad);
      }
    }
    mg_buf_fini(&bytes);
  }
}

static void deep_nesting_is_refused_without_recursion(void **state) {
  (void)state;
  mg_buf bytes = {0}, deep = {0};
  encode_sample(RESULT, &bytes);
  for (int i = 0; i < 1000000; i++) mg_buf_put(&deep, "\x91", 1);
  for (size_t at = 1; at < bytes.len; at += 3) {
    mg_buf bad = {0};
    mg_buf_put(&bad, bytes.data, at);
    mg_buf_put(&bad, deep.data, deep.len);
    assert_int_equal(decode_sample(RESULT, mg_buf_slice(&bad), NULL, NULL), MG_ARG);
    mg_buf_fini(&bad);
  }
  mg_buf_fini(&bytes);
  mg_buf_fini(&deep);
}

static mg_err decode_task(const mg_task *t) {
  mg_buf bytes = {0};
  mg_task out;
  mg_task_encode(&bytes, t);
  mg_err err = mg_task_decode(&out, mg_buf_slice(&bytes), NULL);
  mg_buf_fini(&bytes);
  return err;
}

static void tasks_are_checked(void **state) {
  (void)state;
  mg_task t = mg_sample_task();
  assert_int_equal(decode_task(&t), MG_OK);
#define REFUSED(change)                                                                                                \
  do {                                                                                                                 \
    t = mg_sample_task();                                                                                              \
    change;                                                                                                            \
    assert_int_equal(decode_task(&t), MG_ARG);                                                                         \
  } while (0)
  REFUSED(t.count = 0);
  REFUSED(t.count = MG_TASK_CASES + 1);
  REFUSED(t.first = UINT64_MAX);
  REFUSED(t.attempt = 0);
  REFUSED(t.care = (mg_care)(MG_CARE_ALONE + 1));
  REFUSED(t.kind = (mg_task_kind)(MG_TASK_EXPLAIN + 1));
  REFUSED(strcpy(t.run, ""));
  REFUSED(strcpy(t.run, "a/b"));
  REFUSED(strcpy(t.run, "a.b"));
  REFUSED(strcpy(t.id, "../x"));
  REFUSED(strcpy(t.id, "-x"));
  REFUSED(strcpy(t.candidate, ""));
  REFUSED(strcpy(t.candidate, "a\nb"));
  REFUSED(t = mg_sample_payload_task(); t.count = 4);
  REFUSED(t = mg_sample_payload_task(); t.payload.len--);
#undef REFUSED
  t = mg_sample_task();
  memset(t.run, 'r', MG_RUN_MAX); /* the longest fit, and names are bytes */
  memset(t.id, 't', MG_TASK_MAX);
  t.run[MG_RUN_MAX] = t.id[MG_TASK_MAX] = '\0';
  memset(t.candidate, 0xC3, MG_NAME_MAX);
  t.candidate[MG_NAME_MAX] = '\0';
  assert_int_equal(decode_task(&t), MG_OK);
}

static mg_err decode_result(const mg_result *r) {
  mg_buf bytes = {0};
  mg_result out;
  mg_result_encode(&bytes, r);
  mg_err err = mg_result_decode(&out, mg_buf_slice(&bytes), NULL);
  mg_result_fini(&out);
  mg_buf_fini(&bytes);
  return err;
}

static void results_are_checked(void **state) {
  (void)state;
  uint8_t outcomes[6];
  mg_failed failed[4];
  mg_violation violations[2];
  mg_result r;
#define RESULT_WITH(change)                                                                                            \
  (r = mg_sample_result(), memcpy(outcomes, r.outcomes, sizeof outcomes), memcpy(failed, r.failed, sizeof failed),     \
   memcpy(violations, r.violations, sizeof violations), r.outcomes = outcomes, r.failed = failed,                      \
   r.violations = violations, change, decode_result(&r))
  assert_int_equal(RESULT_WITH((void)0), MG_OK);
  assert_int_equal(RESULT_WITH(outcomes[5] = 0x08), MG_ARG);
  assert_int_equal(RESULT_WITH(outcomes[0] = 0xE0), MG_ARG);
  assert_int_equal(RESULT_WITH(failed[0].index = 4), MG_ARG);                                 /* out of order */
  assert_int_equal(RESULT_WITH(failed[2].role = MG_CANDIDATE), MG_ARG);                       /* twice */
  assert_int_equal(RESULT_WITH((failed[0].index = 3, failed[0].role = MG_BASELINE)), MG_ARG); /* three times */
  assert_int_equal(RESULT_WITH(failed[0].mask = 0), MG_ARG);
  assert_int_equal(RESULT_WITH(failed[3].index = 6), MG_ARG);
  assert_int_equal(RESULT_WITH(violations[0].index = 6), MG_ARG);
  assert_int_equal(RESULT_WITH(violations[0].clause = MG_EXPLAINED_MOST + 1), MG_ARG);
  assert_int_equal(RESULT_WITH(r.refused = mg_slice_of("no")), MG_ARG); /* a refusal brings no cases */
  assert_int_equal(RESULT_WITH(r.attempt = 0), MG_ARG);
  mg_measures *m = r.measures; /* the sample's own: what is changed is put back */
  assert_int_equal(RESULT_WITH(m->columns[0].n = 7), MG_ARG);                  /* of six cases */
  assert_int_equal(RESULT_WITH((m->columns[0].n = 4, m->columns[0].missing = 3)), MG_ARG);
  assert_int_equal(RESULT_WITH((m->columns[0].missing = 2, m->columns[1].kept[1].at = 6)), MG_ARG);
  assert_int_equal(RESULT_WITH((m->columns[1].kept[1].at = 1, m->columns[1].kept[0].candidate = 1e200)), MG_ARG);
  assert_int_equal(RESULT_WITH((m->columns[1].kept[0].candidate = 3, m->columns[0].sketch[0].least = 1e200)), MG_ARG);
  assert_int_equal(RESULT_WITH((m->columns[0].sketch[0].least = -1.5, m->clusters[0].counts.cand_only = 3)), MG_ARG);
  assert_int_equal(RESULT_WITH((m->clusters[0].counts.cand_only = 0, m->groups[1].name[0] = 'a')), MG_ARG);
  assert_int_equal(RESULT_WITH(m->groups[1].name[0] = 'e'), MG_OK);
  assert_int_equal(RESULT_WITH(r.measures = NULL), MG_OK);
#undef RESULT_WITH
}

static void the_largest_result_fits(void **state) {
  (void)state;
  static uint8_t outcomes[MG_TASK_CASES];
  mg_result r = mg_sample_refusal(), out;
  r.refused = (mg_slice){0};
  r.count = MG_TASK_CASES;
  r.outcomes = outcomes;
  mg_buf bytes = {0};
  mg_result_encode(&bytes, &r);
  assert_true(bytes.len < 128); /* all pass: one run */
  mg_buf_clear(&bytes);
  for (uint32_t i = 0; i < MG_TASK_CASES; i++) outcomes[i] = i % 2 == 0 ? 0x00 : 0x10; /* as many runs as cases */
  mg_result_encode(&bytes, &r);
  assert_int_equal(mg_result_decode(&out, mg_buf_slice(&bytes), NULL), MG_OK);
  assert_int_equal(out.count, MG_TASK_CASES);
  assert_memory_equal(out.outcomes, outcomes, sizeof outcomes);
  mg_result_fini(&out);
  mg_buf_fini(&bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_sample_comes_back),
      cmocka_unit_test(fields_keep_their_places),
      cmocka_unit_test(a_cut_message_is_refused),
      cmocka_unit_test(a_flipped_bit_is_refused_or_read),
      cmocka_unit_test(a_message_of_another_type_is_refused),
      cmocka_unit_test(results_share_a_message),
      cmocka_unit_test(a_newer_version_is_told_apart),
      cmocka_unit_test(a_huge_claim_allocates_nothing),
      cmocka_unit_test(deep_nesting_is_refused_without_recursion),
      cmocka_unit_test(tasks_are_checked),
      cmocka_unit_test(results_are_checked),
      cmocka_unit_test(the_largest_result_fits),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
