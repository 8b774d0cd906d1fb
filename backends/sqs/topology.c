/* The queues: what they allow, and those that are made beside the tasks'. */
#include "backends/sqs/parts.h"

#include "base/ident.h"
#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL_LIMIT = 262144 };

mg_err mg_sqs_check_names(const char *run, const char *task, mg_error *e) {
  if (run == NULL || run[0] == '\0' || strlen(run) > 200) return mg_fail(e, MG_ARG, "a run's name must have 1 to 200 bytes");
  if (task == NULL || task[0] == '\0' || strlen(task) > 200) return mg_fail(e, MG_ARG, "a task's name must have 1 to 200 bytes");
  return MG_OK;
}

void mg_sqs_results_queue(const mg_sqs *s, const char *run, char out[MG_SQS_URL_BYTES]) {
  char suffix[260], name[MG_SQS_NAME_BYTES];
  if (s->settings.results != NULL) {
    (void)snprintf(out, MG_SQS_URL_BYTES, "%s", s->settings.results);
    return;
  }
  (void)snprintf(suffix, sizeof suffix, "results-%.200s", run);
  mg_sqs_name(&s->settings, suffix, false, name);
  mg_sqs_beside(&s->settings, name, out);
}

/* --- attributes --- */

static void fill_limits(void *owner, size_t index, mg_buf *body) {
  (void)owner, (void)index;
  mg_buf_puts(body, ",\"AttributeNames\":[\"QueueArn\",\"MaximumMessageSize\",\"RedrivePolicy\"]");
}

static const char *attribute(json_t *reply, const char *name) { return json_string_value(json_object_get(json_object_get(reply, "Attributes"), name)); }

/* {"deadLetterTargetArn":"arn:aws:sqs:REGION:ACCOUNT:NAME","maxReceiveCount":5}; the count may be a text. */
static void read_redrive(mg_sqs *s, const char *policy) {
  json_error_t ignored;
  json_t *root = policy == NULL ? NULL : json_loads(policy, 0, &ignored);
  const char *arn = json_string_value(json_object_get(root, "deadLetterTargetArn"));
  json_t *most = json_object_get(root, "maxReceiveCount");
  int64_t count = json_is_string(most) ? strtoll(json_string_value(most), NULL, 10) : json_integer_value(most);
  s->redrive_after = 0;
  if (arn != NULL && strrchr(arn, ':') != NULL && count > 0) {
    s->redrive_after = count < UINT32_MAX ? (unsigned)count : UINT32_MAX;
    if (s->settings.dead == NULL) {
      mg_sqs_beside(&s->settings, strrchr(arn, ':') + 1, s->dead);
      s->dead_is_ours = false;
    }
  }
  json_decref(root);
}

mg_err mg_sqs_look_at_queue(mg_sqs *s, mg_ms until, mg_error *e) {
  json_t *reply = NULL;
  char name[MG_SQS_NAME_BYTES];
  mg_err err = mg_sqs_call(&s->client, "GetQueueAttributes", s->settings.queue, fill_limits, NULL, until, &reply, NULL, e);
  if (err == MG_LOST) return mg_fail(e, MG_FATAL, "there is no queue %s in region %s: create it, or correct queue_url", s->settings.queue, s->settings.region);
  if (err != MG_OK) return err;
  const char *most = attribute(reply, "MaximumMessageSize"), *arn = attribute(reply, "QueueArn");
  size_t limit = most == NULL ? 0 : (size_t)strtoull(most, NULL, 10);
  if (limit < 1024) limit = SMALL_LIMIT;
  s->max_message = s->settings.max_message > 0 && s->settings.max_message < limit ? s->settings.max_message : limit;
  s->max_batch = s->settings.max_message > 0 ? s->settings.max_message : limit < SMALL_LIMIT ? SMALL_LIMIT : limit;
  if (arn != NULL && strrchr(arn, ':') != NULL) (void)snprintf(s->arn_head, sizeof s->arn_head, "%.*s", (int)(strrchr(arn, ':') + 1 - arn), arn);
  mg_sqs_name(&s->settings, "dead", s->settings.fifo, name);
  if (s->settings.dead != NULL)
    (void)snprintf(s->dead, sizeof s->dead, "%s", s->settings.dead);
  else
    mg_sqs_beside(&s->settings, name, s->dead);
  s->dead_is_ours = s->settings.dead == NULL;
  read_redrive(s, attribute(reply, "RedrivePolicy"));
  json_decref(reply);
  return MG_OK;
}

static void fill_counts(void *owner, size_t index, mg_buf *body) {
  (void)owner, (void)index;
  mg_buf_puts(body, ",\"AttributeNames\":[\"ApproximateNumberOfMessages\",\"ApproximateNumberOfMessagesNotVisible\",\"ApproximateNumberOfMessagesDelayed\"]");
}

static int64_t number(json_t *reply, const char *name) {
  const char *text = attribute(reply, name);
  return text == NULL ? 0 : strtoll(text, NULL, 10);
}

mg_err mg_sqs_count(mg_sqs *s, const char *queue, mg_ms until, int64_t *pending, int64_t *in_flight, mg_error *e) {
  json_t *reply = NULL;
  *pending = *in_flight = -1;
  mg_err err = mg_sqs_call(&s->client, "GetQueueAttributes", queue, fill_counts, NULL, until, &reply, NULL, e);
  if (err != MG_OK) return err;
  *pending = number(reply, "ApproximateNumberOfMessages") + number(reply, "ApproximateNumberOfMessagesDelayed");
  *in_flight = number(reply, "ApproximateNumberOfMessagesNotVisible");
  json_decref(reply);
  return MG_OK;
}

/* --- making --- */

typedef struct wish {
  const char *name;
  bool fifo;
  int64_t retention_s;
} wish;

static void fill_create(void *owner, size_t index, mg_buf *body) {
  const wish *w = owner;
  (void)index;
  mg_buf_puts(body, ",\"QueueName\":");
  mg_sqs_put_string(body, w->name);
  mg_buf_putf(body, ",\"Attributes\":{\"MessageRetentionPeriod\":\"%lld\"%s}", (long long)w->retention_s, w->fifo ? ",\"FifoQueue\":\"true\"" : "");
}

mg_err mg_sqs_make_queue(mg_sqs *s, const char *name, bool fifo, mg_ms until, char url[MG_SQS_URL_BYTES], mg_error *e) {
  json_t *reply = NULL;
  mg_error own = {0};
  char code[64];
  wish w = {name, fifo, s->settings.retention_s};
  mg_err err = mg_sqs_call(&s->client, "CreateQueue", NULL, fill_create, &w, until, &reply, code, &own);
  mg_sqs_beside(&s->settings, name, url);
  if (err == MG_ARG && (strstr(code, "QueueNameExists") != NULL || strstr(code, "QueueAlreadyExists") != NULL)) return MG_OK; /* as an administrator made it */
  if (err == MG_ARG && strstr(code, "QueueDeletedRecently") != NULL) err = MG_AGAIN;
  if (err == MG_FATAL) {
    err = mg_fail(&own, MG_FATAL,
                  "access denied: the identity of %s may not do sqs:CreateQueue on %s%s; its policy must allow it, or the queue must be made by hand",
                  mg_sqs_credentials_source(s->client.credentials), s->arn_head, name);
  }
  if (err == MG_OK && json_is_string(json_object_get(reply, "QueueUrl"))) {
    const char *given = json_string_value(json_object_get(reply, "QueueUrl")), *last = strrchr(given, '/');
    /* Through another endpoint the service may name another host: the queue of tasks says how it is written here. */
    if (last != NULL) mg_sqs_beside(&s->settings, last + 1, url);
  }
  json_decref(reply);
  if (err != MG_OK && e != NULL) *e = own;
  return err;
}
