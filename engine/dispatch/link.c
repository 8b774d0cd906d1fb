/* The loop's side of the link: jobs go down, events come up. */
#include "dispatch/link_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

void mg_link_wake(mg_link *l) {
  if (atomic_exchange(&l->woken, true)) return;
  uint64_t one = 1;
  while (write(l->wake_fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

static void deliver(mg_link *l, const mg_parcel *p, const mg_item *i) {
  mg_link_event ev = {.kind = (mg_link_event_kind)i->kind,
                      .err = i->err,
                      .token = i->token,
                      .text = mg_parcel_text_at(p, i->text),
                      .from = mg_parcel_text_at(p, i->run),
                      .attempt = i->attempt,
                      .at_ms = i->ms,
                      .state = (mg_task_state)i->state,
                      .again = i->flag};
  if (ev.text == NULL) ev.text = "";
  if (ev.from == NULL) ev.from = "";
  mg_slice body = mg_parcel_body_of(p, i);
  switch (ev.kind) {
  case MG_EV_DEPTH: memcpy(&ev.depth, body.data, sizeof ev.depth); break;
  case MG_EV_CONTROL: memcpy(&ev.control, body.data, sizeof ev.control); break;
  case MG_EV_TASK:
    uv_mutex_lock(&l->lock);
    atomic_fetch_sub(&l->undelivered, 1);
    uv_mutex_unlock(&l->lock);
    ev.body = body;
    break;
  default: ev.body = body; break;
  }
  l->config.event(l->config.owner, &ev);
}

static void on_async(uv_async_t *handle) {
  mg_link *l = handle->data;
  uv_mutex_lock(&l->lock);
  bool full = l->outbox.count >= MG_LINK_EVENTS_MAX || l->outbox.bytes.len >= MG_LINK_EVENT_BYTES_MAX;
  (void)mg_parcel_move(&l->reading, &l->outbox);
  uv_mutex_unlock(&l->lock);
  if (full) mg_link_wake(l);
  for (size_t i = 0; i < l->reading.count; i++) deliver(l, &l->reading, &l->reading.items[i]);
  if (l->reading.stamp > l->beats_ms) l->beats_ms = l->reading.stamp;
  mg_parcel_clear(&l->reading);
  if (l->config.drained != NULL) l->config.drained(l->config.owner);
}

static void free_link(mg_link *l) {
  mg_parcel_fini(&l->inbox);
  mg_parcel_fini(&l->outbox);
  mg_parcel_fini(&l->reading);
  mg_parcel_fini(&l->work);
  mg_parcel_fini(&l->spare);
  mg_parcel_fini(&l->post);
  mg_buf_fini(&l->beat);
  mg_buf_fini(&l->frames);
  mg_buf_fini(&l->scratch);
  mg_beat_fini(&l->beat_message);
  mg_batch_clear(&l->batch);
  free(l->held);
  free(l->free_held);
  free(l->seen.now);
  free(l->seen.before);
  if (l->wake_fd >= 0) (void)close(l->wake_fd);
  uv_mutex_destroy(&l->lock);
  free(l);
}

static void on_closed(uv_handle_t *handle) { free_link(handle->data); }

mg_err mg_link_start(mg_link **out, uv_loop_t *loop, const mg_link_config *config, mg_error *e) {
  *out = NULL;
  mg_link *l = calloc(1, sizeof *l);
  if (l == NULL) return mg_fail(e, MG_NOMEM, "no memory for the link to the broker");
  l->config = *config;
  l->loop = loop;
  if (uv_mutex_init(&l->lock) != 0) {
    free(l);
    return mg_fail(e, MG_NOMEM, "no lock for the link to the broker");
  }
  l->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (l->wake_fd < 0) {
    int why = errno;
    free_link(l);
    return mg_fail_errno(e, MG_FATAL, why, "no eventfd for the link to the broker");
  }
  l->config.open.wake_fd = l->wake_fd;
  l->async.data = l;
  if (uv_async_init(loop, &l->async, on_async) != 0) {
    free_link(l);
    return mg_fail(e, MG_FATAL, "no way for the link thread to wake the loop");
  }
  atomic_store(&l->tick_ms, mg_now_ms());
  l->stats = (mg_link_stats){.depth = {-1, -1, -1, -1, -1}, .broker.lag = -1};
  l->shown = l->stats;
  if (uv_thread_create(&l->thread, mg_link_main, l) != 0) {
    uv_close((uv_handle_t *)&l->async, on_closed);
    return mg_fail(e, MG_FATAL, "no thread for the link to the broker");
  }
  l->running = true;
  *out = l;
  return MG_OK;
}

void mg_link_tick(mg_link *l) { atomic_store(&l->tick_ms, mg_now_ms()); }

/* Opens a job in the inbox; NULL where memory ended, and then nothing is locked. */
static mg_item *open_job(mg_link *l, mg_job_kind kind, uint64_t token) {
  uv_mutex_lock(&l->lock);
  mg_item *i = mg_parcel_new(&l->inbox, (int)kind);
  if (i == NULL) {
    uv_mutex_unlock(&l->lock);
    return NULL;
  }
  i->token = token;
  return i;
}

static mg_err close_job(mg_link *l) {
  bool whole = !l->inbox.bytes.failed;
  if (whole) {
    atomic_fetch_add(&l->backlog, 1);
  } else {
    l->inbox.count--;
    l->inbox.bytes.failed = false; /* what stands is whole; only the last record was not */
  }
  uv_mutex_unlock(&l->lock);
  if (whole) mg_link_wake(l);
  return whole ? MG_OK : MG_NOMEM;
}

static void put_body(mg_link *l, mg_item *i, mg_slice body) {
  i->body = mg_parcel_body(&l->inbox, body.data, body.len);
  i->body_len = body.len;
}

/* --- worker --- */

void mg_link_want(mg_link *l, size_t tasks) {
  uv_mutex_lock(&l->lock);
  size_t coming = atomic_load(&l->undelivered), before = atomic_load(&l->want);
  size_t want = tasks > coming ? tasks - coming : 0;
  atomic_store(&l->want, want);
  uv_mutex_unlock(&l->lock);
  if ((want == 0) != (before == 0)) mg_link_wake(l);
}

void mg_link_step_back(mg_link *l, bool on) {
  if (atomic_exchange(&l->stepping_back, on) != on) mg_link_wake(l);
}

void mg_link_skip_run(mg_link *l, const char *run, mg_ms for_ms) {
  uv_mutex_lock(&l->lock);
  size_t at = 0, oldest = 0;
  for (; at < l->skip_count && strcmp(l->skips[at].run, run) != 0; at++) {
    if (l->skips[at].until < l->skips[oldest].until) oldest = at;
  }
  if (at == MG_LINK_SKIPS) at = oldest;
  if (at == l->skip_count) l->skip_count++;
  (void)strncpy(l->skips[at].run, run, sizeof l->skips[at].run - 1);
  l->skips[at].run[sizeof l->skips[at].run - 1] = '\0';
  l->skips[at].until = mg_now_ms() + for_ms;
  uv_mutex_unlock(&l->lock);
  mg_link_wake(l);
}

mg_err mg_link_finish(mg_link *l, uint64_t token, const char *run, mg_slice result) {
  mg_item *i = open_job(l, MG_JOB_FINISH, token);
  if (i == NULL) return MG_NOMEM;
  i->run = mg_parcel_run(&l->inbox, run);
  put_body(l, i, result);
  return close_job(l);
}

mg_err mg_link_give_back(mg_link *l, uint64_t token, mg_ms delay_ms, mg_slice result, const char *run) {
  mg_item *i = open_job(l, MG_JOB_GIVE_BACK, token);
  if (i == NULL) return MG_NOMEM;
  i->ms = delay_ms;
  i->run = mg_parcel_run(&l->inbox, run);
  put_body(l, i, result);
  return close_job(l);
}

mg_err mg_link_dead_letter(mg_link *l, uint64_t token, const char *why) {
  mg_item *i = open_job(l, MG_JOB_DEAD_LETTER, token);
  if (i == NULL) return MG_NOMEM;
  i->text = mg_parcel_text(&l->inbox, why);
  return close_job(l);
}

uint64_t mg_link_set_beat(mg_link *l, mg_slice beat, bool send_now) {
  uv_mutex_lock(&l->lock);
  uint64_t number = ++l->beats_given;
  mg_buf_clear(&l->beat);
  mg_buf_put(&l->beat, beat.data, beat.len);
  l->beat_given = true;
  l->beat_now = l->beat_now || send_now;
  uv_mutex_unlock(&l->lock);
  if (send_now) mg_link_wake(l);
  return number;
}

/* --- coordinator --- */

static mg_err publish(mg_link *l, mg_job_kind kind, uint64_t token, const char *run, const char *task, uint32_t attempt, mg_slice body, const char *why) {
  if (atomic_load(&l->backlog) >= MG_LINK_JOBS_MAX) return MG_AGAIN;
  mg_item *i = open_job(l, kind, token);
  if (i == NULL) return MG_NOMEM;
  i->attempt = attempt;
  i->run = mg_parcel_run(&l->inbox, run);
  i->task = mg_parcel_text(&l->inbox, task);
  i->text = mg_parcel_text(&l->inbox, why);
  put_body(l, i, body);
  return close_job(l);
}

mg_err mg_link_publish(mg_link *l, uint64_t token, const char *run, const char *task, uint32_t attempt, mg_slice body) {
  return publish(l, MG_JOB_PUBLISH, token, run, task, attempt, body, NULL);
}

mg_err mg_link_publish_dead(mg_link *l, uint64_t token, const char *run, const char *task, uint32_t attempt, mg_slice body, const char *why) {
  return publish(l, MG_JOB_PUBLISH_DEAD, token, run, task, attempt, body, why);
}

void mg_link_settle_result(mg_link *l, uint64_t token) {
  if (open_job(l, MG_JOB_SETTLE, token) != NULL) (void)close_job(l);
}

void mg_link_reclaim(mg_link *l, uint64_t token, const char *run, const char *worker, const char *const *tasks, size_t count) {
  mg_item *i = open_job(l, MG_JOB_RECLAIM, token);
  if (i == NULL) return;
  i->run = mg_parcel_run(&l->inbox, run);
  i->text = mg_parcel_text(&l->inbox, worker);
  i->count = count;
  i->body = l->inbox.bytes.len;
  for (size_t k = 0; k < count; k++) mg_buf_put(&l->inbox.bytes, tasks[k], strlen(tasks[k]) + 1);
  i->body_len = l->inbox.bytes.len - i->body;
  (void)close_job(l);
}

void mg_link_probe(mg_link *l, const char *run, const char *const *tasks, const uint32_t *attempts, size_t count) {
  mg_item *i = open_job(l, MG_JOB_PROBE, 0);
  if (i == NULL) return;
  i->run = mg_parcel_run(&l->inbox, run);
  i->count = count;
  i->body = l->inbox.bytes.len;
  mg_buf_put(&l->inbox.bytes, attempts, count * sizeof *attempts);
  for (size_t k = 0; k < count; k++) mg_buf_put(&l->inbox.bytes, tasks[k], strlen(tasks[k]) + 1);
  i->body_len = l->inbox.bytes.len - i->body;
  (void)close_job(l);
}

void mg_link_control(mg_link *l, const mg_control *c, mg_ms ttl_ms) {
  mg_item *i = open_job(l, MG_JOB_CONTROL, 0);
  if (i == NULL) return;
  i->ms = ttl_ms;
  put_body(l, i, (mg_slice){(const uint8_t *)c, sizeof *c});
  (void)close_job(l);
}

void mg_link_quarantine(mg_link *l, const char *worker, bool on, mg_ms ttl_ms) {
  mg_item *i = open_job(l, MG_JOB_QUARANTINE, 0);
  if (i == NULL) return;
  i->ms = ttl_ms;
  i->flag = on;
  i->text = mg_parcel_text(&l->inbox, worker);
  (void)close_job(l);
}

void mg_link_ask_depth(mg_link *l, const char *run) {
  mg_item *i = open_job(l, MG_JOB_DEPTH, 0);
  if (i == NULL) return;
  i->run = mg_parcel_run(&l->inbox, run);
  (void)close_job(l);
}

void mg_link_purge_run(mg_link *l, const char *run) {
  mg_item *i = open_job(l, MG_JOB_PURGE, 0);
  if (i == NULL) return;
  i->run = mg_parcel_run(&l->inbox, run);
  (void)close_job(l);
}

/* --- both --- */

mg_ms mg_link_beats_ms(const mg_link *l) { return l->beats_ms; }
size_t mg_link_backlog(const mg_link *l) { return atomic_load(&l->backlog); }
uint32_t mg_link_reconnects(const mg_link *l) { return atomic_load(&l->reconnects); }

uint64_t mg_link_beats_sent(const mg_link *l) { return atomic_load(&l->beats_sent); }

void mg_link_stop(mg_link *l, mg_ms until) {
  uv_mutex_lock(&l->lock);
  if (!l->stopping || until < l->stop_by) l->stop_by = until;
  l->stopping = true;
  uv_mutex_unlock(&l->lock);
  mg_link_wake(l);
}

void mg_link_free(mg_link *l) {
  if (l == NULL) return;
  mg_link_stop(l, mg_now_ms());
  if (l->running) (void)uv_thread_join(&l->thread);
  uv_close((uv_handle_t *)&l->async, on_closed);
}
