/* The coordinator's turn: publish tasks, settle results, what was asked, fetch results, read beats. */
#include "dispatch/link_internal.h"

#include <stdlib.h>
#include <string.h>

#define BACKEND(l) ((l)->config.backend)

static bool ready(const mg_item *i, mg_job_kind kind, mg_ms now) { return !i->done && i->kind == (int)kind && i->due <= now; }

/* Is an entry to be tried again? */
static bool passing(mg_err err) { return err == MG_AGAIN || err == MG_TIMEOUT || err == MG_CONN || err == MG_NOMEM; }

static void say_published(mg_link *l, mg_item *job, mg_err err, const char *text) {
  mg_item *ev = mg_link_say(l, MG_EV_PUBLISHED, text);
  if (ev != NULL) {
    ev->token = job->token;
    ev->err = err;
    ev->attempt = job->attempt;
  }
  mg_link_job_done(l, job);
}

/* One call; false where the connection went. */
static bool publish_batch(mg_link *l, mg_job_kind kind, size_t count) {
  mg_error e = {0};
  mg_err (*call)(mg_backend *, mg_publish *, size_t, mg_ms, mg_error *) = kind == MG_JOB_PUBLISH ? BACKEND(l)->publish_tasks : BACKEND(l)->publish_dead;
  size_t n = 0;
  mg_buf_clear(&l->frames);
  for (size_t k = 0; k < count; k++) {
    mg_item *job = &l->work.items[l->picked[k]];
    mg_err err = call == NULL ? mg_fail(&e, MG_UNSUPPORTED, "%s takes no dead letters", BACKEND(l)->name) : MG_OK;
    size_t at = l->frames.len;
    if (err == MG_OK) err = mg_link_seal(l, mg_parcel_body_of(&l->work, job), &e);
    if (err != MG_OK) {
      say_published(l, job, err, e.text);
      continue;
    }
    l->picked[n] = l->picked[k];
    l->at[n++] = at;
    l->at[n] = l->frames.len;
  }
  if (n == 0) return true;
  for (size_t k = 0; k < n; k++) {
    const mg_item *job = &l->work.items[l->picked[k]];
    l->publishes[k] = (mg_publish){.run = mg_parcel_text_at(&l->work, job->run),
                                   .task = mg_parcel_text_at(&l->work, job->task),
                                   .attempt = job->attempt,
                                   .body = {l->frames.data + l->at[k], l->at[k + 1] - l->at[k]},
                                   .why = mg_parcel_text_at(&l->work, job->text)};
  }
  int64_t from_ns = mg_now_ns();
  mg_err whole = mg_link_outcome(l, call(l->backend, l->publishes, n, mg_link_call_until(l), &e), &e);
  mg_link_count_call(&l->stats.publish_seconds, from_ns);
  if (whole == MG_CONN) return false;
  mg_ms retry = mg_now_ms() + MG_LINK_RETRY_MS;
  for (size_t k = 0; k < n; k++) {
    mg_item *job = &l->work.items[l->picked[k]];
    mg_err err = whole == MG_OK ? l->publishes[k].err : whole;
    if (!passing(err)) {
      l->stats.published += err == MG_OK;
      say_published(l, job, err, err == MG_OK ? NULL : e.text);
    } else {
      job->due = retry;
      mg_link_trouble(l, e.text);
    }
  }
  return true;
}

static bool publish_all(mg_link *l, mg_job_kind kind) {
  mg_ms now = mg_now_ms();
  size_t count = 0;
  for (size_t i = 0; i < l->work.count; i++) {
    if (!ready(&l->work.items[i], kind, now)) continue;
    l->picked[count++] = i;
    if (count < MG_LINK_CALL_ITEMS) continue;
    if (!publish_batch(l, kind, count)) return false;
    count = 0;
  }
  return count == 0 || publish_batch(l, kind, count);
}

static bool settle_batch(mg_link *l, size_t count) {
  mg_error e = {0};
  mg_err whole = mg_link_outcome(l, BACKEND(l)->ack_results(l->backend, l->settles, count, mg_link_call_until(l), &e), &e);
  if (whole == MG_CONN) return false;
  mg_ms retry = mg_now_ms() + MG_LINK_RETRY_MS;
  for (size_t k = 0; k < count; k++) {
    mg_item *job = &l->work.items[l->picked[k]];
    if (passing(whole == MG_OK ? l->settles[k].err : whole)) {
      job->due = retry;
    } else {
      mg_link_release(l, job->token);
      mg_link_job_done(l, job);
    }
  }
  return true;
}

static bool settle_all(mg_link *l) {
  mg_ms now = mg_now_ms();
  size_t count = 0;
  for (size_t i = 0; i < l->work.count; i++) {
    mg_item *job = &l->work.items[i];
    if (!ready(job, MG_JOB_SETTLE, now)) continue;
    mg_held *h = mg_link_held(l, job->token);
    /* Of an old connection: the broker brings it again, and it is dropped as a repeat. Or others came in the same message, and it stays for them. */
    if (h == NULL || h->parts > 1) {
      if (h != NULL) h->parts--;
      mg_link_job_done(l, job);
      continue;
    }
    l->settles[count] = (mg_settle){.lease = h->lease};
    l->picked[count++] = i;
    if (count < MG_LINK_CALL_ITEMS) continue;
    if (!settle_batch(l, count)) return false;
    count = 0;
  }
  return count == 0 || settle_batch(l, count);
}

/* --- what was asked --- */

static mg_err reclaim(mg_link *l, const mg_item *job, mg_error *e) {
  const char **tasks = NULL;
  if (job->count > 0) {
    tasks = malloc(job->count * sizeof *tasks);
    if (tasks == NULL) return mg_fail(e, MG_NOMEM, "no memory for a list of %zu tasks", job->count);
    const char *at = (const char *)l->work.bytes.data + job->body;
    for (size_t k = 0; k < job->count; k++, at += strlen(at) + 1) tasks[k] = at;
  }
  mg_batch_clear(&l->batch);
  mg_err err = MG_UNSUPPORTED;
  if ((BACKEND(l)->capabilities & MG_CAP_RECLAIM) != 0) {
    err = BACKEND(l)->reclaim(l->backend, mg_parcel_text_at(&l->work, job->run), mg_parcel_text_at(&l->work, job->text), tasks, job->count,
                              mg_link_call_until(l), &l->batch, e);
  }
  for (size_t k = 0; k < l->batch.count; k++) {
    mg_item *ev = mg_link_say(l, MG_EV_RECLAIMED, l->batch.items[k].task);
    if (ev == NULL) continue;
    ev->attempt = l->batch.items[k].attempt;
    ev->token = job->token;
    ev->run = mg_parcel_text(&l->post, l->batch.items[k].from);
  }
  mg_batch_clear(&l->batch);
  free(tasks);
  if (err == MG_CONN || err == MG_TIMEOUT) return err;
  mg_item *ev = mg_link_say(l, MG_EV_RECLAIM_DONE, NULL);
  if (ev != NULL) {
    ev->token = job->token;
    ev->err = err;
  }
  return err == MG_UNSUPPORTED ? MG_OK : err;
}

static mg_err probe(mg_link *l, const mg_item *job, mg_error *e) {
  if ((BACKEND(l)->capabilities & MG_CAP_RECLAIM) == 0 || job->count == 0) return MG_OK;
  mg_probe *items = calloc(job->count, sizeof *items);
  if (items == NULL) return mg_fail(e, MG_NOMEM, "no memory for a list of %zu tasks", job->count);
  const uint8_t *attempts = l->work.bytes.data + job->body;
  const char *at = (const char *)attempts + job->count * sizeof(uint32_t);
  for (size_t k = 0; k < job->count; k++, at += strlen(at) + 1) {
    items[k].task = at;
    memcpy(&items[k].attempt, attempts + k * sizeof(uint32_t), sizeof(uint32_t));
  }
  mg_err err = BACKEND(l)->probe(l->backend, mg_parcel_text_at(&l->work, job->run), items, job->count, mg_link_call_until(l), e);
  for (size_t k = 0; err == MG_OK && k < job->count; k++) {
    mg_item *ev = mg_link_say(l, MG_EV_PROBED, items[k].task);
    if (ev == NULL) break;
    ev->state = (int)items[k].state;
    ev->attempt = items[k].attempt;
  }
  free(items);
  return err;
}

static mg_err control(mg_link *l, const mg_item *job, mg_error *e) {
  mg_control c;
  char subject[sizeof c.subject + sizeof "/dropped"];
  mg_buf body = {0};
  memcpy(&c, mg_parcel_body_of(&l->work, job).data, sizeof c);
  /* Beside what is told of the run itself: each replaces its like alone. */
  (void)snprintf(subject, sizeof subject, "%s%s", c.subject, c.kind == MG_TASKS_DROPPED ? "/dropped" : "");
  mg_control_encode(&body, &c);
  mg_buf_clear(&l->frames);
  mg_err err = body.failed ? mg_fail(e, MG_NOMEM, "no memory for a control message") : mg_link_seal(l, mg_buf_slice(&body), e);
  mg_buf_fini(&body);
  if (err != MG_OK) return err;
  return BACKEND(l)->control(l->backend, subject, mg_buf_slice(&l->frames), job->ms, mg_link_call_until(l), e);
}

static mg_err depth(mg_link *l, const mg_item *job, mg_error *e) {
  mg_depth d = {-1, -1, -1, -1, -1};
  mg_err err = BACKEND(l)->depth(l->backend, mg_parcel_text_at(&l->work, job->run), mg_link_call_until(l), &d, e);
  if (err != MG_OK) return err;
  mg_item *ev = mg_link_say(l, MG_EV_DEPTH, NULL);
  if (ev == NULL) return MG_OK;
  ev->body = mg_parcel_body(&l->post, &d, sizeof d);
  ev->body_len = sizeof d;
  return MG_OK;
}

static mg_err ask(mg_link *l, const mg_item *job, mg_error *e) {
  size_t removed = 0;
  switch ((mg_job_kind)job->kind) {
  case MG_JOB_RECLAIM: return reclaim(l, job, e);
  case MG_JOB_PROBE: return probe(l, job, e);
  case MG_JOB_CONTROL: return control(l, job, e);
  case MG_JOB_DEPTH: return depth(l, job, e);
  case MG_JOB_QUARANTINE: return BACKEND(l)->quarantine(l->backend, mg_parcel_text_at(&l->work, job->text), job->flag, job->ms, mg_link_call_until(l), e);
  case MG_JOB_PURGE: return BACKEND(l)->purge_run(l->backend, mg_parcel_text_at(&l->work, job->run), mg_link_call_until(l), &removed, e);
  default: return MG_UNSUPPORTED;
  }
}

static bool ask_all(mg_link *l) {
  mg_ms now = mg_now_ms();
  for (size_t i = 0; i < l->work.count; i++) {
    mg_item *job = &l->work.items[i];
    if (job->done || job->due > now || job->kind < MG_JOB_RECLAIM) continue;
    mg_error e = {0};
    mg_err err = mg_link_outcome(l, ask(l, job, &e), &e);
    if (err == MG_CONN) return false;
    if (passing(err))
      job->due = mg_now_ms() + MG_LINK_RETRY_MS;
    else
      mg_link_job_done(l, job);
  }
  return true;
}

/* --- what comes in --- */

static void say_bad(mg_link *l, const char *what, const mg_error *e) {
  char text[600];
  (void)snprintf(text, sizeof text, "%s dropped: %s", what, e->text);
  (void)mg_link_say(l, MG_EV_BAD_MESSAGE, text);
}

/* A result nobody can read is settled like one that was: kept, it would come for ever. */
static void settle_unread(mg_link *l, uint64_t token) {
  mg_item *job = mg_parcel_new(&l->work, MG_JOB_SETTLE);
  if (job == NULL) return;
  job->token = token;
  atomic_fetch_add(&l->backlog, 1);
}

static bool say_result(mg_link *l, uint64_t token, mg_slice body) {
  mg_item *ev = mg_link_say(l, MG_EV_RESULT, NULL);
  size_t at = ev == NULL ? 0 : mg_parcel_body(&l->post, body.data, body.len);
  if (at == 0 && ev != NULL) l->post.count--;
  if (at == 0) return false;
  ev->token = token;
  ev->body = at;
  ev->body_len = body.len;
  return true;
}

static void take_result(mg_link *l, mg_delivery *d) {
  mg_error e = {0};
  mg_slice body, parts[MG_RESULTS_MOST];
  mg_frame_fault fault;
  size_t count = 0, said = 0;
  uint64_t token = mg_link_hold(l, d->lease);
  if (token == 0) {
    BACKEND(l)->forget(l->backend, d->lease);
    return;
  }
  mg_err err = mg_link_open_frame(l, d->body, &body, &fault, &e);
  if (err == MG_OK) err = mg_results_split(body, parts, &count, &e);
  if (err != MG_OK) {
    say_bad(l, "a result", &e);
    settle_unread(l, token);
    return;
  }
  mg_link_held(l, token)->parts = count;
  l->stats.fetched += count;
  while (said < count && say_result(l, token, parts[said])) said++;
  /* Memory ended: the broker brings it again. What was said of it by then is not settled, and comes as a repeat. */
  if (said < count) mg_link_release(l, token);
}

static bool fetch_results(mg_link *l) {
  mg_error e = {0};
  mg_link_flush(l);
  mg_ms until = mg_link_wait_until(l, mg_now_ms());
  if (l->stop_seen && mg_link_backlog(l) == 0) return true;
  if (l->stop_seen || !mg_link_room(l)) return mg_link_outcome(l, BACKEND(l)->service(l->backend, until, &e), &e) == MG_OK;
  mg_batch_clear(&l->batch);
  int64_t from_ns = mg_now_ns();
  mg_err err = mg_link_outcome(l, BACKEND(l)->fetch_results(l->backend, MG_LINK_CALL_ITEMS, until, &l->batch, &e), &e);
  if (l->batch.count > 0) mg_link_count_call(&l->stats.fetch_seconds, from_ns);
  if (err != MG_CONN) {
    for (size_t k = 0; k < l->batch.count; k++) take_result(l, &l->batch.items[k]);
  }
  mg_batch_clear(&l->batch);
  if (err == MG_AGAIN) (void)BACKEND(l)->service(l->backend, mg_now_ms() + MG_LINK_RETRY_MS, NULL);
  return err == MG_OK;
}

static void read_beats(mg_link *l) {
  mg_error e = {0};
  mg_batch_clear(&l->batch);
  mg_err err = mg_link_outcome(l, BACKEND(l)->read_beats(l->backend, mg_link_call_until(l), &l->batch, &e), &e);
  mg_ms now = mg_now_ms();
  if (err != MG_CONN) l->next_read = now + l->config.check_every_ms;
  for (size_t k = 0; err == MG_OK && k < l->batch.count; k++) {
    mg_slice body;
    mg_frame_fault fault;
    if (!mg_link_is_new(l, l->batch.items[k].body)) continue;
    if (mg_link_open_frame(l, l->batch.items[k].body, &body, &fault, &e) != MG_OK) {
      say_bad(l, "a beat", &e);
      continue;
    }
    mg_item *ev = mg_link_say(l, MG_EV_BEAT, NULL);
    if (ev == NULL) continue;
    ev->run = mg_parcel_text(&l->post, l->batch.items[k].from);
    ev->body = mg_parcel_body(&l->post, body.data, body.len);
    ev->body_len = ev->body == 0 ? 0 : body.len;
  }
  mg_link_read_over(l);
  mg_batch_clear(&l->batch);
  if (err == MG_OK) l->post.stamp = now;
}

void mg_link_coordinator_turn(mg_link *l) {
  if (!publish_all(l, MG_JOB_PUBLISH) || !publish_all(l, MG_JOB_PUBLISH_DEAD)) return;
  if (!settle_all(l) || !ask_all(l) || !mg_link_ask_stats(l)) return;
  if (!fetch_results(l)) return;
  if (mg_now_ms() >= l->next_read) read_beats(l);
}
