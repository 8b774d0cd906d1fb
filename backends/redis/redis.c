#include "backends/redis/redis.h"

#include "backends/redis/parts.h"
#include "base/hash.h"

#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PING_MS = 30000, REFRESH_AGAIN_MS = 5000 };

mg_lease *mg_redis_lease_new(mg_redis *r, bool result, const char *run, size_t run_len, const char *id, size_t id_len, const char *token) {
  size_t token_len = strlen(token);
  mg_lease *l = malloc(sizeof *l + run_len + id_len + token_len + 3);
  if (l == NULL) return NULL;
  char *p = l->texts;
  *l = (mg_lease){.result = result, .run = p, .id = p + run_len + 1, .token = p + run_len + id_len + 2};
  memcpy(p, run, run_len);
  p[run_len] = '\0';
  memcpy(p + run_len + 1, id, id_len);
  p[run_len + 1 + id_len] = '\0';
  memcpy(p + run_len + id_len + 2, token, token_len + 1);
  l->next = r->leases;
  if (l->next != NULL) l->next->previous = l;
  r->leases = l;
  return l;
}

void mg_redis_lease_free(mg_redis *r, mg_lease *l) {
  if (l == NULL) return;
  if (l->previous != NULL)
    l->previous->next = l->next;
  else
    r->leases = l->next;
  if (l->next != NULL) l->next->previous = l->previous;
  free(l);
}

const char *mg_redis_task_of(const char *id, uint32_t *attempt) {
  char *end = NULL;
  *attempt = 0;
  if (id[0] < '0' || id[0] > '9') return id;
  unsigned long n = strtoul(id, &end, 10);
  if (*end != ':' || n > UINT32_MAX) return id;
  *attempt = (uint32_t)n;
  return end + 1;
}

mg_slice mg_redis_frame_of(const redisReply *record) {
  const char *p = record->str;
  size_t i = 0;
  while (i < record->len && i < 20 && p[i] >= '0' && p[i] <= '9') i++;
  if (i == 0 || i == record->len || p[i] != '|')
    i = 0;
  else
    i++;
  return (mg_slice){(const uint8_t *)p + i, record->len - i};
}

void mg_redis_arg_id(mg_redis_args *a, const char *task, uint32_t attempt) {
  char id[320];
  int len = snprintf(id, sizeof id, "%u:%s", (unsigned)attempt, task);
  if (len < 0 || (size_t)len >= sizeof id) len = (int)sizeof id - 1;
  mg_redis_arg(a, id, (size_t)len);
}

bool mg_redis_is_text(const redisReply *r) { return r->type == REDIS_REPLY_STRING || r->type == REDIS_REPLY_STATUS; }

mg_err mg_redis_check_names(const char *run, const char *task, mg_error *e) {
  if (run == NULL || run[0] == '\0' || strlen(run) > 256 || strpbrk(run, "\r\n") != NULL) {
    return mg_fail(e, MG_ARG, "a run's name must have 1 to 256 bytes and no line ends");
  }
  if (task == NULL || task[0] == '\0' || strlen(task) > 256 || strpbrk(task, "\r\n") != NULL) {
    return mg_fail(e, MG_ARG, "a task's name must have 1 to 256 bytes and no line ends");
  }
  return MG_OK;
}

mg_err mg_redis_run_one(mg_redis *r, mg_redis_call *call, mg_ms until, mg_error *e) { return mg_redis_run(&r->client, call, 1, until, e); }

void mg_redis_refresh(mg_redis *r, mg_ms until) {
  int64_t ttl = r->client.settings.retention_ms;
  mg_ms now = mg_now_ms();
  mg_ms every = ttl / 4 < 60000 ? ttl / 4 : 60000;
  if (r->run == NULL || (r->refreshed_ms != 0 && now - r->refreshed_ms < every)) return;
  mg_redis_call call = {0};
  mg_redis_call_script(&r->client, &call, MG_SCRIPT_REFRESH, r->run);
  mg_redis_arg_int(&call.args, ttl);
  mg_redis_arg_text(&call.args, r->run);
  bool ok = mg_redis_run_one(r, &call, until, NULL) == MG_OK;
  r->refreshed_ms = ok ? now : now - every + REFRESH_AGAIN_MS;
  mg_redis_call_fini(&call);
}

/* A claim whose reply was lost outlives the backend that made it: whoever opens one of the same identity in this process (a link that
 * reconnects) takes it up. Without this the claimed tasks would wait for the end of their lease. */
enum { LOST_CLAIMS = 16 };
static struct { char identity[160], token[48]; } lost_claims[LOST_CLAIMS];
static size_t lost_next;
static pthread_mutex_t lost_lock = PTHREAD_MUTEX_INITIALIZER;

static void leave_lost_claim(const mg_redis *r) {
  if (!r->recover || r->identity == NULL || r->identity[0] == '\0' || strlen(r->identity) >= sizeof lost_claims[0].identity) return;
  pthread_mutex_lock(&lost_lock);
  size_t at = lost_next++ % LOST_CLAIMS;
  memcpy(lost_claims[at].identity, r->identity, strlen(r->identity) + 1);
  memcpy(lost_claims[at].token, r->token, sizeof r->token);
  pthread_mutex_unlock(&lost_lock);
}

static void take_lost_claim(mg_redis *r) {
  pthread_mutex_lock(&lost_lock);
  for (size_t i = 0; i < LOST_CLAIMS && !r->recover; i++) {
    if (lost_claims[i].identity[0] == '\0' || strcmp(lost_claims[i].identity, r->identity) != 0) continue;
    memcpy(r->token, lost_claims[i].token, sizeof r->token);
    lost_claims[i].identity[0] = '\0';
    r->recover = true;
  }
  pthread_mutex_unlock(&lost_lock);
}

static void redis_close(mg_backend *b) {
  if (b == NULL) return;
  mg_redis *r = mg_redis_of(b);
  leave_lost_claim(r);
  while (r->leases != NULL) mg_redis_lease_free(r, r->leases);
  mg_redis_waiter_close(&r->task_waiter);
  mg_redis_waiter_close(&r->result_waiter);
  if (r->held != NULL) freeReplyObject(r->held);
  mg_redis_client_fini(&r->client);
  free(r->identity);
  free(r->run);
  free(r);
}

static mg_err redis_open(mg_backend **out, const mg_backend_config *config, mg_ms until, mg_error *e) {
  mg_redis *r = calloc(1, sizeof *r);
  if (r == NULL) return mg_fail(e, MG_NOMEM, "no memory for the redis backend");
  r->backend.ops = &mg_redis_backend;
  r->wake_fd = config->wake_fd;
  r->identity = strdup(config->identity != NULL ? config->identity : "");
  r->run = config->run != NULL ? strdup(config->run) : NULL;
  mg_err err = MG_OK;
  if (r->identity == NULL || (config->run != NULL && r->run == NULL)) {
    err = mg_fail(e, MG_NOMEM, "no memory for the redis backend");
    goto out;
  }
  if (strpbrk(r->identity, "\r\n") != NULL) {
    err = mg_fail(e, MG_ARG, "a worker's name must have no line ends");
    goto out;
  }
  if (r->run != NULL) err = mg_redis_check_names(r->run, "t", e);
  if (err != MG_OK) goto out;
  uint8_t bytes[8];
  mg_random_bytes(bytes, sizeof bytes);
  mg_hex(bytes, sizeof bytes, r->nonce);
  err = mg_redis_client_init(&r->client, config->options, r->identity, e);
  if (err == MG_OK) err = mg_redis_client_connect(&r->client, until, e);
  if (err != MG_OK) goto out;
  /* Whoever may connect may still lack a key or a command; that should come out now and not in mid-run. */
  mg_depth ignored;
  err = mg_redis_depth(&r->backend, r->run, until, &ignored, e);
  if (err != MG_OK) goto out;
  take_lost_claim(r);
out:
  if (err != MG_OK) {
    redis_close(&r->backend);
    return err;
  }
  *out = &r->backend;
  return MG_OK;
}

static void redis_forget(mg_backend *b, mg_lease *lease) { mg_redis_lease_free(mg_redis_of(b), lease); }

/* Nothing to keep alive but idle TCP paths that middle boxes forget: a PING each half minute. */
static mg_err redis_service(mg_backend *b, mg_ms until, mg_error *e) {
  mg_redis *r = mg_redis_of(b);
  for (;;) {
    if (r->held != NULL) return MG_OK;
    mg_ms now = mg_now_ms();
    if (now - r->client.used_ms >= PING_MS || r->client.conn == NULL) {
      mg_redis_call call = {.command = "PING"};
      mg_err err = mg_redis_run_one(r, &call, until, e);
      mg_redis_call_fini(&call);
      if (err != MG_OK) return err;
    }
    mg_redis_waiter *w = r->result_waiter.asked ? &r->result_waiter : &r->task_waiter;
    mg_ms end = until < r->client.used_ms + PING_MS ? until : r->client.used_ms + PING_MS;
    mg_err err = mg_net_wait(w->asked ? mg_redis_conn_fd(w->conn) : -1, POLLIN, end, r->wake_fd);
    if (err != MG_TIMEOUT || mg_now_ms() >= until) return MG_OK;
  }
}

const mg_backend_ops mg_redis_backend = {
    .name = "redis",
    .capabilities =
        MG_CAP_RECLAIM | MG_CAP_EXACT_DEPTH | MG_CAP_LIST_DEAD | MG_CAP_SKIP_RUNS | MG_CAP_NACK_DELAY | MG_CAP_SHARED | MG_CAP_DEDUPE | MG_CAP_EXTEND |
        MG_CAP_RESUMES,
    .open = redis_open,
    .close = redis_close,
    .publish_tasks = mg_redis_publish_tasks,
    .fetch_tasks = mg_redis_fetch_tasks,
    .extend = mg_redis_extend,
    .ack = mg_redis_ack,
    .nack = mg_redis_nack,
    .dead_letter = mg_redis_dead_letter,
    .forget = redis_forget,
    .publish_dead = mg_redis_publish_dead,
    .publish_results = mg_redis_publish_results,
    .fetch_results = mg_redis_fetch_results,
    .ack_results = mg_redis_ack_results,
    .beat = mg_redis_beat,
    .read_beats = mg_redis_read_beats,
    .control = mg_redis_control,
    .read_controls = mg_redis_read_controls,
    .reclaim = mg_redis_reclaim,
    .probe = mg_redis_probe,
    .depth = mg_redis_depth,
    .stats = mg_redis_stats,
    .examine = mg_redis_examine,
    .list_dead = mg_redis_list_dead,
    .list_runs = mg_redis_list_runs,
    .redrive = mg_redis_redrive,
    .purge_dead = mg_redis_purge_dead,
    .purge_run = mg_redis_purge_run,
    .quarantine = mg_redis_quarantine,
    .service = redis_service,
};
