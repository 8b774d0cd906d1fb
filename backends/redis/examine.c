/* How the server is set up: what may lose tasks, refuse them, or let others in. */
#include "backends/redis/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct examination {
  mg_redis *r;
  mg_findings out;
  mg_ms until;
} examination;

/* A reply of `command argument...`; MG_ARG and the like where this user may not ask. Free the call afterwards. */
static mg_err ask(examination *x, mg_redis_call *call, const char *command, const char *first, const char *second, mg_error *e) {
  *call = (mg_redis_call){.command = command};
  if (first != NULL) mg_redis_arg_text(&call->args, first);
  if (second != NULL) mg_redis_arg_text(&call->args, second);
  return mg_redis_run_one(x->r, call, x->until, e);
}

/* The text behind "name:" on a line of its own of INFO, up to the line's end; "" where it is not there. */
static void field(const char *info, const char *name, char *out, size_t cap) {
  size_t n = strlen(name);
  out[0] = '\0';
  for (const char *line = info; line != NULL && *line != '\0'; line = strchr(line, '\n'), line = line != NULL ? line + 1 : NULL) {
    if (strncmp(line, name, n) != 0 || line[n] != ':') continue;
    (void)snprintf(out, cap, "%.*s", (int)strcspn(line + n + 1, "\r\n"), line + n + 1);
    return;
  }
}

static int64_t number(const char *info, const char *name) {
  char text[64];
  field(info, name, text, sizeof text);
  return text[0] != '\0' ? strtoll(text, NULL, 10) : -1;
}

static void transport(examination *x) {
  const mg_redis_settings *s = &x->r->client.settings;
  if (s->unix_path != NULL)
    mg_finding_tell(&x->out, MG_FINDING_OK, "encryption", NULL, "a unix socket: nothing crosses a network");
  else if (s->tls.on && !s->tls.trust_any)
    mg_finding_tell(&x->out, MG_FINDING_OK, "encryption", NULL, "TLS, the server's certificate is verified");
  else if (s->tls.on)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "encryption", "connection.ssl_verify = true, with connection.ssl_ca_location", "TLS, but nobody verifies that the server is the right one");
  else
    mg_finding_tell(&x->out, MG_FINDING_WARN, "encryption", "connection.ssl = true, and tls-port on the server", "no TLS: whoever sees the network can read and change tasks");
  if (s->password != NULL)
    mg_finding_tell(&x->out, MG_FINDING_OK, "authentication", NULL, "logged in%s%s", s->username != NULL ? " as " : " with a password", s->username != NULL ? s->username : "");
  else if (s->unix_path == NULL)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "authentication", "requirepass or ACL users on the server; connection.password = \"${REDIS_PASSWORD}\"",
          "the server lets anybody in without a password");
}

static void clock_difference(examination *x) {
  mg_redis_call call;
  mg_error e;
  int64_t before = mg_wall_ms();
  if (ask(x, &call, "TIME", NULL, NULL, &e) == MG_OK && call.reply->elements == 2) {
    int64_t after = mg_wall_ms(), server = strtoll(call.reply->element[0]->str, NULL, 10) * 1000 + strtoll(call.reply->element[1]->str, NULL, 10) / 1000;
    double difference = (double)(server - (before + after) / 2) / 1000;
    bool far = difference > 2 || difference < -2;
    mg_finding_tell(&x->out, far ? MG_FINDING_WARN : MG_FINDING_OK, "clock", far ? "run NTP on both machines" : NULL,
          "the server's clock differs by %.3f s from this machine's%s", difference, far ? "; leases do not suffer, but logs cannot be compared" : "");
  }
  mg_redis_call_fini(&call);
}

static void persistence(examination *x, const char *info) {
  char status[64];
  bool aof = number(info, "aof_enabled") == 1;
  int64_t saved = number(info, "rdb_last_save_time"), now = mg_wall_ms() / 1000;
  if (aof)
    mg_finding_tell(&x->out, MG_FINDING_OK, "persistence", NULL, "append-only file is on");
  else
    mg_finding_tell(&x->out, MG_FINDING_WARN, "persistence", "redis-cli CONFIG SET appendonly yes, and appendonly yes in redis.conf",
          "no append-only file: a crash of the server loses what came after the last snapshot (the run publishes it again, results done are done again)");
  field(info, "aof_last_write_status", status, sizeof status);
  if (aof && strcmp(status, "ok") != 0) mg_finding_tell(&x->out, MG_FINDING_FAIL, "persistence", "disk space and rights on the server", "the last write of the append-only file failed");
  field(info, "rdb_last_bgsave_status", status, sizeof status);
  if (strcmp(status, "err") == 0)
    mg_finding_tell(&x->out, MG_FINDING_FAIL, "snapshot", "disk space, memory (vm.overcommit_memory) and rights on the server", "the last snapshot failed; the server may refuse writes");
  else if (saved > 0)
    mg_finding_tell(&x->out, now - saved > 7 * 86400 ? MG_FINDING_WARN : MG_FINDING_OK, "snapshot", now - saved > 7 * 86400 ? "redis-cli BGSAVE, and save lines in redis.conf" : NULL,
          "the last snapshot, which a backup would copy, is %.1f hours old", (double)(now - saved) / 3600);
}

static void memory(examination *x, const char *info) {
  char policy[64];
  field(info, "maxmemory_policy", policy, sizeof policy);
  int64_t limit = number(info, "maxmemory"), used = number(info, "used_memory");
  if (policy[0] != '\0' && strcmp(policy, "noeviction") != 0)
    mg_finding_tell(&x->out, limit > 0 ? MG_FINDING_FAIL : MG_FINDING_WARN, "eviction", "redis-cli CONFIG SET maxmemory-policy noeviction, and in redis.conf",
          "maxmemory-policy is %s%s: it can delete tasks and results when memory is short", policy, limit > 0 ? "" : " (no maxmemory is set yet)");
  else if (policy[0] != '\0')
    mg_finding_tell(&x->out, MG_FINDING_OK, "eviction", NULL, "maxmemory-policy is noeviction: nothing is deleted when memory is short");
  if (limit > 0 && used > limit / 5 * 4)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "memory", "a larger maxmemory", "%.0f of %.0f MB are used: the server will soon refuse tasks", (double)used / 1048576, (double)limit / 1048576);
  else if (limit > 0)
    mg_finding_tell(&x->out, MG_FINDING_OK, "memory", NULL, "%.0f of %.0f MB are used", (double)used / 1048576, (double)limit / 1048576);
  else
    mg_finding_tell(&x->out, MG_FINDING_WARN, "memory", "maxmemory in redis.conf, below the machine's memory", "no maxmemory is set: a full machine kills the server instead of its refusing tasks");
}

static void replication(examination *x, const char *info) {
  int64_t replicas = number(info, "connected_slaves");
  const mg_redis_settings *s = &x->r->client.settings;
  if (replicas > 0)
    mg_finding_tell(&x->out, MG_FINDING_OK, "replicas", NULL, "%lld connected%s", (long long)replicas, s->cluster || s->sentinel_count > 0 ? "" : "; without Sentinel or cluster nothing fails over by itself");
  else
    mg_finding_tell(&x->out, MG_FINDING_WARN, "replicas", "a replica with Sentinel, or a cluster with replicas", "no replica: while this server is away the run waits");
}

static void cluster(examination *x) {
  if (!x->r->client.settings.cluster) return;
  mg_redis_call call;
  mg_error e;
  if (ask(x, &call, "CLUSTER", "INFO", NULL, &e) == MG_OK && mg_redis_is_text(call.reply)) {
    char state[32];
    field(call.reply->str, "cluster_state", state, sizeof state);
    int64_t slots = number(call.reply->str, "cluster_slots_ok"), size = number(call.reply->str, "cluster_size");
    bool good = strcmp(state, "ok") == 0 && slots == 16384;
    mg_finding_tell(&x->out, good ? MG_FINDING_OK : MG_FINDING_FAIL, "cluster", good ? NULL : "redis-cli --cluster fix", "state %s, %lld of 16384 slots are served", state, (long long)slots);
    if (size < 3)
      mg_finding_tell(&x->out, MG_FINDING_WARN, "cluster size", "three masters at least", "%lld masters: with fewer than three none can be voted for when one fails", (long long)size);
  }
  mg_redis_call_fini(&call);
}

static mg_err info_of(examination *x, const char *section, void (*look)(examination *, const char *), mg_error *e) {
  mg_redis_call call;
  mg_err err = ask(x, &call, "INFO", section, NULL, e);
  if (err == MG_OK && mg_redis_is_text(call.reply)) look(x, call.reply->str);
  if (err != MG_OK && err != MG_CONN && err != MG_TIMEOUT) {
    mg_finding_tell(&x->out, MG_FINDING_WARN, section, "ACL: +info for this user", "cannot be read: %s", e->text);
    err = MG_OK;
  }
  mg_redis_call_fini(&call);
  return err;
}

mg_err mg_redis_examine(mg_backend *b, mg_finding_sink *sink, void *owner, mg_ms until, mg_error *e) {
  examination x = {mg_redis_of(b), {sink, owner}, until};
  transport(&x);
  clock_difference(&x);
  mg_err err = info_of(&x, "persistence", persistence, e);
  if (err == MG_OK) err = info_of(&x, "memory", memory, e);
  if (err == MG_OK) err = info_of(&x, "replication", replication, e);
  if (err == MG_OK) cluster(&x);
  return err;
}
