#include "backends/sqs/sqs.h"

#include "backends/sqs/parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LEAVE_MS = 2000, REST_EVERY_MS = 500 };

static void sqs_close(mg_backend *b) {
  if (b == NULL) return;
  mg_sqs *s = mg_sqs_of(b);
  mg_ms until = mg_now_ms() + LEAVE_MS;
  if (s->client.http != NULL && s->client.good_ms > 0) {
    /* A coordinator's results come again at once, and what a poll brought last goes back. */
    for (mg_lease *l = s->results.first; l != NULL; l = l->next) {
      if (l->state != MG_SQS_HELD) continue;
      l->state = MG_SQS_STASHED;
      s->results.held--;
      s->results.stashed++;
    }
    if (!s->results.closed) mg_sqs_feed_rest(s, &s->results, until, true);
    mg_sqs_feed_rest(s, &s->tasks, until, true);
    if (s->trash_count > 0) mg_sqs_empty_trash(s, until);
  }
  if (s->client.http != NULL) {
    mg_sqs_exchange_end(s->client.http, s->board_x);
    mg_sqs_feed_fini(s, &s->tasks);
    mg_sqs_feed_fini(s, &s->results);
  }
  for (size_t i = 0; i < s->trash_count; i++) {
    free(s->trash[i].queue);
    free(s->trash[i].receipt);
  }
  mg_sqs_notes_fini(&s->notes);
  mg_sqs_client_fini(&s->client);
  mg_buf_fini(&s->beat);
  mg_buf_fini(&s->texts);
  mg_buf_fini(&s->scratch);
  free(s->identity);
  free(s->run);
  free(s);
}

/* The results queue and the place on the board of a coordinator. */
static mg_err open_coordinator(mg_sqs *s, mg_ms until, mg_error *e) {
  char url[MG_SQS_URL_BYTES];
  mg_sqs_results_queue(s, s->run, url);
  mg_err err = mg_sqs_check_names(s->run, "t", e);
  if (err == MG_OK) err = mg_sqs_check_alone(s, until, e);
  if (err == MG_OK && s->settings.results == NULL) {
    err = mg_sqs_make_queue(s, strrchr(url, '/') + 1, false, until, url, e);
    if (err == MG_FATAL) (void)mg_fail_in(e, "no results queue (results_queue_url names one that is there)");
  }
  if (err != MG_OK) return err;
  mg_sqs_feed_init(&s->results, url);
  err = mg_sqs_announce(s, false, until, e);
  return err == MG_FATAL ? mg_fail_in(e, "the board for announcements and controls") : err;
}

static mg_err sqs_open(mg_backend **out, const mg_backend_config *config, mg_ms until, mg_error *e) {
  mg_err err = MG_OK;
  char board[MG_SQS_NAME_BYTES];
  mg_sqs *s = calloc(1, sizeof *s);
  if (s == NULL) return mg_fail(e, MG_NOMEM, "no memory for the sqs backend");
  s->backend.ops = &mg_sqs_backend;
  s->wake_fd = config->wake_fd;
  s->instance = mg_sqs_instance();
  s->identity = strdup(config->identity == NULL ? "" : config->identity);
  s->run = config->run == NULL ? NULL : strdup(config->run);
  if (s->identity == NULL || (config->run != NULL && s->run == NULL)) {
    err = mg_fail(e, MG_NOMEM, "no memory for the sqs backend");
    goto out;
  }
  err = mg_sqs_settings_init(&s->settings, config->options, e);
  if (err == MG_OK) err = mg_sqs_client_init(&s->client, &s->settings, e);
  if (err != MG_OK) goto out;
  mg_sqs_feed_init(&s->tasks, s->settings.queue);
  mg_sqs_feed_init(&s->results, "");
  mg_sqs_name(&s->settings, "board", false, board);
  mg_sqs_beside(&s->settings, board, s->board);
  err = mg_sqs_look_at_queue(s, until, e);
  if (err == MG_OK && s->run != NULL) err = open_coordinator(s, until, e);
  if (err == MG_AGAIN) err = MG_CONN;
out:
  if (err != MG_OK) {
    s->client.good_ms = 0; /* nothing to be given back */
    sqs_close(&s->backend);
    return err;
  }
  *out = &s->backend;
  return MG_OK;
}

static mg_err sqs_fetch_tasks(mg_backend *b, const mg_fetch *how, mg_batch *out, mg_error *e) {
  mg_sqs *s = mg_sqs_of(b);
  mg_sqs_upkeep(s, how->until);
  return mg_sqs_feed_fetch(s, &s->tasks, how->max, how->lease_ms, how->until, out, e);
}

static mg_err sqs_fetch_results(mg_backend *b, size_t max, mg_ms until, mg_batch *out, mg_error *e) {
  mg_sqs *s = mg_sqs_of(b);
  if (s->run == NULL) return mg_fail(e, MG_ARG, "only a coordinator fetches results: this backend was opened without a run");
  mg_sqs_upkeep(s, until);
  return mg_sqs_feed_fetch(s, &s->results, max, s->settings.results_lease_ms, until, out, e);
}

static void sqs_forget(mg_backend *b, mg_lease *lease) {
  (void)b;
  if (lease != NULL) mg_sqs_lease_free(lease);
}

static mg_err sqs_reclaim(mg_backend *b, const char *run, const char *worker, const char *const *tasks, size_t count, mg_ms until, mg_batch *out, mg_error *e) {
  (void)b, (void)run, (void)worker, (void)tasks, (void)count, (void)until, (void)out;
  return mg_fail(e, MG_UNSUPPORTED, "SQS hands a task out again by itself when its visibility timeout ends");
}

static mg_err sqs_probe(mg_backend *b, const char *run, mg_probe *items, size_t count, mg_ms until, mg_error *e) {
  (void)b, (void)run, (void)items, (void)count, (void)until;
  return mg_fail(e, MG_UNSUPPORTED, "SQS cannot look up a single task");
}

/* Counts are those of all runs on the queue, and SQS calls them approximate. */
static mg_err sqs_depth(mg_backend *b, const char *run, mg_ms until, mg_depth *out, mg_error *e) {
  mg_sqs *s = mg_sqs_of(b);
  mg_error own = {0};
  char queue[MG_SQS_URL_BYTES];
  int64_t in_flight;
  *out = (mg_depth){-1, -1, -1, -1, -1};
  mg_err err = mg_sqs_count(s, s->settings.queue, until, &out->pending, &out->in_flight, &own);
  if (err == MG_LOST) err = MG_CONN;
  if (err == MG_OK) {
    mg_err dead = mg_sqs_count(s, s->dead, until, &out->dead, &in_flight, &own);
    if (dead == MG_OK) out->dead += in_flight;
    if (dead == MG_LOST) out->dead = 0;
    err = dead == MG_LOST || dead == MG_FATAL ? MG_OK : dead; /* who may not count them goes without */
  }
  if (run == NULL) run = s->run;
  if (err == MG_OK && run != NULL) {
    mg_sqs_results_queue(s, run, queue);
    mg_err results = mg_sqs_count(s, queue, until, &out->results, &in_flight, &own);
    if (results == MG_OK) out->results += in_flight;
    if (results == MG_LOST) out->results = 0;
    err = results == MG_LOST || results == MG_FATAL ? MG_OK : results;
  }
  if (err != MG_OK && e != NULL) *e = own;
  return err;
}

/* Tasks of the run that wait are not to be told from others' without receiving them: workers drop them. Its results queue goes. */
static mg_err sqs_purge_run(mg_backend *b, const char *run, mg_ms until, size_t *removed, mg_error *e) {
  mg_sqs *s = mg_sqs_of(b);
  mg_error own = {0};
  char queue[MG_SQS_URL_BYTES];
  *removed = 0;
  mg_err err = mg_sqs_check_names(run, "t", e);
  if (err != MG_OK) return err;
  bool mine = s->run != NULL && strcmp(run, s->run) == 0;
  if (mine) {
    (void)mg_sqs_announce(s, true, until, NULL);
    s->results.closed = true;
  }
  if (s->settings.results == NULL) {
    mg_sqs_results_queue(s, run, queue);
    err = mg_sqs_call(&s->client, "DeleteQueue", queue, NULL, NULL, until, NULL, NULL, &own);
    if (err != MG_OK && err != MG_LOST) {
      if (e != NULL) *e = own;
      return err;
    }
  }
  return mg_fail(e, MG_UNSUPPORTED, "the results queue of %s was removed; its tasks that still wait on SQS are dropped by the workers that get them", run);
}

static mg_err sqs_quarantine(mg_backend *b, const char *worker, bool on, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  (void)b, (void)worker, (void)on, (void)ttl_ms, (void)until;
  return mg_fail(e, MG_UNSUPPORTED, "SQS cannot refuse a worker its tasks: it obeys a control message");
}

static mg_err sqs_service(mg_backend *b, mg_ms until, mg_error *e) {
  mg_sqs *s = mg_sqs_of(b);
  (void)e;
  for (;;) {
    mg_sqs_upkeep(s, until);
    mg_sqs_feed_rest(s, &s->tasks, until, false);
    if (s->run != NULL && !s->results.closed) mg_sqs_feed_take(s, &s->results);
    mg_ms now = mg_now_ms();
    if (now >= until) return MG_OK;
    /* What came unasked must not lie here until the end of a long wait. */
    mg_ms end = (s->tasks.stashed > 0 || s->tasks.open > 0) && now + REST_EVERY_MS < until ? now + REST_EVERY_MS : until;
    if (mg_sqs_http_wait(s->client.http, end, s->wake_fd) == MG_AGAIN) return MG_OK;
  }
}

static mg_err sqs_stats(mg_backend *b, mg_ms until, mg_broker_stats *out, mg_error *e) {
  const mg_sqs *s = mg_sqs_of(b);
  (void)until, (void)e;
  out->throttled = s->client.throttled;
  return MG_OK;
}

const mg_backend_ops mg_sqs_backend = {
    .name = "sqs",
    .capabilities = MG_CAP_LIST_DEAD | MG_CAP_NACK_DELAY | MG_CAP_SHARED | MG_CAP_EXTEND,
    .open = sqs_open,
    .close = sqs_close,
    .publish_tasks = mg_sqs_publish_tasks,
    .fetch_tasks = sqs_fetch_tasks,
    .extend = mg_sqs_extend,
    .ack = mg_sqs_ack,
    .nack = mg_sqs_nack,
    .dead_letter = mg_sqs_dead_letter,
    .forget = sqs_forget,
    .publish_results = mg_sqs_publish_results,
    .fetch_results = sqs_fetch_results,
    .ack_results = mg_sqs_ack_results,
    .beat = mg_sqs_beat,
    .read_beats = mg_sqs_read_beats,
    .control = mg_sqs_control,
    .read_controls = mg_sqs_read_controls,
    .reclaim = sqs_reclaim,
    .probe = sqs_probe,
    .depth = sqs_depth,
    .list_dead = mg_sqs_list_dead,
    .redrive = mg_sqs_redrive,
    .purge_dead = mg_sqs_purge_dead,
    .purge_run = sqs_purge_run,
    .quarantine = sqs_quarantine,
    .service = sqs_service,
    .publish_dead = mg_sqs_publish_dead,
    .stats = sqs_stats,
    .examine = mg_sqs_examine,
};
