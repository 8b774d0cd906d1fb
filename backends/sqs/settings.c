#include "backends/sqs/settings.h"

#include "base/hash.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RESULTS_LEASE_MIN_MS = 20000 };
#define NAME_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

static const char *text_of(const mg_options *o, const char *key) {
  const char *text = mg_options_text(o, key, NULL);
  return text != NULL && text[0] != '\0' ? text : NULL;
}

static bool is_url(const char *text) { return (strncmp(text, "https://", 8) == 0 || strncmp(text, "http://", 7) == 0) && strlen(text) < MG_SQS_URL_BYTES; }

/* scheme://host[:port] of a URL. */
static size_t origin_of(const char *url) {
  const char *host = strstr(url, "://") + 3;
  return (size_t)(host - url) + strcspn(host, "/?#");
}

static mg_err read_queue(mg_sqs_settings *s, const char *url, mg_error *e) {
  static const char shape[] = "queue_url must look like https://sqs.REGION.amazonaws.com/ACCOUNT/NAME";
  if (url == NULL || !is_url(url)) return mg_fail(e, MG_ARG, "%s", shape);
  (void)snprintf(s->queue, sizeof s->queue, "%s", url);
  char *slash = strrchr(s->queue, '/');
  size_t origin = origin_of(s->queue);
  if ((size_t)(slash - s->queue) < origin) return mg_fail(e, MG_ARG, "%s", shape);
  size_t len = strlen(slash + 1);
  s->fifo = len > 5 && strcmp(slash + 1 + len - 5, ".fifo") == 0;
  if (s->fifo) len -= 5;
  if (len == 0 || len >= sizeof s->name || strspn(slash + 1, NAME_LETTERS) < len) {
    return mg_fail(e, MG_ARG, "%s; a queue's name has 1 to 80 letters, digits, - and _", shape);
  }
  (void)snprintf(s->name, sizeof s->name, "%.*s", (int)len, slash + 1);
  (void)snprintf(s->base, sizeof s->base, "%.*s", (int)(slash + 1 - s->queue), s->queue);
  return MG_OK;
}

/* https://sqs.REGION.amazonaws.com/..., https://REGION.queue.amazonaws.com/... */
static void region_of_url(mg_sqs_settings *s) {
  const char *host = strstr(s->queue, "://") + 3;
  size_t len = 0;
  if (strncmp(host, "sqs.", 4) == 0) {
    host += 4;
    len = strcspn(host, "./:");
    if (strncmp(host + len, ".amazonaws.", 11) != 0) len = 0;
  } else {
    len = strcspn(host, "./:");
    if (strncmp(host + len, ".queue.amazonaws.", 17) != 0) len = 0;
  }
  if (len > 0 && len < sizeof s->region) (void)snprintf(s->region, sizeof s->region, "%.*s", (int)len, host);
}

static void read_region(mg_sqs_settings *s, const mg_options *o) {
  const char *region = text_of(o, "region");
  if (region == NULL) region = getenv("AWS_REGION");
  if (region == NULL || region[0] == '\0') region = getenv("AWS_DEFAULT_REGION");
  if (region != NULL && region[0] != '\0')
    (void)snprintf(s->region, sizeof s->region, "%.63s", region);
  else
    region_of_url(s);
}

mg_err mg_sqs_settings_init(mg_sqs_settings *s, const mg_options *o, mg_error *e) {
  *s = (mg_sqs_settings){0};
  mg_err err = read_queue(s, text_of(o, "queue_url"), e);
  if (err != MG_OK) return err;
  const char *endpoint = text_of(o, "endpoint_url");
  if (endpoint != NULL && !is_url(endpoint))
    return mg_fail(e, MG_ARG, "endpoint_url must begin with http:// or https:// and have at most %d bytes", MG_SQS_URL_BYTES - 1);
  s->spill_endpoint = endpoint;
  if (endpoint == NULL) endpoint = s->queue;
  (void)snprintf(s->endpoint, sizeof s->endpoint, "%.*s/", (int)origin_of(endpoint), endpoint);
  read_region(s, o);
  s->results = text_of(o, "results_queue_url");
  s->dead = text_of(o, "dead_letter_queue_url");
  if (s->results != NULL && !is_url(s->results)) return mg_fail(e, MG_ARG, "results_queue_url must be the URL of a queue");
  if (s->dead != NULL && !is_url(s->dead)) return mg_fail(e, MG_ARG, "dead_letter_queue_url must be the URL of a queue");
  s->profile = text_of(o, "profile");
  s->key_id = text_of(o, "aws_access_key_id");
  s->secret = text_of(o, "aws_secret_access_key");
  s->token = text_of(o, "aws_session_token");
  if ((s->key_id == NULL) != (s->secret == NULL)) return mg_fail(e, MG_ARG, "aws_access_key_id and aws_secret_access_key need each other");
  s->spill = text_of(o, "spill");
  int64_t poll = mg_options_int(o, "long_polling_seconds", 20);
  if (poll < 0 || poll > 20) return mg_fail(e, MG_ARG, "long_polling_seconds must be 0 to 20, got %lld", (long long)poll);
  s->long_poll_s = (int)poll;
  int64_t most = mg_options_int(o, "max_message_bytes", 0);
  if (most != 0 && (most < 1024 || most > 1048576)) return mg_fail(e, MG_ARG, "max_message_bytes must be 1024 to 1048576, got %lld", (long long)most);
  s->max_message = (size_t)most;
  s->retention_s = mg_options_int(o, "retention_seconds", 7 * 86400);
  if (s->retention_s < 60) s->retention_s = 60;
  if (s->retention_s > 1209600) s->retention_s = 1209600;
  s->lease_ms = (mg_ms)(1000 * mg_options_real(o, "lease_seconds", 60));
  s->results_lease_ms = s->lease_ms < RESULTS_LEASE_MIN_MS ? RESULTS_LEASE_MIN_MS : s->lease_ms;
  s->hold_ms = 1000 * mg_options_int(o, "max_hold_seconds", 43200);
  return MG_OK;
}

void mg_sqs_beside(const mg_sqs_settings *s, const char *name, char out[MG_SQS_URL_BYTES]) { (void)snprintf(out, MG_SQS_URL_BYTES, "%.400s%s", s->base, name); }

void mg_sqs_name(const mg_sqs_settings *s, const char *suffix, bool fifo, char out[MG_SQS_NAME_BYTES]) {
  const char *end = fifo ? ".fifo" : "";
  char whole[3 * MG_SQS_NAME_BYTES];
  int len = snprintf(whole, sizeof whole, "%s-%.150s", s->name, suffix);
  if ((size_t)len + strlen(end) < MG_SQS_NAME_BYTES && strspn(suffix, NAME_LETTERS) == strlen(suffix)) {
    (void)snprintf(out, MG_SQS_NAME_BYTES, "%.*s%s", len, whole, end);
    return;
  }
  uint64_t low, high;
  mg_xxh3_128(whole, (size_t)len, &low, &high);
  size_t kind = strcspn(suffix, "-");
  (void)snprintf(out, MG_SQS_NAME_BYTES, "%.30s-%.*s-%016llx%s", s->name, (int)(kind < 16 ? kind : 16), suffix, (unsigned long long)low, end);
}
