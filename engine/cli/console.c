#include "cli/console.h"

#include "cli/cli.h"
#include "wire/reader.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static mg_err load_queue(mg_console *c, const mg_args *a, const char *script, mg_error *e) {
  if (script == NULL) return mg_queue_load(&c->queue, mg_args_get(a, c->command, "backend"), mg_args_get(a, c->command, "queue-config"), e);
  mg_buf overrides = {0};
  mg_args_overrides(a, c->command, &overrides);
  mg_err err = mg_plan_load(&c->plan, script, overrides.data, overrides.len, e);
  mg_buf_fini(&overrides);
  if (err == MG_OK) c->queue = c->plan->queue;
  return err;
}

static mg_err find(mg_console *c, uint32_t needs, mg_error *e) {
  const char *name = mg_options_text(c->queue, "backend", "memory"), *why = NULL;
  c->ops = mg_backend_find(name, &why);
  if (c->ops == NULL) return mg_fail(e, MG_UNSUPPORTED, "backend %s: %s", name, why);
  if ((c->ops->capabilities & MG_CAP_SHARED) == 0) {
    return mg_fail(e, MG_ARG, "the %s backend has no other process to look at: give --backend and --queue-config, or a plan whose queue is shared", name);
  }
  if ((needs & ~c->ops->capabilities & MG_CAP_LIST_DEAD) != 0) {
    return mg_fail(e, MG_UNSUPPORTED, "%s cannot list its dead letters: use the broker's own tools for its dead letter queue", name);
  }
  return MG_OK;
}

int mg_console_open(mg_console *c, const mg_command *command, const mg_args *a, const char *script, uint32_t needs) {
  double timeout;
  mg_error e;
  *c = (mg_console){.command = command, .json = mg_args_get(a, command, "json") != NULL};
  if (!mg_args_number(a, command, "timeout", 0.1, 3600, 10, &timeout)) return MG_EXIT_USAGE;
  c->timeout_ms = (mg_ms)(timeout * 1000);
  mg_err err = load_queue(c, a, script, &e);
  if (err == MG_OK) err = find(c, needs, &e);
  if (err == MG_OK) err = mg_keyring_parse(&c->keys, getenv("MGUARD_SIGNING_KEY"), &e);
  if (err == MG_OK) {
    c->codec.keys = c->keys;
    mg_worker_name_make(c->identity, sizeof c->identity);
    mg_backend_config config = {.options = c->queue, .identity = c->identity, .wake_fd = -1};
    err = c->ops->open(&c->backend, &config, mg_console_until(c), &e);
  }
  return err == MG_OK ? -1 : mg_console_fail(c, &e);
}

void mg_console_close(mg_console *c) {
  if (c->listener != NULL) {
    size_t removed;
    (void)c->ops->purge_run(c->listener, c->listener_run, mg_console_until(c), &removed, NULL);
    c->ops->close(c->listener);
  }
  if (c->backend != NULL) c->ops->close(c->backend);
  if (c->plan == NULL) mg_options_free(c->queue);
  mg_plan_free(c->plan);
  mg_keyring_free(c->keys);
  mg_buf_fini(&c->scratch);
}

mg_ms mg_console_until(const mg_console *c) { return mg_now_ms() + c->timeout_ms; }

void mg_console_pause(mg_ms ms) {
  struct timespec left = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
  while (nanosleep(&left, &left) != 0 && errno == EINTR) {
  }
}

int mg_console_fail(const mg_console *c, const mg_error *e) {
  bool usage = e->code == MG_ARG || e->code == MG_UNSUPPORTED;
  return mg_complain(c->command->name, usage ? MG_EXIT_USAGE : MG_EXIT_FAILURE, "%s", e->text);
}

/* ---- messages ---- */

/* As the coordinator of a run without cases, whose place on the broker goes again at the end. */
static mg_err open_listener(mg_console *c, mg_error *e) {
  mg_run_id_make(mg_wall_ms(), c->listener_run);
  mg_backend_config config = {.options = c->queue, .identity = c->identity, .run = c->listener_run, .wake_fd = -1};
  return c->ops->open(&c->listener, &config, mg_console_until(c), e);
}

mg_err mg_console_read_beats(mg_console *c, mg_batch *out, mg_error *e) {
  mg_err err = MG_ARG;
  if (c->listener == NULL) {
    err = c->ops->read_beats(c->backend, mg_console_until(c), out, e);
    if (err != MG_ARG && err != MG_UNSUPPORTED) return err;
    err = open_listener(c, e);
    if (err != MG_OK) return err;
  }
  return c->ops->read_beats(c->listener, mg_console_until(c), out, e);
}

static mg_err unseal(mg_console *c, mg_slice framed, mg_slice *body, mg_error *e) {
  mg_frame_fault fault;
  mg_buf_clear(&c->scratch);
  return mg_frame_open(&c->codec, framed, &c->scratch, body, &fault, e);
}

bool mg_console_beat(mg_console *c, mg_slice framed, mg_beat *out) {
  mg_slice body;
  *out = (mg_beat){0};
  return unseal(c, framed, &body, NULL) == MG_OK && mg_beat_decode(out, body, NULL) == MG_OK;
}

bool mg_console_control(mg_console *c, mg_slice framed, mg_control *out) {
  mg_slice body;
  return unseal(c, framed, &body, NULL) == MG_OK && mg_control_decode(out, body, NULL) == MG_OK;
}

mg_err mg_console_task(mg_console *c, mg_slice framed, mg_task *out, mg_error *e) {
  mg_slice body;
  mg_err err = unseal(c, framed, &body, e);
  return err == MG_OK ? mg_task_decode(out, body, e) : err;
}

uint64_t mg_task_first_case(const mg_task *t) {
  if (t->payload.len == 0) return t->first;
  mg_reader r = mg_reader_over(t->payload);
  (void)mg_read_array(&r, t->count, t->count, 3, "payload");
  (void)mg_read_array(&r, 2, 2, 1, "payload");
  return mg_read_uint(&r, 0, UINT64_MAX, "payload");
}

/* ---- endings ---- */

mg_err mg_console_endings(mg_console *c, mg_endings *out, mg_error *e) {
  mg_batch batch = {0};
  *out = (mg_endings){0};
  mg_err err = c->ops->read_controls(c->backend, mg_console_until(c), &batch, e);
  if (err == MG_OK && batch.count > 0) {
    out->items = calloc(batch.count, sizeof *out->items);
    if (out->items == NULL) err = mg_fail(e, MG_NOMEM, "memory ended");
  }
  for (size_t i = 0; err == MG_OK && i < batch.count; i++) {
    mg_control control;
    if (!mg_console_control(c, batch.items[i].body, &control)) continue;
    if (control.kind != MG_RUN_CLOSED && control.kind != MG_RUN_CANCELLED) continue;
    memcpy(out->items[out->count].run, control.subject, sizeof control.subject);
    out->items[out->count++].kind = control.kind;
  }
  mg_batch_clear(&batch);
  return err;
}

void mg_endings_fini(mg_endings *n) {
  free(n->items);
  *n = (mg_endings){0};
}

mg_control_kind mg_endings_of(const mg_endings *n, const char *run) {
  for (size_t i = 0; i < n->count; i++) {
    if (strcmp(n->items[i].run, run) == 0) return n->items[i].kind;
  }
  return 0;
}

/* ---- words ---- */

/* Bytes of the UTF-8 character at text, 0 where it is none or a control. */
static size_t character(const unsigned char *text, size_t left) {
  static const unsigned lowest[5] = {0, 0, 0x80, 0x800, 0x10000};
  size_t n = text[0] < 0x80 ? 1 : (text[0] & 0xe0) == 0xc0 ? 2 : (text[0] & 0xf0) == 0xe0 ? 3 : (text[0] & 0xf8) == 0xf0 ? 4 : 0;
  if (n == 0 || n > left) return 0;
  unsigned code = n == 1 ? text[0] : text[0] & (0x7fu >> n);
  for (size_t i = 1; i < n; i++) {
    if ((text[i] & 0xc0) != 0x80) return 0;
    code = code << 6 | (text[i] & 0x3fu);
  }
  bool surrogate = code >= 0xd800 && code <= 0xdfff, control = code < 0x20 || (code >= 0x7f && code < 0xa0);
  return code < lowest[n] || code > 0x10ffff || surrogate || control ? 0 : n;
}

void mg_console_plain(char *out, const char *text, size_t len) {
  for (size_t i = 0; i < len;) {
    size_t n = character((const unsigned char *)text + i, len - i);
    if (n == 0) {
      *out++ = '?';
      i++;
    } else {
      memcpy(out, text + i, n);
      out += n;
      i += n;
    }
  }
  *out = '\0';
}

json_t *mg_json_plain(const char *text) {
  size_t len = strlen(text);
  char *copy = malloc(len + 1);
  if (copy == NULL) return NULL;
  mg_console_plain(copy, text, len);
  json_t *s = json_string(copy);
  free(copy);
  return s;
}

int mg_console_print(const mg_console *c, json_t *object) {
  char *text = object != NULL ? json_dumps(object, JSON_INDENT(2) | JSON_REAL_PRECISION(6)) : NULL;
  json_decref(object);
  if (text == NULL) return mg_complain(c->command->name, MG_EXIT_FAILURE, "memory ended");
  bool ok = puts(text) >= 0 && fflush(stdout) == 0;
  free(text);
  return ok ? 0 : mg_complain(c->command->name, MG_EXIT_FAILURE, "standard output cannot be written");
}
