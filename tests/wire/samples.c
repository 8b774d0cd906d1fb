#include "tests/wire/samples.h"

#include <string.h>

static void fill(uint8_t *bytes, size_t len, uint8_t from) {
  for (size_t i = 0; i < len; i++) bytes[i] = (uint8_t)(from + 7 * i);
}

mg_task mg_sample_task(void) {
  mg_task t = {.run = "20261125-101112-3fa9",
               .epoch = 3,
               .id = "t17.2",
               .attempt = 2,
               .care = MG_CARE_ALONE,
               .kind = MG_TASK_REPEAT,
               .first = 1ull << 40,
               .count = 200,
               .seed = (uint64_t)-42,
               .baseline = "v1",
               .candidate = "v2",
               .case_timeout_ms = 2000,
               .memory_mb = 512,
               .violation_cap = 10};
  t.measure = MG_MEASURE_LATENCY | MG_MEASURE_MEMORY;
  fill(t.fingerprint, sizeof t.fingerprint, 200);
  fill(t.trace, sizeof t.trace, 9);
  return t;
}

mg_task mg_sample_payload_task(void) {
  static const uint8_t payload[] = {0x93, 0x92, 0x05, 0xC0, 0x92, 0xCD, 0x01, 0x00, 0xC4, 0x03, 0x92, 0x01, 0x02, 0x92, 0x07, 0xC0};
  mg_task t = mg_sample_task();
  t.first = 0;
  t.count = 3;
  t.baseline[0] = '\0';
  t.payload = (mg_slice){payload, sizeof payload};
  return t;
}

/* Two columns, one of which keeps its pairs; groups and clusters. Made once. */
static mg_measures *sample_measures(void) {
  static mg_measures *m;
  if (m != NULL || mg_measures_new(&m, 2, NULL) != MG_OK) return m;
  static const double baseline[] = {-1.5, 0, 2.25, 1e9}, candidate[] = {3, -1e-9, 2.25, 7};
  m->columns[1].keeps = true;
  for (uint64_t i = 0; i < 4; i++) {
    for (int k = 0; k < 2; k++) (void)mg_column_add(&m->columns[k], true, baseline[i], candidate[i], i, NULL);
  }
  m->columns[0].missing = 2;
  (void)mg_measures_group(m, "de", &(mg_pairs){1, 0, 2, 0}, NULL);
  (void)mg_measures_group(m, "en", &(mg_pairs){0, 1, 0, 2}, NULL);
  m->ungrouped = 1;
  (void)mg_measures_cluster(m, 5, &(mg_cluster){1, 0, 3}, NULL);
  (void)mg_measures_cluster(m, UINT64_MAX, &(mg_cluster){0, 2, 3}, NULL);
  return m;
}

mg_result mg_sample_result(void) {
  static uint8_t outcomes[6] = {0x00, 0x00, 0x10, 0x43, 0x43, 0x0F};
  static mg_failed failed[] = {{2, MG_CANDIDATE, 1}, {3, MG_CANDIDATE, 5}, {3, MG_BASELINE, UINT64_MAX}, {4, MG_BASELINE, 2}};
  static const uint8_t binary[] = {0, 255, 10, 128};
  static mg_violation violations[2];
  violations[0] = (mg_violation){2, 1002, MG_CANDIDATE, 0, mg_slice_of("raised: no"), mg_slice_of("{1, 2}, 1"), {0}, {0}, {0}};
  violations[1] = (mg_violation){
      4, 1ull << 33, MG_BASELINE, 63, mg_slice_of("permute"), mg_slice_of("{3}"), mg_slice_of("{}"), {binary, sizeof binary}, mg_slice_of("nil")};
  static mg_label labels[2];
  labels[0] = (mg_label){mg_slice_of("empty list"), 4};
  labels[1] = (mg_label){mg_slice_of("long"), UINT64_MAX};
  mg_result r = {.run = "r1",
                 .epoch = 1,
                 .id = "t0",
                 .attempt = 1,
                 .worker = "host.example-12-ab34",
                 .count = 6,
                 .outcomes = outcomes,
                 .failed = failed,
                 .failed_count = sizeof failed / sizeof *failed,
                 .violations = violations,
                 .violation_count = 2,
                 .labels = labels,
                 .label_count = 2,
                 .has_digest = true,
                 .digest = {0x0123456789abcdef, 0xfedcba9876543210},
                 .busy_ns = 123456789,
                 .role_ns = {5, 6000000000},
                 .fault = mg_slice_of("checks.lua:12: no"),
                 .measures = sample_measures()};
  return r;
}

mg_result mg_sample_refusal(void) {
  mg_result r = {.run = "r1", .id = "t0", .attempt = 7, .worker = "w", .refused = mg_slice_of("other files")};
  fill(r.worker_fingerprint, sizeof r.worker_fingerprint, 1);
  return r;
}

mg_beat mg_sample_beat(void) {
  static mg_beat_task tasks[] = {{.run = "r1", .id = "t0", .attempt = 1, .running = true, .case_number = 77, .role = MG_CANDIDATE},
                                 {.run = "r1", .id = "t1.1", .attempt = 2},
                                 {.run = "r2", .id = "x", .attempt = 300, .running = true, .case_number = 0}};
  mg_beat b = {.worker = "host-1-00ff",
               .counter = 99,
               .executors = 4,
               .executors_up = 3,
               .restarts = 1,
               .draining = true,
               .quarantined = true,
               .cases_done = 1ull << 50,
               .tasks = tasks,
               .task_count = 3};
  fill(b.fingerprint, sizeof b.fingerprint, 50);
  return b;
}

mg_control mg_sample_control(void) { return (mg_control){.kind = MG_TASKS_DROPPED, .subject = "r1", .epoch = 3, .task_count = 2, .tasks = {"1.7", "2.300"}}; }
