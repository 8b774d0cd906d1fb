/* How the broker is set up: what may lose tasks, refuse them, or let others in. AMQP tells little of it, the management API the rest. */
#include "backends/rabbitmq/parts.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

enum { QUORUM = 3, LOGIN_MS = 3000 };
#define LEAST_DISK_BYTES 1e9
#define MUCH_OF_MEMORY 0.8

typedef struct examination {
  mg_rabbit *r;
  mg_findings out;
  mg_ms until;
} examination;

static void transport(examination *x) {
  const mg_tls_options *tls = &x->r->settings.tls;
  if (tls->on && !tls->trust_any)
    mg_finding_tell(&x->out, MG_FINDING_OK, "encryption", NULL, "TLS, the broker's certificate is verified");
  else if (tls->on)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "encryption", "connection.ssl_verify = true, with connection.ssl_ca_location",
                    "TLS, but nobody verifies that the broker is the right one");
  else
    mg_finding_tell(&x->out, MG_FINDING_WARN, "encryption", "connection.ssl = true, and listeners.ssl.default on the broker",
                    "no TLS: whoever sees the network can read and change tasks");
}

/* Whether the account that every new broker has lets us in from here. */
static bool guest_may_come(examination *x) {
  mg_rabbit_settings as_guest = x->r->settings; /* borrows */
  mg_rabbit_conn *c = NULL;
  mg_ms until = mg_now_ms() + LOGIN_MS;
  as_guest.username = as_guest.password = "guest";
  mg_err err = mg_rabbit_conn_open(&c, &as_guest, &as_guest.hosts[x->r->turn], "mguard doctor", NULL, NULL, until < x->until ? until : x->until, NULL);
  mg_rabbit_conn_close(c);
  return err == MG_OK;
}

static void authentication(examination *x) {
  const char *user = x->r->settings.username, *mend = "rabbitmqctl delete_user guest; a user of its own, with connection.password = \"${RABBITMQ_PASSWORD}\"";
  if (strcmp(user, "guest") == 0)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "authentication", mend, "logged in as guest: an account that everybody knows");
  else if (guest_may_come(x))
    mg_finding_tell(&x->out, MG_FINDING_WARN, "authentication", mend, "logged in as %s, but guest is let in with its known password, too", user);
  else
    mg_finding_tell(&x->out, MG_FINDING_OK, "authentication", NULL, "logged in as %s; guest is refused", user);
}

static void what_amqp_tells(examination *x) {
  const mg_rabbit_settings *s = &x->r->settings;
  char dead[256];
  mg_rabbit_dead_queue(x->r, dead);
  if (s->durable)
    mg_finding_tell(&x->out, MG_FINDING_OK, "durability", NULL, "%s is a quorum queue, and its messages are on disk before they are confirmed", s->queue);
  else
    mg_finding_tell(&x->out, MG_FINDING_WARN, "durability", "durable = true, under another queue_name",
                    "%s is a classic queue that goes with a restart of the broker (durable = false): the run publishes its tasks again", s->queue);
  mg_finding_tell(&x->out, MG_FINDING_OK, "dead letters", NULL, "go to %s", dead);
  if (mg_rabbit_blocked(x->r->publisher))
    mg_finding_tell(&x->out, MG_FINDING_FAIL, "alarm", "free memory or disk space on the broker", "the broker takes no messages now");
  mg_finding_tell(&x->out, MG_FINDING_OK, "consumer_timeout", NULL,
                  "taken to be %.0f s (consumer_timeout_seconds): clients cannot read it, \"rabbitmqctl environment\" shows it in ms", s->consumer_timeout_s);
}

/* ---- the management API ---- */

static double number(const json_t *o, const char *key) {
  const json_t *n = json_object_get(o, key);
  return json_is_number(n) ? json_number_value(n) : -1;
}

static json_t *ask(examination *x, const char *path, const char *what) {
  json_t *j = NULL;
  mg_error e = {0};
  if (mg_rabbit_manage(x->r, path, x->until, &j, &e) == MG_OK) return j;
  mg_finding_tell(&x->out, MG_FINDING_WARN, "management", "management_url, with a user that has the tag \"monitoring\"", "%s cannot be read: %s", what, e.text);
  return NULL;
}

static void of_node(examination *x, const json_t *node) {
  const char *name = json_string_value(json_object_get(node, "name"));
  if (name == NULL) name = "a node";
  if (!json_is_true(json_object_get(node, "running"))) {
    mg_finding_tell(&x->out, MG_FINDING_WARN, "nodes", "bring it back, or rabbitmqctl forget_cluster_node", "%s does not run", name);
    return;
  }
  if (json_is_true(json_object_get(node, "mem_alarm")))
    mg_finding_tell(&x->out, MG_FINDING_FAIL, "alarm", "more memory, or less in the queues (docs/operations/runbook.md)",
                    "%s is out of memory: nobody can publish", name);
  if (json_is_true(json_object_get(node, "disk_free_alarm")))
    mg_finding_tell(&x->out, MG_FINDING_FAIL, "alarm", "free disk space on the node", "%s is out of disk space: nobody can publish", name);
  double used = number(node, "mem_used"), limit = number(node, "mem_limit"), least = number(node, "disk_free_limit"), free_bytes = number(node, "disk_free");
  if (limit > 0 && used > limit * MUCH_OF_MEMORY)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "memory", "more memory, or less in the queues", "%s uses %.0f of the %.0f MB where it begins to refuse messages", name,
                    used / 1e6, limit / 1e6);
  else if (limit > 0)
    mg_finding_tell(&x->out, MG_FINDING_OK, "memory", NULL, "%s uses %.0f MB and refuses messages from %.0f MB on", name, used / 1e6, limit / 1e6);
  if (least >= 0 && least < LEAST_DISK_BYTES)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "disk", "disk_free_limit.absolute = 2GB in rabbitmq.conf",
                    "%s refuses messages only when %.0f MB of disk are left (%.0f MB are free): a full disk may damage queues", name, least / 1e6, free_bytes / 1e6);
  else if (least >= 0)
    mg_finding_tell(&x->out, MG_FINDING_OK, "disk", NULL, "%s has %.0f MB free and refuses messages below %.0f MB", name, free_bytes / 1e6, least / 1e6);
  if (json_array_size(json_object_get(node, "partitions")) > 0)
    mg_finding_tell(&x->out, MG_FINDING_FAIL, "nodes", "restart the nodes of the smaller side; cluster_partition_handling = pause_minority",
                    "%s is cut off from other nodes", name);
}

static void nodes(examination *x) {
  json_t *list = ask(x, "nodes?columns=name,running,mem_used,mem_limit,mem_alarm,disk_free,disk_free_limit,disk_free_alarm,partitions", "the nodes");
  size_t count = json_array_size(list);
  for (size_t i = 0; i < count; i++) of_node(x, json_array_get(list, i));
  if (list != NULL && count < QUORUM)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "quorum", "three nodes", "%zu node%s: with fewer than three the run waits while one is away", count,
                    count == 1 ? "" : "s");
  json_decref(list);
}

/* Of the queue's own arguments and of the policy that goes for it: what drops messages that nobody has worked off. */
static void limits(examination *x, const json_t *of, const char *prefix, const char *mend) {
  const char *queue = x->r->settings.queue;
  char key[64];
  (void)snprintf(key, sizeof key, "%smax-length", prefix);
  double most = number(of, key), ttl, expires;
  (void)snprintf(key, sizeof key, "%soverflow", prefix);
  const char *overflow = json_string_value(json_object_get(of, key));
  if (most >= 0 && (overflow == NULL || strcmp(overflow, "drop-head") == 0))
    mg_finding_tell(&x->out, MG_FINDING_FAIL, "limits", mend, "%s holds at most %.0f messages and drops the oldest task for each more", queue, most);
  (void)snprintf(key, sizeof key, "%smessage-ttl", prefix);
  ttl = number(of, key);
  if (ttl >= 0 && ttl < (double)x->r->settings.retention_ms)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "limits", mend, "%s keeps messages for %.0f s, less than retention_seconds: tasks that wait longer become dead letters",
                    queue, ttl / 1000);
  (void)snprintf(key, sizeof key, "%sexpires", prefix);
  expires = number(of, key);
  if (expires >= 0)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "limits", mend, "%s is deleted after %.0f s without a worker, with what it holds", queue, expires / 1000);
  (void)snprintf(key, sizeof key, "%sconsumer-timeout", prefix);
  ttl = number(of, key);
  if (ttl >= 0 && ttl / 1000 < x->r->settings.consumer_timeout_s)
    mg_finding_tell(&x->out, MG_FINDING_FAIL, "consumer_timeout", "consumer_timeout_seconds here, or consumer-timeout there",
                    "%s takes back what is held for %.0f s, consumer_timeout_seconds says %.0f", queue, ttl / 1000, x->r->settings.consumer_timeout_s);
  (void)snprintf(key, sizeof key, "%sdelivery-limit", prefix);
  most = number(of, key);
  if (most >= 0)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "limits", mend, "after %.0f deliveries %s makes a task a dead letter, though its workers may be innocent", most, queue);
}

static void queue(examination *x) {
  mg_buf path = {0};
  mg_rabbit_put_queue_path(&path, x->r, x->r->settings.queue);
  mg_buf_put(&path, "", 1);
  json_t *q = path.failed ? NULL : ask(x, (const char *)path.data, "the queue");
  const json_t *members = json_object_get(q, "members"), *online = json_object_get(q, "online");
  if (json_array_size(members) > 0) {
    size_t all = json_array_size(members), there = json_array_size(online);
    if (there < all)
      mg_finding_tell(&x->out, MG_FINDING_WARN, "quorum", "bring the nodes back", "%zu of %zu members of %s are online", there, all, x->r->settings.queue);
    else
      mg_finding_tell(&x->out, all < QUORUM ? MG_FINDING_WARN : MG_FINDING_OK, "quorum",
                      all < QUORUM ? "rabbitmq-queues grow NODE all, on a cluster of three" : NULL, "%s has %zu member%s, all online", x->r->settings.queue, all,
                      all == 1 ? "" : "s");
  }
  limits(x, json_object_get(q, "arguments"), "x-", "delete the queue while it is empty: mguard declares it as it should be");
  limits(x, json_object_get(q, "effective_policy_definition"), "", "rabbitmqctl list_policies, and clear_policy or one with a narrower pattern");
  json_decref(q);
  mg_buf_fini(&path);
}

static void who(examination *x) {
  json_t *me = ask(x, "whoami", "the user");
  const json_t *tags = json_object_get(me, "tags");
  bool administrator = json_is_string(tags) && strstr(json_string_value(tags), "administrator") != NULL; /* up to 3.8 a text */
  for (size_t i = 0; i < json_array_size(tags); i++) {
    const char *tag = json_string_value(json_array_get(tags, i));
    administrator = administrator || (tag != NULL && strcmp(tag, "administrator") == 0);
  }
  if (administrator)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "rights", "rabbitmqctl set_user_tags USER monitoring",
                    "the user of management_url is an administrator of the broker: \"monitoring\" is enough");
  else if (me != NULL)
    mg_finding_tell(&x->out, MG_FINDING_OK, "rights", NULL, "the user of management_url is no administrator");
  json_decref(me);
}

mg_err mg_rabbit_examine(mg_backend *b, mg_finding_sink *sink, void *owner, mg_ms until, mg_error *e) {
  examination x = {.r = mg_rabbit_of(b), .out = {sink, owner}, .until = until};
  mg_err err = mg_rabbit_ready(x.r, until, e);
  if (err != MG_OK) return err;
  transport(&x);
  authentication(&x);
  what_amqp_tells(&x);
  if (x.r->settings.management_url == NULL) {
    mg_finding_tell(&x.out, MG_FINDING_WARN, "management", "the plugin rabbitmq_management, and management_url = \"https://broker:15671\"",
                    "without management_url nobody can tell of alarms, limits of memory and disk, members of the queue and policies");
    return MG_OK;
  }
  who(&x);
  nodes(&x);
  queue(&x);
  return MG_OK;
}
