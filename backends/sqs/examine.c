/* How the queues are set up, and what this identity may do: what may lose tasks, refuse them, or let others in. */
#include "backends/sqs/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FEW_RECEIVES = 10, USUAL_MESSAGE = 262144 };

typedef struct examination {
  mg_sqs *s;
  mg_findings out;
  mg_ms until;
  json_t *tasks; /* attributes of the queue of tasks; borrowed */
} examination;

static const char *text_of(json_t *attributes, const char *name) { return json_string_value(json_object_get(attributes, name)); }

static int64_t number_of(json_t *attributes, const char *name, int64_t otherwise) {
  const char *text = text_of(attributes, name);
  return text == NULL ? otherwise : strtoll(text, NULL, 10);
}

static void fill_all(void *owner, size_t index, mg_buf *body) {
  (void)owner, (void)index;
  mg_buf_puts(body, ",\"AttributeNames\":[\"All\"]");
}

/* The reply, to be given back, with *attributes in it. */
static mg_err attributes_of(examination *x, const char *queue, json_t **reply, json_t **attributes, mg_error *e) {
  mg_err err = mg_sqs_call(&x->s->client, "GetQueueAttributes", queue, fill_all, NULL, x->until, reply, NULL, e);
  *attributes = json_object_get(*reply, "Attributes");
  return err;
}

/* The command that sets them on the queue of tasks; into out. */
static const char *set_command(const examination *x, const char *attributes, char out[900]) {
  (void)snprintf(out, 900, "aws sqs set-queue-attributes --queue-url %.400s --attributes %.400s", x->s->settings.queue, attributes);
  return out;
}

static void transport(examination *x) {
  const mg_sqs_settings *s = &x->s->settings;
  bool tls = strncmp(s->endpoint, "https://", 8) == 0;
  const char *source = mg_sqs_credentials_source(x->s->client.credentials);
  if (tls)
    mg_finding_tell(&x->out, MG_FINDING_OK, "encryption", NULL, "TLS, the certificate of %s is verified", s->endpoint);
  else
    mg_finding_tell(&x->out, MG_FINDING_WARN, "encryption", "a queue_url and endpoint_url that begin with https://",
                    "no TLS: whoever sees the network can read and change tasks");
  if (s->key_id != NULL && s->token == NULL)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "authentication", "a role: a profile with role_arn, web identity, the container's or the instance's role",
                    "keys that never end stand in the queue configuration");
  else
    mg_finding_tell(&x->out, MG_FINDING_OK, "authentication", NULL, "credentials of %s", source);
  int64_t skew_s = (mg_sqs_server_ms(&x->s->client) - mg_wall_ms()) / 1000;
  bool far = skew_s > 60 || skew_s < -60;
  mg_finding_tell(&x->out, far ? MG_FINDING_WARN : MG_FINDING_OK, "clock", far ? "timedatectl set-ntp true" : NULL,
                  far ? "this machine and SQS differ by %lld s; requests are signed by the clock of SQS" : "this machine and SQS differ by %lld s",
                  (long long)skew_s);
}

static void at_rest(examination *x) {
  char mend[900];
  const char *managed = text_of(x->tasks, "SqsManagedSseEnabled"), *key = text_of(x->tasks, "KmsMasterKeyId");
  if (key != NULL && key[0] != '\0')
    mg_finding_tell(&x->out, MG_FINDING_OK, "encryption at rest", NULL, "by the KMS key %.200s: this identity needs kms:GenerateDataKey and kms:Decrypt on it", key);
  else if (managed != NULL && strcasecmp(managed, "true") == 0)
    mg_finding_tell(&x->out, MG_FINDING_OK, "encryption at rest", NULL, "by keys of SQS");
  else
    mg_finding_tell(&x->out, MG_FINDING_WARN, "encryption at rest", set_command(x, "SqsManagedSseEnabled=true", mend), "none: tasks lie on disk as they are");
}

/* A statement that allows anybody, whatever comes from where. */
static void who_may(examination *x) {
  json_error_t ignored;
  size_t i;
  json_t *one, *root = json_loads(text_of(x->tasks, "Policy") == NULL ? "{}" : text_of(x->tasks, "Policy"), 0, &ignored);
  json_t *statements = json_object_get(root, "Statement");
  bool open = false;
  json_array_foreach(statements, i, one) {
    json_t *principal = json_object_get(one, "Principal"), *aws = json_object_get(principal, "AWS");
    const char *effect = json_string_value(json_object_get(one, "Effect")), *who = json_string_value(json_is_object(principal) ? aws : principal);
    open = open || (effect != NULL && strcmp(effect, "Allow") == 0 && who != NULL && strcmp(who, "*") == 0 && json_object_get(one, "Condition") == NULL);
  }
  json_decref(root);
  if (open)
    mg_finding_tell(&x->out, MG_FINDING_FAIL, "access", "the queue's Policy: name accounts or roles as Principal, or add a Condition",
                    "the queue's policy lets anybody in, without a condition");
  else
    mg_finding_tell(&x->out, MG_FINDING_OK, "access", NULL, "the queue's own policy lets nobody in without a condition");
}

static void times(examination *x) {
  char mend[900], wanted[80];
  const mg_sqs_settings *s = &x->s->settings;
  int64_t keeps_s = number_of(x->tasks, "MessageRetentionPeriod", 345600), delay_s = number_of(x->tasks, "DelaySeconds", 0);
  (void)snprintf(wanted, sizeof wanted, "MessageRetentionPeriod=%lld", (long long)s->retention_s);
  bool good = keeps_s >= s->retention_s;
  mg_finding_tell(&x->out, good ? MG_FINDING_OK : MG_FINDING_WARN, "retention", good ? NULL : set_command(x, wanted, mend),
                  good ? "the queue keeps tasks for %.1f hours"
                       : "the queue keeps tasks for %.1f hours, less than retention_seconds (%.1f hours): what waits longer vanishes and is sent again",
                  (double)keeps_s / 3600, (double)s->retention_s / 3600);
  if (delay_s > 0)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "delay", set_command(x, "DelaySeconds=0", mend), "every task waits %lld s before a worker can have it",
                    (long long)delay_s);
  bool tight = s->lease_ms > s->hold_ms;
  mg_finding_tell(&x->out, tight ? MG_FINDING_FAIL : MG_FINDING_OK, "visibility", tight ? "max_hold_seconds above visibility_timeout, at most 43200" : NULL,
                  tight ? "a task may be held for %.0f s in all, less than the %.0f s of visibility_timeout"
                        : "a task may be held for %.0f s in all, extended every third of the %.0f s of visibility_timeout",
                  (double)s->hold_ms / 1000, (double)s->lease_ms / 1000);
}

static void sizes(examination *x) {
  char mend[900];
  const mg_sqs_settings *s = &x->s->settings;
  bool small = x->s->max_message < USUAL_MESSAGE && s->spill == NULL;
  mg_finding_tell(&x->out, small ? MG_FINDING_WARN : MG_FINDING_OK, "message size",
                  small ? "MaximumMessageSize of the queue, max_message_bytes, spill, or a smaller max_batch_size" : NULL,
                  "messages up to %zu bytes%s", x->s->max_message,
                  s->spill != NULL ? "; what is larger goes to spill" : small ? ": a task of many cases may be refused" : "");
  const char *limit = text_of(x->tasks, "FifoThroughputLimit"), *scope = text_of(x->tasks, "DeduplicationScope");
  bool slow = s->fifo && (limit == NULL || strcmp(limit, "perMessageGroupId") != 0 || scope == NULL || strcmp(scope, "messageGroup") != 0);
  if (slow)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "throughput",
                    set_command(x, "DeduplicationScope=messageGroup,FifoThroughputLimit=perMessageGroupId", mend),
                    "the FIFO queue takes 300 calls a second as a whole; every task is a group of its own, so a limit a group allows far more");
}

/* --- dead letters --- */

static void dead_letters(examination *x) {
  mg_sqs *s = x->s;
  char mend[900], wanted[400];
  json_t *reply = NULL, *attributes;
  mg_error why = {0};
  mg_err err = attributes_of(x, s->dead, &reply, &attributes, &why);
  bool fifo = strlen(s->dead) > 5 && strcmp(s->dead + strlen(s->dead) - 5, ".fifo") == 0;
  int64_t keeps_s = number_of(attributes, "MessageRetentionPeriod", 345600), tasks_s = number_of(x->tasks, "MessageRetentionPeriod", 345600);
  if (fifo != s->settings.fifo)
    mg_finding_tell(&x->out, MG_FINDING_FAIL, "dead letter queue", "dead_letter_queue_url: a FIFO queue for a FIFO queue, a standard one for a standard one",
                    "%s is not of the kind of the queue of tasks", s->dead);
  else if (err == MG_LOST && s->dead_is_ours)
    mg_finding_tell(&x->out, MG_FINDING_OK, "dead letter queue", NULL, "%s will be made for the first dead letter", s->dead);
  else if (err == MG_LOST)
    mg_finding_tell(&x->out, MG_FINDING_FAIL, "dead letter queue", "create the queue, or correct dead_letter_queue_url or the queue's RedrivePolicy",
                    "there is no queue %s: what no worker can run has no place", s->dead);
  else if (err != MG_OK)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "dead letter queue", "sqs:GetQueueAttributes on it", "%s", why.text);
  else if (keeps_s < tasks_s)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "dead letter queue", "MessageRetentionPeriod of the queue of dead letters: 1209600",
                    "%s keeps messages for %.1f hours, less than the queue of tasks: they are as old there as they were, and go before somebody looks", s->dead,
                    (double)keeps_s / 3600);
  else
    mg_finding_tell(&x->out, MG_FINDING_OK, "dead letter queue", NULL, "%s keeps messages for %.1f hours", s->dead, (double)keeps_s / 3600);
  json_decref(reply);
  (void)snprintf(wanted, sizeof wanted, "'{\"RedrivePolicy\":\"{\\\"deadLetterTargetArn\\\":\\\"%.180s%.80s\\\",\\\"maxReceiveCount\\\":\\\"100\\\"}\"}'", s->arn_head,
                 strrchr(s->dead, '/') + 1);
  if (s->redrive_after == 0)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "redrive policy", set_command(x, wanted, mend),
                    "none: a task that ends each worker before it beats comes again until the queue's retention");
  else if (s->redrive_after < FEW_RECEIVES)
    mg_finding_tell(&x->out, MG_FINDING_WARN, "redrive policy", set_command(x, wanted, mend),
                    "SQS moves a task away after %u receives, whatever they were for: take 100, mguard counts real losses itself", s->redrive_after);
  else
    mg_finding_tell(&x->out, MG_FINDING_OK, "redrive policy", NULL, "SQS moves a task away after %u receives", s->redrive_after);
}

/* --- what may be done --- */

static void fill_nothing(void *owner, size_t index, mg_buf *body) {
  (void)index;
  mg_buf_puts(body, owner);
}

/* Calls that change nothing even where they are allowed: without entries, with a limit or a name that cannot be, of a queue that is not there. Who may not
 * make them hears that instead. */
static void permissions(examination *x) {
  static char none[] = ",\"Entries\":[]", eleven[] = ",\"MaxNumberOfMessages\":11,\"VisibilityTimeout\":0", name[] = ",\"QueueName\":\"\"";
  char nowhere[MG_SQS_URL_BYTES];
  mg_sqs *s = x->s;
  mg_sqs_results_queue(s, "doctor-nowhere", nowhere);
  bool makes = s->settings.results == NULL;
  const struct {
    const char *action, *queue;
    char *with;
    bool asked;
  } calls[] = {
      {"SendMessageBatch", s->settings.queue, none, true},
      {"ReceiveMessage", s->settings.queue, eleven, true},
      {"ChangeMessageVisibilityBatch", s->settings.queue, none, true},
      {"DeleteMessageBatch", s->settings.queue, none, true},
      {"CreateQueue", NULL, name, true},
      {"DeleteQueue", nowhere, NULL, makes},
  };
  unsigned denied = 0;
  for (size_t i = 0; i < sizeof calls / sizeof calls[0]; i++) {
    mg_error why = {0};
    if (!calls[i].asked) continue;
    mg_err err = mg_sqs_call(&s->client, calls[i].action, calls[i].queue, calls[i].with == NULL ? NULL : fill_nothing, calls[i].with, x->until, NULL, NULL, &why);
    if (err == MG_OK || err == MG_ARG || err == MG_LOST) continue;
    denied++;
    mg_finding_tell(&x->out, err == MG_FATAL ? MG_FINDING_FAIL : MG_FINDING_WARN, "permissions", "the policy in docs/operations/queue-dispatch.md", "%s", why.text);
  }
  if (denied == 0) mg_finding_tell(&x->out, MG_FINDING_OK, "permissions", NULL, "messages may be sent, received, kept longer and deleted, queues made");
}

static void spill(examination *x) {
  mg_sqs_envelope v = {.run = "doctor"};
  mg_error why = {0};
  mg_buf back = {0};
  if (x->s->settings.spill == NULL) return;
  mg_ms begin = mg_now_ms();
  mg_err err = mg_sqs_spill(x->s, &v, mg_slice_of("doctor"), x->until, &why);
  if (err == MG_OK) {
    err = mg_sqs_unspill(x->s, &v, x->until, &back, &why);
    mg_sqs_drop_object(x->s, &v, x->until);
  }
  mg_buf_fini(&back);
  if (err == MG_OK)
    mg_finding_tell(&x->out, MG_FINDING_OK, "spill", NULL, "a payload went to %s and back in %lld ms", x->s->settings.spill, (long long)(mg_now_ms() - begin));
  else
    mg_finding_tell(&x->out, MG_FINDING_FAIL, "spill", "the bucket or folder, and s3:PutObject, s3:GetObject, s3:DeleteObject below it", "%s", why.text);
}

mg_err mg_sqs_examine(mg_backend *b, mg_finding_sink *sink, void *owner, mg_ms until, mg_error *e) {
  examination x = {.s = mg_sqs_of(b), .out = {sink, owner}, .until = until};
  json_t *reply = NULL;
  mg_err err = attributes_of(&x, x.s->settings.queue, &reply, &x.tasks, e);
  if (err == MG_OK) {
    transport(&x);
    at_rest(&x);
    who_may(&x);
    times(&x);
    sizes(&x);
    dead_letters(&x);
    permissions(&x);
    spill(&x);
  }
  json_decref(reply);
  return err == MG_LOST || err == MG_AGAIN ? MG_CONN : err;
}
