/* The link thread: connection, turns, and what both kinds of turn share. */
#include "dispatch/link_internal.h"

#include "base/hash.h"
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TROUBLE_EVERY_MS = 5000, TIMEOUTS_MAX = 2, CALL_MIN_MS = 1000, CALL_MAX_MS = 10000 };

static mg_ms earlier(mg_ms a, mg_ms b) { return a < b ? a : b; }

/* --- events up --- */

mg_item *mg_link_say(mg_link *l, mg_link_event_kind kind, const char *text) {
  mg_item *i = mg_parcel_new(&l->post, (int)kind);
  if (i == NULL) return NULL;
  i->text = mg_parcel_text(&l->post, text);
  i->ms = mg_now_ms();
  return i;
}

void mg_link_flush(mg_link *l) {
  if (l->post.count == 0 && l->post.stamp == 0) return;
  uv_mutex_lock(&l->lock);
  (void)mg_parcel_move(&l->outbox, &l->post);
  uv_mutex_unlock(&l->lock);
  (void)uv_async_send(&l->async);
}

bool mg_link_room(mg_link *l) {
  uv_mutex_lock(&l->lock);
  bool room = l->outbox.count < MG_LINK_EVENTS_MAX && l->outbox.bytes.len < MG_LINK_EVENT_BYTES_MAX;
  uv_mutex_unlock(&l->lock);
  return room;
}

void mg_link_trouble(mg_link *l, const char *text) {
  mg_ms now = mg_now_ms();
  l->stats.throttled++;
  if (now < l->next_trouble) return;
  l->next_trouble = now + TROUBLE_EVERY_MS;
  (void)mg_link_say(l, MG_EV_TROUBLE, text);
}

/* --- jobs down --- */

/* Under the lock. Should it not be readable, the one before goes on being sent: the worker is there all the same. */
static void take_beat(mg_link *l) {
  mg_beat next;
  mg_error e = {0};
  l->beat_given = false;
  if (mg_beat_decode(&next, mg_buf_slice(&l->beat), &e) != MG_OK) {
    mg_beat_fini(&next);
    (void)mg_link_say(l, MG_EV_BAD_MESSAGE, e.text);
    return;
  }
  mg_beat_fini(&l->beat_message);
  l->beat_message = next; /* its texts are its own */
  l->beat_number = l->beats_given;
  l->beat_ready = true;
  l->beat_due = l->beat_due || l->beat_now;
  l->beat_asked = l->beat_asked || l->beat_now;
  l->beat_now = false;
}

void mg_link_take(mg_link *l) {
  uint64_t wakes;
  while (read(l->wake_fd, &wakes, sizeof wakes) < 0 && errno == EINTR) continue;
  atomic_store(&l->woken, false);
  uv_mutex_lock(&l->lock);
  (void)mg_parcel_move(&l->work, &l->inbox);
  if (l->beat_given) take_beat(l);
  mg_link_show(l);
  l->stop_seen = l->stopping;
  uv_mutex_unlock(&l->lock);
  if (!l->failed) return;
  for (size_t i = 0; i < l->work.count; i++) mg_link_job_done(l, &l->work.items[i]);
  mg_link_sweep(l);
}

void mg_link_job_done(mg_link *l, mg_item *job) {
  if (job->done) return;
  job->done = true;
  atomic_fetch_sub(&l->backlog, 1);
}

void mg_link_sweep(mg_link *l) {
  size_t left = 0;
  for (size_t i = 0; i < l->work.count; i++) left += !l->work.items[i].done;
  if (left == 0) {
    mg_parcel_clear(&l->work);
  } else if (left < l->work.count / 2 || l->work.count > MG_LINK_CALL_ITEMS) {
    mg_parcel_clear(&l->spare);
    for (size_t i = 0; i < l->work.count; i++) {
      if (!l->work.items[i].done) (void)mg_parcel_copy(&l->spare, &l->work, &l->work.items[i]);
    }
    mg_parcel kept = l->spare;
    l->spare = l->work;
    l->work = kept;
  }
}

/* --- the connection --- */

static void fail(mg_link *l, const char *text) {
  if (l->failed) return;
  l->failed = true;
  (void)mg_link_say(l, MG_EV_FAILED, text);
  mg_link_flush(l);
}

static bool is_up(const mg_link *l) { return l->backend != NULL && !l->away; }

void mg_link_down(mg_link *l, const mg_error *why) {
  if (!is_up(l)) return;
  (void)mg_link_say(l, MG_EV_DISCONNECTED, why->text);
  l->away = (l->config.backend->capabilities & MG_CAP_RESUMES) != 0;
  if (!l->away) {
    mg_link_drop_leases(l);
    l->config.backend->close(l->backend);
    l->backend = NULL;
  }
  l->outage_since = mg_now_ms();
  l->timeouts = 0;
  l->seen.before_count = l->seen.now_count = 0;
}

mg_err mg_link_outcome(mg_link *l, mg_err err, mg_error *e) {
  switch (err) {
  case MG_OK:
    l->timeouts = 0;
    l->good_calls++;
    return MG_OK;
  case MG_CONN: mg_link_down(l, e); return MG_CONN;
  case MG_TIMEOUT:
    if (++l->timeouts < TIMEOUTS_MAX) return MG_TIMEOUT;
    mg_link_down(l, e);
    return MG_CONN;
  case MG_AGAIN:
  case MG_NOMEM: mg_link_trouble(l, e->text); return MG_AGAIN;
  case MG_FATAL:
  case MG_ARG: fail(l, e->text); return err;
  default: return err;
  }
}

/* Waits for a wake-up or until `until`. */
static void rest(mg_link *l, mg_ms until) {
  struct pollfd p = {.fd = l->wake_fd, .events = POLLIN};
  mg_link_flush(l);
  (void)poll(&p, 1, mg_until_ms(until));
}

static mg_ms jittered(mg_link *l, mg_ms wait) { return wait / 2 + (mg_ms)(rand_r(&l->jitter) % (unsigned)(wait / 2 + 1)); }

/* Whether the stop leaves no more time, or nothing to do. */
static bool over(const mg_link *l) {
  if (!l->stop_seen) return false;
  if (mg_now_ms() >= l->stop_by) return true;
  return l->work.count == 0 && !l->beat_due;
}

static bool is_final(mg_err err) { return err == MG_FATAL || err == MG_ARG || err == MG_UNSUPPORTED; }

/* Rests before the next attempt, longer each time; false where the stop came meanwhile. */
static bool back_off(mg_link *l) {
  mg_ms until = mg_now_ms() + jittered(l, l->backoff_ms);
  if (l->config.retry_for_ms != MG_NEVER) until = earlier(until, l->outage_since + l->config.retry_for_ms);
  l->backoff_ms = earlier(2 * l->backoff_ms, MG_LINK_BACKOFF_MAX_MS);
  do {
    rest(l, until);
    mg_link_take(l);
    if (over(l)) return false;
  } while (mg_now_ms() < until);
  return true;
}

/* Opens it, or has what was kept connect anew. */
static mg_err reach(mg_link *l, mg_ms until, mg_error *e) {
  mg_depth ignored;
  if (l->away) return l->config.backend->depth(l->backend, NULL, until, &ignored, e);
  mg_err err = l->config.backend->open(&l->backend, &l->config.open, until, e);
  if (err != MG_OK) l->backend = NULL;
  return err;
}

/* Whether the leases still stand is asked at once. */
static void take_up(mg_link *l) {
  l->away = false;
  for (size_t i = 0; l->config.worker && i < l->held_cap; i++) {
    if (l->held[i].used && l->held[i].lease != NULL) l->held[i].extend_ms = l->next_extend = mg_now_ms();
  }
}

bool mg_link_up(mg_link *l) {
  bool first = l->outage_since == 0;
  mg_ms connect_ms = (mg_ms)(1000 * mg_options_real(l->config.open.options, "connection.connect_timeout_seconds", 10));
  /* A connection that was opened and never served a call is no better than one that was refused. */
  if (first || l->good_calls > 0)
    l->backoff_ms = MG_LINK_BACKOFF_MIN_MS;
  else if (!back_off(l))
    return false;
  for (;;) {
    mg_error e = {0};
    mg_err err = reach(l, mg_now_ms() + connect_ms, &e);
    if (err == MG_OK) break;
    if (is_final(err)) {
      fail(l, e.text);
      return false;
    }
    mg_ms now = mg_now_ms();
    if (l->outage_since == 0) {
      l->outage_since = now;
      (void)mg_link_say(l, MG_EV_DISCONNECTED, e.text);
    }
    if (l->config.retry_for_ms != MG_NEVER && now - l->outage_since >= l->config.retry_for_ms) {
      char text[600];
      (void)snprintf(text, sizeof text, "no broker for %.0f s: %s", (double)(now - l->outage_since) / 1000, e.text);
      fail(l, text);
      return false;
    }
    if (!back_off(l)) return false;
  }
  if (l->away) take_up(l);
  l->good_calls = 0;
  if (!first) atomic_fetch_add(&l->reconnects, 1);
  l->outage_since = mg_now_ms(); /* from now on a connection is a reconnection */
  l->next_read = l->next_beat = l->next_stats = 0;
  l->throttled_before = 0;
  (void)mg_link_say(l, MG_EV_CONNECTED, l->config.backend->name);
  mg_link_flush(l);
  return true;
}

mg_ms mg_link_call_until(const mg_link *l) {
  mg_ms now = mg_now_ms(), ms = l->config.lease_ms / 3;
  ms = ms < CALL_MIN_MS ? CALL_MIN_MS : ms > CALL_MAX_MS ? CALL_MAX_MS : ms;
  mg_ms until = now + ms;
  return l->stop_seen && l->stop_by < until ? (l->stop_by > now + 100 ? l->stop_by : now + 100) : until;
}

mg_ms mg_link_wait_until(const mg_link *l, mg_ms now) {
  mg_ms until = earlier(now + l->config.poll_ms, l->next_read);
  if (l->config.worker) until = earlier(until, l->next_extend);
  if (l->config.worker && l->beat_ready) until = earlier(until, l->next_beat);
  if (l->stop_seen) until = earlier(until, l->stop_by);
  for (size_t i = 0; i < l->work.count; i++) {
    if (!l->work.items[i].done) until = earlier(until, l->work.items[i].due);
  }
  return until < now ? now : until;
}

mg_err mg_link_seal(mg_link *l, mg_slice body, mg_error *e) {
  size_t before = l->frames.len;
  mg_err err = mg_frame_seal(&l->config.codec, body, &l->frames, e);
  if (err == MG_OK && l->frames.failed) err = mg_fail(e, MG_NOMEM, "no memory for a message of %zu bytes", body.len);
  if (err != MG_OK) return err;
  l->stats.sent_plain_bytes += body.len;
  l->stats.sent_bytes += l->frames.len - before;
  return MG_OK;
}

mg_err mg_link_open_frame(mg_link *l, mg_slice frame, mg_slice *body, mg_frame_fault *fault, mg_error *e) {
  mg_buf_clear(&l->scratch);
  mg_err err = mg_frame_open(&l->config.codec, frame, &l->scratch, body, fault, e);
  if (err != MG_OK) return err;
  l->stats.received_bytes += frame.len;
  l->stats.received_plain_bytes += body->len;
  return MG_OK;
}

/* --- leases by token --- */

uint64_t mg_link_hold(mg_link *l, mg_lease *lease) {
  if (l->free_count == 0) {
    size_t cap = l->held_cap == 0 ? 64 : 2 * l->held_cap;
    mg_held *held = realloc(l->held, cap * sizeof *held);
    if (held == NULL) return 0;
    l->held = held;
    uint32_t *list = realloc(l->free_held, cap * sizeof *list);
    if (list == NULL) return 0;
    l->free_held = list;
    memset(held + l->held_cap, 0, (cap - l->held_cap) * sizeof *held);
    for (size_t i = cap; i > l->held_cap; i--) list[l->free_count++] = (uint32_t)(i - 1);
    l->held_cap = cap;
  }
  uint32_t at = l->free_held[--l->free_count];
  mg_held *h = &l->held[at];
  *h = (mg_held){.generation = h->generation + 1, .used = true, .lease = lease};
  l->held_count++;
  return (uint64_t)h->generation << 32 | (at + 1);
}

mg_held *mg_link_held(mg_link *l, uint64_t token) {
  size_t at = (size_t)(token & 0xffffffff);
  if (at == 0 || at > l->held_cap) return NULL;
  mg_held *h = &l->held[at - 1];
  return h->used && h->generation == (uint32_t)(token >> 32) ? h : NULL;
}

void mg_link_release(mg_link *l, uint64_t token) {
  mg_held *h = mg_link_held(l, token);
  if (h == NULL) return;
  if (h->lease != NULL && l->backend != NULL) l->config.backend->forget(l->backend, h->lease);
  h->lease = NULL;
  h->used = false;
  l->held_count--;
  l->free_held[l->free_count++] = (uint32_t)(h - l->held);
}

void mg_link_drop_leases(mg_link *l) {
  for (size_t i = 0; i < l->held_cap; i++) {
    mg_held *h = &l->held[i];
    if (!h->used) continue;
    uint64_t token = (uint64_t)h->generation << 32 | (i + 1);
    bool had = h->lease != NULL;
    h->lease = NULL; /* close() frees it */
    if (!l->config.worker) {
      mg_link_release(l, token);
    } else if (had) {
      mg_item *ev = mg_link_say(l, MG_EV_LEASE_LOST, "the connection was lost");
      if (ev != NULL) ev->token = token;
    }
  }
}

/* --- what a read brought that the read before did not --- */

bool mg_link_is_new(mg_link *l, mg_slice body) {
  uint64_t low, high;
  mg_seen *s = &l->seen;
  mg_xxh3_128(body.data, body.len, &low, &high);
  if (s->now_count == s->now_cap) {
    size_t cap = s->now_cap == 0 ? 32 : 2 * s->now_cap;
    uint64_t *grown = realloc(s->now, cap * sizeof *grown);
    if (grown == NULL) return true;
    s->now = grown;
    s->now_cap = cap;
  }
  s->now[s->now_count++] = low;
  for (size_t i = 0; i < s->before_count; i++) {
    if (s->before[i] == low) return false;
  }
  return true;
}

void mg_link_read_over(mg_link *l) {
  mg_seen s = l->seen;
  l->seen = (mg_seen){.now = s.before, .now_cap = s.before_cap, .before = s.now, .before_count = s.now_count, .before_cap = s.now_cap};
}

void mg_link_main(void *arg) {
  mg_link *l = arg;
  l->jitter = (unsigned)mg_now_ns() ^ (unsigned)(uintptr_t)l;
  l->next_extend = MG_NEVER;
  for (;;) {
    mg_link_take(l);
    if (over(l)) break;
    if (l->failed) {
      if (l->stop_seen) break;
      rest(l, MG_NEVER);
      continue;
    }
    if (!is_up(l) && !mg_link_up(l)) continue;
    if (l->config.worker)
      mg_link_worker_turn(l);
    else
      mg_link_coordinator_turn(l);
    mg_link_sweep(l);
    mg_link_flush(l);
  }
  if (l->config.worker && is_up(l) && !l->failed) mg_link_worker_leave(l);
  for (size_t i = 0; i < l->held_cap; i++) l->held[i].lease = NULL;
  if (l->backend != NULL) l->config.backend->close(l->backend);
  l->backend = NULL;
  (void)mg_link_say(l, MG_EV_STOPPED, NULL);
  mg_link_flush(l);
}
