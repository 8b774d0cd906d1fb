#include "cli/case_task.h"

#include <errno.h>
#include <msgpack/pack.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void put_case(msgpack_packer *pk, uint64_t case_number, const mg_buf *args) {
  msgpack_pack_array(pk, 2);
  msgpack_pack_uint64(pk, case_number);
  if (args == NULL) {
    msgpack_pack_nil(pk);
  } else {
    msgpack_pack_bin(pk, args->len);
    msgpack_pack_bin_body(pk, args->data, args->len);
  }
}

/* Lines of the inputs from case first on; blank lines are no cases. */
static mg_err put_inputs(mg_plan *p, msgpack_packer *pk, uint64_t first, uint32_t count, mg_error *e) {
  FILE *f = fopen(p->inputs, "re");
  if (f == NULL) return mg_fail_errno(e, MG_ARG, errno, "cannot open %s", p->inputs);
  char *line = NULL;
  size_t cap = 0;
  ssize_t n;
  uint64_t at = 0;
  mg_err err = MG_OK;
  mg_buf args = {0};
  while (err == MG_OK && at < first + count && (n = getline(&line, &cap, f)) > 0) {
    if (strspn(line, " \t\r\n") == (size_t)n) continue;
    if (at++ < first) continue;
    mg_buf_clear(&args);
    err = mg_plan_input(p, line, (size_t)n, &args, e);
    if (err == MG_OK && args.failed) err = mg_fail(e, MG_NOMEM, "memory ended");
    if (err == MG_OK) put_case(pk, at - 1, &args);
  }
  if (err == MG_OK && at < first + count) {
    err = mg_fail(e, MG_ARG, "%s has no case %llu: it holds %llu", p->inputs, (unsigned long long)first, (unsigned long long)at);
  }
  mg_buf_fini(&args);
  free(line);
  (void)fclose(f);
  return err;
}

mg_err mg_case_task(mg_plan *p, mg_task_kind kind, uint64_t first, uint32_t count, mg_task *t, mg_buf *payload, mg_error *e) {
  msgpack_packer pk;
  mg_err err = MG_OK;
  mg_buf_clear(payload);
  msgpack_packer_init(&pk, payload, mg_buf_sink);
  msgpack_pack_array(&pk, count);
  if (p->inputs != NULL) {
    err = put_inputs(p, &pk, first, count, e);
  } else {
    for (uint32_t i = 0; i < count; i++) put_case(&pk, first + i, NULL);
  }
  if (err == MG_OK && payload->failed) err = mg_fail(e, MG_NOMEM, "memory ended");
  *t = (mg_task){.run = "single", .epoch = 1, .id = "1", .attempt = 1, .kind = kind, .count = count, .payload = mg_buf_slice(payload)};
  t->seed = (uint64_t)p->seed;
  memcpy(t->fingerprint, p->fingerprint, sizeof t->fingerprint);
  (void)snprintf(t->baseline, sizeof t->baseline, "%s", p->baseline != NULL ? p->baseline : "");
  (void)snprintf(t->candidate, sizeof t->candidate, "%s", p->candidate);
  t->case_timeout_ms = p->case_timeout_ms;
  t->memory_mb = p->memory_mb;
  t->violation_cap = MG_MAX_CLAUSES + 1;
  return err;
}
