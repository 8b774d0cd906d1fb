#include "backends/rabbitmq/rabbitmq.h"

#include "backends/rabbitmq/parts.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESULTS_LUMP = 512, REST_EVERY_MS = 200, PURGE_MOST = 2000 };

static void rabbit_close(mg_backend *b) {
  if (b == NULL) return;
  mg_rabbit *r = mg_rabbit_of(b);
  mg_rabbit_conn_close(r->publisher); /* first, so that results are out before their tasks go back */
  mg_rabbit_conn_close(r->receiver);
  mg_rabbit_feed_fini(&r->tasks);
  mg_rabbit_feed_fini(&r->results);
  free(r->unanswered);
  mg_newest_fini(&r->notes);
  mg_newest_fini(&r->said);
  mg_newest_fini(&r->delays);
  mg_batch_clear(&r->gets);
  mg_rabbit_settings_fini(&r->settings);
  free(r->identity);
  free(r->run);
  free(r);
}

static mg_err rabbit_open(mg_backend **out, const mg_backend_config *config, mg_ms until, mg_error *e) {
  mg_err err = MG_OK;
  char results[256] = "";
  mg_rabbit *r = calloc(1, sizeof *r);
  if (r == NULL) return mg_fail(e, MG_NOMEM, "no memory for the rabbitmq backend");
  r->backend.ops = &mg_rabbitmq_backend;
  r->wake_fd = config->wake_fd;
  r->identity = strdup(config->identity == NULL ? "" : config->identity);
  r->run = config->run == NULL ? NULL : strdup(config->run);
  if (r->identity == NULL || (config->run != NULL && r->run == NULL)) {
    err = mg_fail(e, MG_NOMEM, "no memory for the rabbitmq backend");
    goto out;
  }
  if (r->run != NULL) err = mg_rabbit_check_names(r->run, "t", e);
  if (err == MG_OK) err = mg_rabbit_settings_init(&r->settings, config->options, e);
  if (err != MG_OK) goto out;
  if (r->run != NULL) mg_rabbit_results_queue(r, r->run, results);
  mg_rabbit_feed_init(&r->tasks, MG_RABBIT_TASKS, r->settings.queue, r->settings.prefetch, 1);
  mg_rabbit_feed_init(&r->results, MG_RABBIT_RESULTS, results, UINT16_MAX, RESULTS_LUMP);
  err = mg_rabbit_ready(r, until, e);
out:
  if (err != MG_OK) {
    rabbit_close(&r->backend);
    return err;
  }
  *out = &r->backend;
  return MG_OK;
}

static mg_err rabbit_fetch_tasks(mg_backend *b, const mg_fetch *how, mg_batch *out, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  return mg_rabbit_feed_fetch(r, &r->tasks, how->max, how->until, out, e);
}

static mg_err rabbit_fetch_results(mg_backend *b, size_t max, mg_ms until, mg_batch *out, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  if (r->run == NULL) return mg_fail(e, MG_ARG, "only a coordinator fetches results: this backend was opened without a run");
  return mg_rabbit_feed_fetch(r, &r->results, max, until, out, e);
}

/* A task is held as long as the connection that holds it. */
static mg_err rabbit_extend(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  (void)until;
  mg_error why;
  if (r->receiver != NULL && mg_rabbit_pump(r->receiver, &why) != MG_OK) {
    mg_rabbit_drop(r, r->receiver);
    for (size_t i = 0; i < count; i++) items[i].err = MG_CONN;
    if (e != NULL) *e = why;
    return MG_CONN;
  }
  for (size_t i = 0; i < count; i++) items[i].err = mg_rabbit_is_held(items[i].lease, &r->tasks) ? MG_OK : MG_LOST;
  return MG_OK;
}

static void rabbit_forget(mg_backend *b, mg_lease *lease) { mg_rabbit_forget(mg_rabbit_of(b), lease); }

static mg_err rabbit_reclaim(mg_backend *b, const char *run, const char *worker, const char *const *tasks, size_t count, mg_ms until, mg_batch *out,
                             mg_error *e) {
  (void)b, (void)run, (void)worker, (void)tasks, (void)count, (void)until, (void)out;
  return mg_fail(e, MG_UNSUPPORTED, "RabbitMQ hands the tasks of a worker that went out again by itself");
}

static mg_err rabbit_probe(mg_backend *b, const char *run, mg_probe *items, size_t count, mg_ms until, mg_error *e) {
  (void)b, (void)run, (void)items, (void)count, (void)until;
  return mg_fail(e, MG_UNSUPPORTED, "RabbitMQ cannot look up a single task");
}

/* Of all runs on the queue. AMQP tells of ready messages alone, the management API of those that are held too. */
static mg_err rabbit_depth(mg_backend *b, const char *run, mg_ms until, mg_depth *out, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  mg_error ours = {0};
  char queue[256];
  *out = (mg_depth){.pending = -1, .in_flight = -1, .dead = -1, .results = -1, .oldest_ms = -1};
  int64_t delayed = 0;
  mg_err err = mg_rabbit_ready(r, until, &ours);
  if (err == MG_OK) err = mg_rabbit_count_delayed(r, until, &delayed, &ours); /* first: what leaves there meanwhile is counted here */
  if (err == MG_OK) err = mg_rabbit_count(r, r->settings.queue, until, &out->pending, &ours);
  if (out->pending >= 0) out->pending += delayed;
  mg_rabbit_dead_queue(r, queue);
  if (err == MG_OK) err = mg_rabbit_count(r, queue, until, &out->dead, &ours);
  if (run == NULL) run = r->run;
  if (err == MG_OK && run != NULL) {
    bool mine = r->run != NULL && strcmp(run, r->run) == 0;
    mg_rabbit_results_queue(r, run, queue);
    err = mg_rabbit_count(r, queue, until, &out->results, &ours);
    if (mine && out->results >= 0) out->results += (int64_t)(r->results.held + r->results.stashed);
  }
  if (out->pending < 0) r->declared = false; /* deleted: the next call makes it again */
  if (err == MG_OK) out->in_flight = mg_rabbit_in_flight(r);
  if (err != MG_OK && e != NULL) *e = ours;
  return err;
}

/* Its tasks are picked from among those that wait. A coordinator at its end does not hold up the many that others have there: workers drop its own. */
static mg_err purge_waiting(mg_rabbit *r, const char *run, mg_ms until, size_t *removed, mg_error *e) {
  int64_t waiting = 0;
  mg_err err = MG_OK;
  for (size_t i = 0; i < r->delays.count && err == MG_OK; i++) {
    char queue[256];
    (void)snprintf(queue, sizeof queue, "%s", r->delays.items[i].subject);
    err = mg_rabbit_count(r, queue, until, &waiting, e);
    if (err == MG_OK && waiting > 0) err = mg_rabbit_purge_tasks(r, queue, run, until, removed, e);
  }
  if (err == MG_OK) err = mg_rabbit_count(r, r->settings.queue, until, &waiting, e);
  if (err != MG_OK || waiting <= 0 || (r->run != NULL && waiting > PURGE_MOST)) return err;
  return mg_rabbit_purge_tasks(r, r->settings.queue, run, until, removed, e);
}

/* What workers hold they drop for the control that ended the run. Its results queue goes. */
static mg_err rabbit_purge_run(mg_backend *b, const char *run, mg_ms until, size_t *removed, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  char queue[256];
  *removed = 0;
  mg_err err = mg_rabbit_check_names(run, "t", e);
  if (err == MG_OK) err = mg_rabbit_ready(r, until, e);
  if (err == MG_OK) err = mg_rabbit_admin(r, until, e);
  if (err != MG_OK) return err;
  if (r->run != NULL && strcmp(run, r->run) == 0) r->results.closed = true;
  mg_rabbit_results_queue(r, run, queue);
  amqp_queue_delete_t d = {.queue = mg_amqp_text(queue)};
  err = mg_rabbit_ask(r->receiver, MG_RABBIT_ADMIN, AMQP_QUEUE_DELETE_METHOD, &d, AMQP_QUEUE_DELETE_OK_METHOD, 0, until, NULL, e);
  err = mg_rabbit_after(r, err);
  return err != MG_OK && err != MG_AGAIN ? err : purge_waiting(r, run, until, removed, e);
}

static mg_err rabbit_quarantine(mg_backend *b, const char *worker, bool on, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  (void)b, (void)worker, (void)on, (void)ttl_ms, (void)until;
  return mg_fail(e, MG_UNSUPPORTED, "RabbitMQ cannot refuse a worker its tasks: it obeys a control message");
}

static mg_err rabbit_service(mg_backend *b, mg_ms until, mg_error *e) {
  mg_rabbit *r = mg_rabbit_of(b);
  for (;;) {
    mg_err err = mg_rabbit_ready(r, until, e);
    if (err != MG_OK) return err;
    mg_rabbit_feed_rest(r, &r->tasks);
    mg_ms now = mg_now_ms();
    if (now >= until) return MG_OK;
    /* What came unasked must not lie here until the end of a long wait. */
    mg_ms end = (r->tasks.stashed > 0 || r->tasks.capacity > r->tasks.out) && now + REST_EVERY_MS < until ? now + REST_EVERY_MS : until;
    if (mg_rabbit_wait(r->receiver, r->publisher, end, r->wake_fd) == MG_AGAIN) return MG_OK;
  }
}

const mg_backend_ops mg_rabbitmq_backend = {
    .name = "rabbitmq",
    .capabilities = MG_CAP_LIST_DEAD | MG_CAP_NACK_DELAY | MG_CAP_SHARED,
    .open = rabbit_open,
    .close = rabbit_close,
    .publish_tasks = mg_rabbit_publish_tasks,
    .fetch_tasks = rabbit_fetch_tasks,
    .extend = rabbit_extend,
    .ack = mg_rabbit_ack,
    .nack = mg_rabbit_nack,
    .dead_letter = mg_rabbit_dead_letter,
    .forget = rabbit_forget,
    .publish_results = mg_rabbit_publish_results,
    .fetch_results = rabbit_fetch_results,
    .ack_results = mg_rabbit_ack_results,
    .beat = mg_rabbit_beat,
    .read_beats = mg_rabbit_read_beats,
    .control = mg_rabbit_control,
    .read_controls = mg_rabbit_read_controls,
    .reclaim = rabbit_reclaim,
    .probe = rabbit_probe,
    .depth = rabbit_depth,
    .list_dead = mg_rabbit_list_dead,
    .redrive = mg_rabbit_redrive,
    .purge_dead = mg_rabbit_purge_dead,
    .purge_run = rabbit_purge_run,
    .quarantine = rabbit_quarantine,
    .service = rabbit_service,
    .publish_dead = mg_rabbit_publish_dead,
    .stats = mg_rabbit_stats,
    .examine = mg_rabbit_examine,
};
