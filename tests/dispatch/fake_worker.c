#include "tests/dispatch/fake_worker.h"

#include "tests/brokers/brokers.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPS (&mg_memory_backend)

struct fake_worker {
  fake_world *world;
  pthread_t thread;
  char name[MG_NAME_MAX + 1];
  uint32_t executors;
  atomic_bool stop, gone;
  mg_backend *backend;
  mg_codec codec;
  uint64_t beats;
  mg_ms next_beat;
};

void fake_outcome(uint64_t c, mg_outcome out[MG_ROLES], mg_clause_mask masks[MG_ROLES]) {
  out[0] = out[1] = MG_PASS;
  masks[0] = masks[1] = 0;
  if (c % 101 == 100) {
    out[0] = out[1] = MG_DISCARD;
    return;
  }
  if (c % 97 == 96) {
    out[0] = out[1] = MG_FAIL;
    masks[0] = masks[1] = 1 << 1;
  }
  if (c % 89 == 88) {
    out[0] = MG_FAIL;
    masks[0] |= 1 << 1;
  }
  if (c % 83 == 82) {
    out[1] = MG_FAIL;
    masks[1] |= 1 << 2;
  }
}

static void beat_of(fake_worker *f, const mg_task *t, bool running, uint64_t at_case, mg_role role, bool leaving) {
  mg_beat b = {.counter = ++f->beats, .executors = f->executors, .executors_up = f->executors, .leaving = leaving};
  mg_beat_task task = {.running = running, .case_number = at_case, .role = role};
  mg_buf body = {0}, framed = {0};
  f->next_beat = mg_now_ms() + f->world->beat_ms;
  if (atomic_load(&f->world->mute)) return;
  memcpy(b.worker, f->name, sizeof b.worker);
  if (t != NULL) {
    memcpy(task.run, t->run, sizeof task.run);
    memcpy(task.id, t->id, sizeof task.id);
    task.attempt = t->attempt;
    b.tasks = &task;
    b.task_count = 1;
  }
  mg_beat_encode(&body, &b);
  if (mg_frame_seal(&f->codec, mg_buf_slice(&body), &framed, NULL) == MG_OK) {
    (void)OPS->beat(f->backend, mg_buf_slice(&framed), 60000, mg_now_ms() + 1000, NULL);
  }
  mg_buf_fini(&body);
  mg_buf_fini(&framed);
}

static void beat(fake_worker *f, const mg_task *t, bool running, uint64_t at_case, bool leaving) { beat_of(f, t, running, at_case, MG_CANDIDATE, leaving); }

/* Case numbers of a payload [[case, nil], ...] or [[case, bin], ...], written by the coordinator: uint64 each. */
static void payload_cases(mg_slice p, uint64_t *cases, uint32_t count) {
  const uint8_t *at = p.data + 5;
  for (uint32_t i = 0; i < count; i++) {
    uint64_t n = 0;
    for (int b = 0; b < 8; b++) n = n << 8 | at[2 + b];
    cases[i] = n;
    at += 10;
    if (*at == 0xc0)
      at += 1;
    else
      at += 5 + ((size_t)at[1] << 24 | (size_t)at[2] << 16 | (size_t)at[3] << 8 | at[4]);
  }
}

static void publish(fake_worker *f, const mg_task *t, mg_slice body) {
  mg_buf framed = {0};
  if (mg_frame_seal(&f->codec, body, &framed, NULL) == MG_OK) {
    mg_publish p = {.run = t->run, .task = t->id, .attempt = t->attempt, .body = mg_buf_slice(&framed)};
    (void)OPS->publish_results(f->backend, &p, 1, mg_now_ms() + 1000, NULL);
  }
  mg_buf_fini(&framed);
}

static void answer(fake_worker *f, const mg_task *t, uint32_t count, fake_deed deed, bool log) {
  mg_result r = {.epoch = t->epoch, .attempt = t->attempt, .count = count, .busy_ns = (uint64_t)count * f->world->busy_us * 1000};
  mg_buf body = {0};
  uint64_t *cases = calloc(t->count, sizeof *cases);
  r.outcomes = calloc(count + 1, 1);
  r.failed = calloc(2 * (size_t)count + 1, sizeof *r.failed);
  memcpy(r.run, t->run, sizeof r.run);
  memcpy(r.id, t->id, sizeof r.id);
  memcpy(r.worker, f->name, sizeof r.worker);
  if (t->payload.len > 0)
    payload_cases(t->payload, cases, t->count);
  else
    for (uint32_t i = 0; i < t->count; i++) cases[i] = t->first + i;
  for (uint32_t i = 0; i < count; i++) {
    mg_outcome out[MG_ROLES];
    mg_clause_mask masks[MG_ROLES];
    fake_outcome(cases[i], out, masks);
    if (!f->world->has_baseline) {
      out[0] = MG_ABSENT;
      masks[0] = 0;
    }
    if (f->world->outcome != NULL) f->world->outcome(f->world->owner, cases[i], t->kind == MG_TASK_REPEAT, out, masks);
    if (deed == FAKE_DIFFERENT && i == 0) out[1] = MG_ERROR, masks[1] = 1;
    if (deed == FAKE_LIE && i == 0) out[1] = MG_CASE_LOST, masks[1] = 0;
    r.outcomes[i] = (uint8_t)(out[0] | out[1] << 4);
    for (int role = 0; role < MG_ROLES; role++) {
      if (masks[role] != 0) r.failed[r.failed_count++] = (mg_failed){i, (mg_role)role, masks[role]};
    }
    if (!log || cases[i] >= f->world->cases) continue;
    atomic_fetch_add(t->kind == MG_TASK_REPEAT ? &f->world->repeats[cases[i]] : &f->world->runs[cases[i]], 1);
  }
  uint64_t thirds = 0;
  for (uint32_t i = 0; f->world->labels && i < count; i++) thirds += cases[i] % 3 == 0;
  if (thirds > 0) {
    r.labels = calloc(1, sizeof *r.labels);
    r.labels[r.label_count++] = (mg_label){.name = mg_slice_of("third"), .count = thirds};
  }
  if (deed == FAKE_REFUSE) {
    r.refused = mg_slice_of("other files");
    memset(r.worker_fingerprint, 0xab, 32);
  }
  if (deed == FAKE_FAULT) r.fault = mg_slice_of("checks.lua:7: generate raised: boom");
  mg_result_encode(&body, &r);
  publish(f, t, mg_buf_slice(&body));
  mg_buf_fini(&body);
  mg_result_fini(&r);
  free(cases);
}

/* Reads the controls; whether the run (NULL: none) is over, so that a result for it is not to be sent. */
static bool hear(fake_worker *f, const char *run) {
  mg_batch batch = {0};
  bool over = false;
  (void)OPS->read_controls(f->backend, mg_now_ms() + 1000, &batch, NULL);
  for (size_t i = 0; i < batch.count; i++) {
    mg_slice body;
    mg_buf scratch = {0};
    mg_frame_fault fault;
    mg_control c;
    if (mg_frame_open(&f->codec, batch.items[i].body, &scratch, &body, &fault, NULL) == MG_OK && mg_control_decode(&c, body, NULL) == MG_OK) {
      over = over || (run != NULL && (c.kind == MG_RUN_CLOSED || c.kind == MG_RUN_CANCELLED) && strcmp(c.subject, run) == 0);
      if (c.kind == MG_TASKS_DROPPED && c.task_count > atomic_load(&f->world->told_dropped)) atomic_store(&f->world->told_dropped, c.task_count);
    }
    mg_buf_fini(&scratch);
  }
  mg_batch_clear(&batch);
  return over;
}

/* false: the thread is to end, as if killed. */
static bool one_task(fake_worker *f, const mg_task *t, mg_lease *lease) {
  fake_world *w = f->world;
  fake_deed deed = w->deed == NULL ? FAKE_RUN : w->deed(w->owner, f->name, t);
  mg_settle s = {.lease = lease};
  uint64_t at = t->first + t->count / 2;
  atomic_fetch_add(&w->tasks, 1);
  if (t->care != MG_CARE_NONE && deed != FAKE_VANISH_IDLE) beat_of(f, t, true, t->first, MG_BASELINE, false);
  switch (deed) {
  case FAKE_VANISH: beat(f, t, true, t->payload.len > 0 ? 0 : at, false); /* fall through */
  case FAKE_VANISH_EARLY: atomic_fetch_add(&w->vanished, 1); return false;
  case FAKE_VANISH_IDLE:
    beat(f, t, false, 0, false);
    atomic_fetch_add(&w->vanished, 1);
    return false;
  case FAKE_LATE:
    beat(f, t, true, at, false);
    mg_test_pause((int)w->late_ms);
    beat(f, NULL, false, 0, false);
    break;
  case FAKE_SLOW:
    for (mg_ms end = mg_now_ms() + w->slow_ms; mg_now_ms() < end && !atomic_load(&f->stop) && !hear(f, t->run);) {
      beat(f, t, true, at, false);
      s.ms = w->lease_ms;
      (void)OPS->extend(f->backend, &s, 1, mg_now_ms() + 1000, NULL);
      mg_test_pause((int)w->beat_ms);
    }
    break;
  case FAKE_REFUSE:
    atomic_fetch_add(&w->refused, 1);
    answer(f, t, 0, deed, false);
    s.ms = 50;
    (void)OPS->nack(f->backend, &s, 1, mg_now_ms() + 1000, NULL);
    OPS->forget(f->backend, lease);
    return true;
  case FAKE_FAULT: answer(f, t, 0, deed, false); break;
  case FAKE_BURY:
    s.why = "cannot read it";
    (void)OPS->dead_letter(f->backend, &s, 1, mg_now_ms() + 1000, NULL);
    OPS->forget(f->backend, lease);
    return true;
  case FAKE_GARBAGE: {
    uint8_t bytes[] = {1, 0, 0xff, 0xff, 0x13};
    mg_publish p = {.run = t->run, .task = t->id, .attempt = t->attempt, .body = {bytes, sizeof bytes}};
    (void)OPS->publish_results(f->backend, &p, 1, mg_now_ms() + 1000, NULL);
    publish(f, t, mg_slice_of("no result at all"));
    break;
  }
  case FAKE_LIE: answer(f, t, t->count, deed, false); break;
  default: break;
  }
  if ((deed == FAKE_LATE || deed == FAKE_SLOW) && hear(f, t->run)) deed = FAKE_DROP;
  if (deed == FAKE_PARTIAL || deed == FAKE_HALF_AND_ALL)
    answer(f, t, (t->count + 1) / 2, FAKE_RUN, true);
  else if (deed != FAKE_DROP && deed != FAKE_FAULT)
    answer(f, t, t->count, FAKE_RUN, true);
  if (deed == FAKE_TWICE || deed == FAKE_HALF_AND_ALL) answer(f, t, t->count, FAKE_RUN, false);
  if (deed == FAKE_DIFFERENT) answer(f, t, t->count, FAKE_DIFFERENT, false);
  (void)OPS->ack(f->backend, &s, 1, mg_now_ms() + 1000, NULL);
  OPS->forget(f->backend, lease);
  return true;
}

static void *work(void *arg) {
  fake_worker *f = arg;
  fake_world *w = f->world;
  bool alive = true;
  beat(f, NULL, false, 0, false);
  while (alive && !atomic_load(&f->stop)) {
    mg_batch batch = {0};
    mg_fetch how = {.max = w->hold > 0 ? w->hold : 1, .lease_ms = w->lease_ms, .until = mg_now_ms() + 5};
    (void)OPS->fetch_tasks(f->backend, &how, &batch, NULL);
    for (size_t i = 0; i < batch.count && alive; i++) {
      mg_slice body;
      mg_buf scratch = {0};
      mg_frame_fault fault;
      mg_task t;
      if (mg_frame_open(&f->codec, batch.items[i].body, &scratch, &body, &fault, NULL) == MG_OK && mg_task_decode(&t, body, NULL) == MG_OK) {
        alive = one_task(f, &t, batch.items[i].lease);
        if (w->pace_ms > 0) mg_test_pause((int)w->pace_ms);
      }
      mg_buf_fini(&scratch);
    }
    mg_batch_clear(&batch);
    if (!alive || mg_now_ms() < f->next_beat) continue;
    beat(f, NULL, false, 0, false);
    (void)hear(f, NULL);
  }
  if (alive) beat(f, NULL, false, 0, true);
  atomic_store(&f->gone, true);
  return NULL;
}

fake_worker *fake_worker_start(fake_world *w, const char *name, uint32_t executors) {
  fake_worker *f = calloc(1, sizeof *f);
  if (f == NULL) return NULL;
  f->world = w;
  f->executors = executors;
  if (w->codec != NULL) f->codec = *w->codec;
  (void)snprintf(f->name, sizeof f->name, "%s", name);
  mg_backend_config config = {.identity = f->name, .wake_fd = -1, .shared = w->broker};
  if (OPS->open(&f->backend, &config, mg_now_ms() + 1000, NULL) != MG_OK || pthread_create(&f->thread, NULL, work, f) != 0) {
    free(f);
    return NULL;
  }
  return f;
}

bool fake_worker_gone(const fake_worker *f) { return atomic_load(&f->gone); }

void fake_worker_stop(fake_worker *f) {
  if (f == NULL) return;
  atomic_store(&f->stop, true);
  (void)pthread_join(f->thread, NULL);
  OPS->close(f->backend);
  free(f);
}
