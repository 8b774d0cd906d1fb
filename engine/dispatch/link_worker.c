/* The worker's turn: publish results, settle what they answered, extend, beat, read controls, fetch. */
#include "dispatch/link_internal.h"

#include "base/hash.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { EXTEND_RETRY_MS = 100, CONTROLS_MIN_MS = 100, CONTROLS_MAX_MS = 1000, GIVE_BACK_MIN_MS = 1000, GIVE_BACK_MAX_MS = 60000, LEAVE_MS = 2000 };
/* Results of so many bytes at most share a message, of so many in all. */
enum { PART_BYTES = 4096, TOGETHER_BYTES = 65536 };

#define BACKEND(l) ((l)->config.backend)

static bool passing(mg_err err) { return err == MG_AGAIN || err == MG_TIMEOUT || err == MG_CONN || err == MG_NOMEM; }
static mg_ms earlier(mg_ms a, mg_ms b) { return a < b ? a : b; }

static void say_settled(mg_link *l, mg_item *job, mg_err err) {
  if (job->state == 0) { /* else main has never seen the token */
    mg_item *ev = mg_link_say(l, MG_EV_SETTLED, NULL);
    if (ev != NULL) {
      ev->token = job->token;
      ev->err = err;
    }
  }
  mg_link_release(l, job->token);
  mg_link_job_done(l, job);
}

/* A job of the link's own, about a task main does not know. */
static void put_own(mg_link *l, mg_job_kind kind, uint64_t token, mg_ms delay_ms, const char *why) {
  mg_item *job = mg_parcel_new(&l->work, (int)kind);
  if (job == NULL) return;
  job->token = token;
  job->state = 1;
  job->ms = delay_ms;
  job->text = mg_parcel_text(&l->work, why);
  atomic_fetch_add(&l->backlog, 1);
}

/* --- results --- */

/* A result that cannot be sent will not become smaller: its task goes to the dead letters. */
static void refuse_result(mg_link *l, mg_item *job, const mg_error *e) {
  job->kind = MG_JOB_DEAD_LETTER;
  job->text = mg_parcel_text(&l->work, e->text);
  (void)mg_link_say(l, MG_EV_BAD_MESSAGE, e->text);
}

static const char *run_of(const mg_link *l, const mg_item *job) { return mg_parcel_text_at(&l->work, job->run); }

/* How many of the results that were picked go in one message, from the from-th on. */
static size_t together(const mg_link *l, size_t from, size_t count) {
  const mg_item *job = &l->work.items[l->picked[from]];
  size_t n = 1, bytes = job->body_len;
  if (job->alone || job->body_len > PART_BYTES) return 1;
  for (; from + n < count && n < MG_RESULTS_MOST; n++) {
    const mg_item *next = &l->work.items[l->picked[from + n]];
    bytes += next->body_len;
    if (next->alone || next->body_len > PART_BYTES || bytes > TOGETHER_BYTES || strcmp(run_of(l, job), run_of(l, next)) != 0) break;
  }
  return n;
}

/* The frame of n results. A message of several is named by what is in it: sent again with others it is another one. */
static mg_err seal_results(mg_link *l, size_t from, size_t n, char name[MG_TASK_MAX + 1], mg_error *e) {
  mg_slice parts[MG_RESULTS_MOST];
  uint64_t low, high;
  for (size_t i = 0; i < n; i++) parts[i] = mg_parcel_body_of(&l->work, &l->work.items[l->picked[from + i]]);
  if (n == 1) return mg_link_seal(l, parts[0], e);
  mg_buf_clear(&l->scratch);
  mg_results_encode(&l->scratch, parts, n);
  if (l->scratch.failed) return mg_fail(e, MG_NOMEM, "no memory for a message of %zu results", n);
  mg_slice body = mg_buf_slice(&l->scratch);
  mg_xxh3_128(body.data, body.len, &low, &high);
  (void)snprintf(name, MG_TASK_MAX + 1, "r.%016" PRIx64 "%016" PRIx64, high, low);
  return mg_link_seal(l, body, e);
}

/* The results of one message were not taken: not now, or not at all. */
static void not_taken(mg_link *l, size_t from, size_t n, bool for_now, const mg_error *e) {
  mg_ms now = mg_now_ms();
  if (for_now) mg_link_trouble(l, e->text);
  for (size_t i = 0; i < n; i++) {
    mg_item *job = &l->work.items[l->picked[from + i]];
    if (for_now)
      job->due = now + MG_LINK_RETRY_MS;
    else if (n > 1)
      job->alone = true;
    else
      refuse_result(l, job, e);
  }
}

static bool publish_batch(mg_link *l, size_t count) {
  mg_error e = {0};
  size_t n = 0, names = 0, kept = 0;
  mg_buf_clear(&l->frames);
  for (size_t from = 0, k; from < count; from += k) {
    k = together(l, from, count);
    size_t at = l->frames.len;
    mg_err err = seal_results(l, from, k, k > 1 ? l->names[names] : NULL, &e);
    if (err != MG_OK) {
      not_taken(l, from, k, passing(err), &e);
      continue;
    }
    const mg_item *job = &l->work.items[l->picked[from]];
    const mg_held *h = mg_link_held(l, job->token);
    l->publishes[n] = (mg_publish){.run = run_of(l, job), .task = k > 1 ? l->names[names++] : h->task, .attempt = k > 1 ? 1 : h->attempt};
    l->first[n] = kept;
    for (size_t i = 0; i < k; i++) l->picked[kept++] = l->picked[from + i];
    l->at[n++] = at;
    l->at[n] = l->frames.len;
    l->first[n] = kept;
  }
  if (n == 0) return true;
  for (size_t k = 0; k < n; k++) l->publishes[k].body = (mg_slice){l->frames.data + l->at[k], l->at[k + 1] - l->at[k]};
  int64_t from_ns = mg_now_ns();
  mg_err whole = mg_link_outcome(l, BACKEND(l)->publish_results(l->backend, l->publishes, n, mg_link_call_until(l), &e), &e);
  mg_link_count_call(&l->stats.publish_seconds, from_ns);
  if (whole == MG_CONN) return false;
  for (size_t k = 0; k < n; k++) {
    mg_err err = whole == MG_OK ? l->publishes[k].err : whole;
    if (err != MG_OK) {
      not_taken(l, l->first[k], l->first[k + 1] - l->first[k], passing(err), &e);
      continue;
    }
    l->stats.published += l->first[k + 1] - l->first[k];
    for (size_t i = l->first[k]; i < l->first[k + 1]; i++) l->work.items[l->picked[i]].flag = true;
  }
  return true;
}

static bool publish_results(mg_link *l) {
  mg_ms now = mg_now_ms();
  size_t count = 0;
  for (size_t i = 0; i < l->work.count; i++) {
    mg_item *job = &l->work.items[i];
    if (job->done || job->flag || job->body_len == 0 || job->due > now || job->kind == MG_JOB_DEAD_LETTER) continue;
    if (mg_link_held(l, job->token) == NULL) {
      mg_link_job_done(l, job);
      continue;
    }
    l->picked[count++] = i;
    if (count < MG_LINK_CALL_ITEMS) continue;
    if (!publish_batch(l, count)) return false;
    count = 0;
  }
  return count == 0 || publish_batch(l, count);
}

typedef mg_err (*mg_settle_call)(mg_backend *, mg_settle *, size_t, mg_ms, mg_error *);

static bool settle_batch(mg_link *l, mg_settle_call call, size_t count) {
  mg_error e = {0};
  mg_err whole = mg_link_outcome(l, call(l->backend, l->settles, count, mg_link_call_until(l), &e), &e);
  if (whole == MG_CONN) return false;
  mg_ms retry = mg_now_ms() + MG_LINK_RETRY_MS;
  for (size_t k = 0; k < count; k++) {
    mg_item *job = &l->work.items[l->picked[k]];
    mg_err err = whole == MG_OK ? l->settles[k].err : whole;
    if (passing(err))
      job->due = retry;
    else
      say_settled(l, job, err);
  }
  return true;
}

static bool settle_kind(mg_link *l, mg_job_kind kind, mg_settle_call call) {
  mg_ms now = mg_now_ms();
  size_t count = 0;
  for (size_t i = 0; i < l->work.count; i++) {
    mg_item *job = &l->work.items[i];
    if (job->done || job->kind != (int)kind || job->due > now) continue;
    if (!job->flag && kind != MG_JOB_DEAD_LETTER && job->body_len > 0) continue; /* its result is not out */
    const mg_held *h = mg_link_held(l, job->token);
    if (h == NULL || h->lease == NULL) {
      say_settled(l, job, MG_LOST);
      continue;
    }
    l->settles[count] = (mg_settle){.lease = h->lease, .ms = job->ms, .why = mg_parcel_text_at(&l->work, job->text)};
    l->picked[count++] = i;
    if (count < MG_LINK_CALL_ITEMS) continue;
    if (!settle_batch(l, call, count)) return false;
    count = 0;
  }
  return count == 0 || settle_batch(l, call, count);
}

/* --- leases and beats --- */

static bool main_is_alive(const mg_link *l, mg_ms now) {
  return l->config.tick_limit_ms == MG_NEVER || now - atomic_load(&l->tick_ms) <= l->config.tick_limit_ms;
}

static void say_lost(mg_link *l, size_t at) {
  mg_held *h = &l->held[at];
  mg_item *ev = mg_link_say(l, MG_EV_LEASE_LOST, "the broker has taken the task back");
  if (ev != NULL) ev->token = (uint64_t)h->generation << 32 | (at + 1);
  BACKEND(l)->forget(l->backend, h->lease);
  h->lease = NULL;
}

static bool extend_batch(mg_link *l, size_t count, mg_ms now) {
  mg_error e = {0};
  if (count == 0) return true;
  mg_err whole = mg_link_outcome(l, BACKEND(l)->extend(l->backend, l->settles, count, mg_link_call_until(l), &e), &e);
  if (whole == MG_CONN) return false;
  for (size_t k = 0; k < count; k++) {
    mg_held *h = &l->held[l->picked[k]];
    mg_err err = whole == MG_OK ? l->settles[k].err : whole;
    l->stats.extended += err == MG_OK;
    l->stats.extend_lost += err == MG_LOST;
    if (err == MG_LOST) {
      say_lost(l, l->picked[k]);
      continue;
    }
    h->extend_ms = now + (err == MG_OK ? l->config.lease_ms / 3 : EXTEND_RETRY_MS);
    l->next_extend = earlier(l->next_extend, h->extend_ms);
  }
  return true;
}

static bool extend_leases(mg_link *l) {
  mg_ms now = mg_now_ms();
  if (now < l->next_extend) return true;
  if ((BACKEND(l)->capabilities & MG_CAP_EXTEND) == 0) {
    l->next_extend = MG_NEVER;
    return true;
  }
  if (!main_is_alive(l, now)) {
    l->next_extend = now + EXTEND_RETRY_MS;
    return true;
  }
  size_t count = 0;
  l->next_extend = MG_NEVER;
  for (size_t i = 0; i < l->held_cap; i++) {
    mg_held *h = &l->held[i];
    if (!h->used || h->lease == NULL) continue;
    mg_ms last = l->config.max_task_ms > 0 ? h->fetched_ms + l->config.max_task_ms : MG_NEVER;
    if (now >= last) continue; /* it may end: no task takes that long */
    if (h->extend_ms > now + l->config.lease_ms / 30) {
      l->next_extend = earlier(l->next_extend, h->extend_ms);
      continue;
    }
    l->settles[count] = (mg_settle){.lease = h->lease, .ms = earlier(l->config.lease_ms, last - now)};
    l->picked[count++] = i;
    if (count < MG_LINK_CALL_ITEMS) continue;
    if (!extend_batch(l, count, now)) return false;
    count = 0;
  }
  return extend_batch(l, count, now);
}

static bool beat(mg_link *l) {
  mg_ms now = mg_now_ms();
  mg_error e = {0};
  if (!l->beat_ready || (now < l->next_beat && !l->beat_due)) return true;
  if (!main_is_alive(l, now)) {
    l->next_beat = now + earlier(l->config.beat_every_ms, EXTEND_RETRY_MS);
    return true;
  }
  mg_buf body = {0};
  l->beat_message.counter = atomic_fetch_add(&l->beats_sent, 1) + 1;
  mg_beat_encode(&body, &l->beat_message);
  mg_buf_clear(&l->frames);
  mg_err err = body.failed ? MG_NOMEM : mg_link_seal(l, mg_buf_slice(&body), &e);
  mg_buf_fini(&body);
  if (err == MG_OK) {
    err = mg_link_outcome(l, BACKEND(l)->beat(l->backend, mg_buf_slice(&l->frames), l->config.beat_ttl_ms, mg_link_call_until(l), &e), &e);
  }
  if (err == MG_CONN) return false;
  l->beat_due = false;
  mg_item *ev = err == MG_OK && l->beat_asked ? mg_link_say(l, MG_EV_BEATEN, NULL) : NULL;
  if (ev != NULL) {
    ev->token = l->beat_number;
    l->beat_asked = false;
  }
  l->next_beat = now + (err == MG_OK ? l->config.beat_every_ms : earlier(l->config.beat_every_ms, MG_LINK_RETRY_MS));
  return true;
}

/* A run that was cancelled may be resumed, and what this worker cannot read of it be wanted still. */
static void remember_over(mg_link *l, const mg_control *c) {
  if (c->kind != MG_RUN_CLOSED && !(c->kind == MG_RUN_CANCELLED && c->epoch == 0)) return;
  for (size_t i = 0; i < l->over_count; i++) {
    if (strcmp(l->over[i], c->subject) == 0) return;
  }
  char *at = l->over[l->over_next];
  (void)snprintf(at, sizeof l->over[0], "%.*s", (int)sizeof l->over[0] - 1, c->subject);
  l->over_names[l->over_next] = at;
  l->over_next = (l->over_next + 1) % MG_LINK_OVER;
  if (l->over_count < MG_LINK_OVER) l->over_count++;
}

static bool is_over(const mg_link *l, const char *run) {
  for (size_t i = 0; i < l->over_count; i++) {
    if (strcmp(l->over[i], run) == 0) return true;
  }
  return false;
}

static bool read_controls(mg_link *l) {
  mg_ms now = mg_now_ms(), every = l->config.beat_every_ms;
  mg_error e = {0};
  if (now < l->next_read) return true;
  l->next_read = now + (every < CONTROLS_MIN_MS ? CONTROLS_MIN_MS : every > CONTROLS_MAX_MS ? CONTROLS_MAX_MS : every);
  mg_batch_clear(&l->batch);
  mg_err err = mg_link_outcome(l, BACKEND(l)->read_controls(l->backend, mg_link_call_until(l), &l->batch, &e), &e);
  for (size_t k = 0; err == MG_OK && k < l->batch.count; k++) {
    mg_slice body;
    mg_frame_fault fault;
    mg_control c;
    if (!mg_link_is_new(l, l->batch.items[k].body)) continue;
    if (mg_link_open_frame(l, l->batch.items[k].body, &body, &fault, &e) != MG_OK || mg_control_decode(&c, body, &e) != MG_OK) {
      (void)mg_link_say(l, MG_EV_BAD_MESSAGE, e.text);
      continue;
    }
    remember_over(l, &c);
    mg_item *ev = mg_link_say(l, MG_EV_CONTROL, NULL);
    if (ev == NULL) continue;
    ev->body = mg_parcel_body(&l->post, &c, sizeof c);
    ev->body_len = sizeof c;
    if (ev->body == 0) l->post.count--;
  }
  if (err == MG_OK) mg_link_read_over(l);
  mg_batch_clear(&l->batch);
  return err != MG_CONN;
}

/* --- tasks --- */

static mg_ms give_back_delay(mg_link *l) {
  mg_ms delay = GIVE_BACK_MIN_MS << (l->give_backs < 6 ? l->give_backs : 6);
  l->give_backs++;
  return earlier(delay, GIVE_BACK_MAX_MS);
}

/* A newer message or an unknown key may be readable for another worker, while its run goes on; anything else is so for nobody. */
static void refuse_task(mg_link *l, uint64_t token, bool for_others, const mg_error *e) {
  char text[600];
  if (for_others && is_over(l, mg_link_held(l, token)->run)) {
    put_own(l, MG_JOB_FINISH, token, 0, NULL);
    return;
  }
  mg_ms delay = for_others ? give_back_delay(l) : 0;
  (void)snprintf(text, sizeof text, "a task %s: %s", for_others ? "given back" : "put among the dead letters", e->text);
  (void)mg_link_say(l, MG_EV_BAD_MESSAGE, text);
  put_own(l, for_others ? MG_JOB_GIVE_BACK : MG_JOB_DEAD_LETTER, token, delay, e->text);
  if (for_others && (BACKEND(l)->capabilities & MG_CAP_NACK_DELAY) == 0) l->fetch_after = mg_now_ms() + delay;
}

static bool take_task(mg_link *l, const mg_delivery *d, mg_ms now) {
  mg_error e = {0};
  mg_slice body;
  mg_frame_fault fault = MG_FRAME_OK;
  uint64_t token = mg_link_hold(l, d->lease);
  if (token == 0) {
    BACKEND(l)->forget(l->backend, d->lease);
    return false;
  }
  mg_held *h = mg_link_held(l, token);
  h->fetched_ms = now;
  h->extend_ms = now + l->config.lease_ms / 3;
  h->attempt = d->attempt;
  l->next_extend = earlier(l->next_extend, h->extend_ms);
  (void)strncpy(h->run, d->run, sizeof h->run - 1);
  (void)strncpy(h->task, d->task, sizeof h->task - 1);
  mg_err err = mg_link_open_frame(l, d->body, &body, &fault, &e);
  mg_task t;
  bool for_others = err != MG_OK && (fault == MG_FRAME_NEWER || fault == MG_FRAME_NO_KEY);
  if (err == MG_OK) {
    err = mg_task_decode(&t, body, &e);
    for_others = err == MG_UNSUPPORTED;
  }
  if (err != MG_OK) {
    refuse_task(l, token, for_others && h->run[0] != '\0', &e); /* whatever its version, mguard names the run beside the frame */
    return false;
  }
  l->give_backs = 0;
  if (h->run[0] == '\0') memcpy(h->run, t.run, sizeof h->run);
  if (h->task[0] == '\0') memcpy(h->task, t.id, sizeof h->task);
  if (h->attempt == 0) h->attempt = t.attempt;
  mg_item *ev = mg_link_say(l, MG_EV_TASK, NULL);
  size_t at = ev == NULL ? 0 : mg_parcel_body(&l->post, body.data, body.len);
  if (at == 0) {
    if (ev != NULL) l->post.count--;
    put_own(l, MG_JOB_GIVE_BACK, token, 0, NULL);
    return false;
  }
  ev->token = token;
  ev->attempt = h->attempt;
  ev->flag = d->again;
  if (d->again) l->next_read = earlier(l->next_read, now + CONTROLS_MIN_MS);
  ev->body = at;
  ev->body_len = body.len;
  return true;
}

static size_t copy_skips(mg_link *l, mg_ms now) {
  size_t n = 0;
  uv_mutex_lock(&l->lock);
  for (size_t i = 0; i < l->skip_count;) {
    if (l->skips[i].until <= now) {
      l->skips[i] = l->skips[--l->skip_count];
      continue;
    }
    l->skipping[n] = l->skips[i];
    l->skip_names[n] = l->skipping[n].run;
    n++;
    i++;
  }
  uv_mutex_unlock(&l->lock);
  return n;
}

static void fetch(mg_link *l) {
  mg_error e = {0};
  mg_ms now = mg_now_ms();
  mg_ms until = mg_link_wait_until(l, now);
  size_t want = atomic_load(&l->want);
  mg_link_flush(l);
  if (l->stop_seen && mg_link_backlog(l) == 0) return;
  if (want == 0 || l->stop_seen || now < l->fetch_after || !main_is_alive(l, now) || !mg_link_room(l)) {
    if (now < l->fetch_after) until = earlier(until, l->fetch_after);
    if (want == 0 && !l->stop_seen && BACKEND(l)->step_back != NULL && atomic_load(&l->stepping_back)) BACKEND(l)->step_back(l->backend);
    (void)mg_link_outcome(l, BACKEND(l)->service(l->backend, until, &e), &e);
    return;
  }
  mg_fetch how = {.max = want < MG_LINK_CALL_ITEMS ? want : MG_LINK_CALL_ITEMS,
                  .lease_ms = l->config.lease_ms,
                  .until = until,
                  .skip_runs = l->skip_names,
                  .skip_count = copy_skips(l, now),
                  .over_runs = l->over_names,
                  .over_count = l->over_count};
  mg_batch_clear(&l->batch);
  int64_t from_ns = mg_now_ns();
  mg_err err = mg_link_outcome(l, BACKEND(l)->fetch_tasks(l->backend, &how, &l->batch, &e), &e);
  if (l->batch.count > 0) mg_link_count_call(&l->stats.fetch_seconds, from_ns);
  l->stats.fetched += l->batch.count;
  size_t taken = 0;
  now = mg_now_ms();
  for (size_t k = 0; err != MG_CONN && k < l->batch.count; k++) taken += take_task(l, &l->batch.items[k], now);
  mg_batch_clear(&l->batch);
  if (taken > 0) {
    uv_mutex_lock(&l->lock);
    size_t left = atomic_load(&l->want);
    atomic_store(&l->want, left > taken ? left - taken : 0);
    atomic_fetch_add(&l->undelivered, taken);
    uv_mutex_unlock(&l->lock);
    mg_link_flush(l);
  }
  if (err == MG_AGAIN) (void)BACKEND(l)->service(l->backend, mg_now_ms() + MG_LINK_RETRY_MS, NULL);
}

void mg_link_worker_turn(mg_link *l) {
  if (!publish_results(l)) return;
  if (!settle_kind(l, MG_JOB_FINISH, BACKEND(l)->ack)) return;
  if (!settle_kind(l, MG_JOB_GIVE_BACK, BACKEND(l)->nack)) return;
  if (!settle_kind(l, MG_JOB_DEAD_LETTER, BACKEND(l)->dead_letter)) return;
  if (!extend_leases(l) || !beat(l) || !read_controls(l) || !mg_link_ask_stats(l)) return;
  mg_link_sweep(l);
  fetch(l);
}

void mg_link_worker_leave(mg_link *l) {
  mg_error e = {0};
  size_t count = 0;
  for (size_t i = 0; i < l->held_cap && count < MG_LINK_CALL_ITEMS; i++) {
    if (l->held[i].used && l->held[i].lease != NULL) l->settles[count++] = (mg_settle){.lease = l->held[i].lease};
  }
  if (count > 0) (void)BACKEND(l)->nack(l->backend, l->settles, count, mg_now_ms() + LEAVE_MS, &e);
}
