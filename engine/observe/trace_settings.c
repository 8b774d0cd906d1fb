/* The OTEL_ variables and --otlp-endpoint: https://opentelemetry.io/docs/specs/otel/protocol/exporter/ says what they mean. */
#include "observe/trace.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LIST_MOST = 128, TIMEOUT_MS = 10000, DELAY_MS = 1000, BATCH = 512, QUEUE = 8192 };

static const char PATH[] = "/v1/traces";

/* An empty variable is one that is not set. */
static const char *set(const char *value) { return value != NULL && value[0] != '\0' ? value : NULL; }
static const char *either(const char *first, const char *second) { return set(first) != NULL ? first : set(second); }

static char *copy(const char *text) { return text != NULL ? strdup(text) : NULL; }

static void unescape(char *text) {
  char *to = text;
  for (const char *c = text; *c != '\0'; c++) {
    if (c[0] == '%' && isxdigit((unsigned char)c[1]) && isxdigit((unsigned char)c[2])) {
      char two[3] = {c[1], c[2], '\0'};
      *to++ = (char)strtol(two, NULL, 16);
      c += 2;
    } else {
      *to++ = *c;
    }
  }
  *to = '\0';
}

static char *trimmed(const char *from, size_t len) {
  while (len > 0 && isspace((unsigned char)from[0])) from++, len--;
  while (len > 0 && isspace((unsigned char)from[len - 1])) len--;
  return strndup(from, len);
}

/* "key=value,key=value" into key, value, key, value, NULL; NULL where memory ended. What has no '=' is left out. */
static char **pairs_of(const char *text) {
  char **list = calloc(2 * LIST_MOST + 1, sizeof *list);
  if (list == NULL || text == NULL) return list;
  for (size_t n = 0; *text != '\0' && n < 2 * LIST_MOST;) {
    size_t len = strcspn(text, ",");
    const char *equals = memchr(text, '=', len);
    if (equals != NULL && equals > text) {
      list[n] = trimmed(text, (size_t)(equals - text));
      list[n + 1] = trimmed(equals + 1, len - (size_t)(equals - text) - 1);
      if (list[n + 1] != NULL) unescape(list[n + 1]);
      n += 2;
    }
    text += len + (text[len] == ',');
  }
  return list;
}

static void free_list(char **list) {
  for (char **p = list; p != NULL && *p != NULL; p++) free(*p);
  free(list);
}

static bool clean(const char *text) {
  for (const char *c = text; *c != '\0'; c++) {
    if ((unsigned char)*c < 0x20 || *c == 0x7f) return false;
  }
  return true;
}

static mg_err read_headers(mg_trace_settings *s, mg_error *e) {
  char **pairs = pairs_of(either(getenv("OTEL_EXPORTER_OTLP_TRACES_HEADERS"), getenv("OTEL_EXPORTER_OTLP_HEADERS")));
  s->headers = calloc(LIST_MOST + 2, sizeof *s->headers);
  if (pairs == NULL || s->headers == NULL || (s->headers[0] = strdup("Content-Type: application/json")) == NULL) {
    free_list(pairs);
    return mg_fail(e, MG_NOMEM, "no memory for traces");
  }
  mg_err err = MG_OK;
  size_t n = 1;
  for (char **p = pairs; *p != NULL && err == MG_OK; p += 2) {
    size_t size = strlen(p[0]) + strlen(p[1]) + 3;
    if (!clean(p[0]) || !clean(p[1])) {
      err = mg_fail(e, MG_ARG, "OTEL_EXPORTER_OTLP_HEADERS: the header %s holds control bytes", clean(p[0]) ? p[0] : "?");
    } else if ((s->headers[n] = malloc(size)) == NULL) {
      err = mg_fail(e, MG_NOMEM, "no memory for traces");
    } else {
      (void)snprintf(s->headers[n++], size, "%s: %s", p[0], p[1]);
    }
  }
  free_list(pairs);
  return err;
}

static mg_err whole(const char *name, const char *text, long low, long high, long otherwise, long *out, mg_error *e) {
  *out = otherwise;
  if (set(text) == NULL) return MG_OK;
  char *end;
  long v = strtol(text, &end, 10);
  if (*end != '\0' || v < low || v > high) return mg_fail(e, MG_ARG, "%s must be a whole number from %ld to %ld, got %s", name, low, high, text);
  *out = v;
  return MG_OK;
}

static mg_err read_numbers(mg_trace_settings *s, mg_error *e) {
  long timeout, delay, batch, queue;
  mg_err err = whole("OTEL_EXPORTER_OTLP_TIMEOUT", either(getenv("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"), getenv("OTEL_EXPORTER_OTLP_TIMEOUT")), 1, 600000,
                     TIMEOUT_MS, &timeout, e);
  if (err == MG_OK) err = whole("OTEL_BSP_SCHEDULE_DELAY", getenv("OTEL_BSP_SCHEDULE_DELAY"), 0, 600000, DELAY_MS, &delay, e);
  if (err == MG_OK) err = whole("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", getenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE"), 1, 65536, BATCH, &batch, e);
  if (err == MG_OK) err = whole("OTEL_BSP_MAX_QUEUE_SIZE", getenv("OTEL_BSP_MAX_QUEUE_SIZE"), 1, 1048576, QUEUE, &queue, e);
  if (err != MG_OK) return err;
  s->timeout_ms = timeout;
  s->delay_ms = delay;
  s->batch = (size_t)batch;
  s->queue = (size_t)queue;
  return MG_OK;
}

static mg_err share_of(const char *name, const char *text, double *out, mg_error *e) {
  char *end;
  double v = strtod(text, &end);
  if (end == text || *end != '\0' || !(v >= 0 && v <= 1)) return mg_fail(e, MG_ARG, "%s must be a number from 0 to 1, got %s", name, text);
  *out = v;
  return MG_OK;
}

/* 00-<trace>-<span>-<flags>; what does not look like that is ignored, as the W3C says. *sampled stays where there is none. */
static void read_parent(mg_trace_settings *s, const char *text, bool *sampled) {
  unsigned version, flags;
  char trace[33], span[17];
  if (set(text) == NULL || strlen(text) < 55 || sscanf(text, "%2x-%32[0-9a-f]-%16[0-9a-f]-%2x", &version, trace, span, &flags) != 4) return;
  if (version == 0xff || strlen(trace) != 32 || strlen(span) != 16) return;
  for (int i = 0; i < MG_TRACE_BYTES; i++) {
    char two[3] = {trace[2 * i], trace[2 * i + 1], '\0'};
    s->trace[i] = (uint8_t)strtoul(two, NULL, 16);
  }
  s->parent = strtoull(span, NULL, 16);
  s->has_parent = s->parent != 0 && mg_trace_is_set(s->trace);
  if (s->has_parent) *sampled = (flags & 1) != 0;
}

static mg_err read_sampler(mg_trace_settings *s, const char *share, mg_error *e) {
  const char *sampler = set(getenv("OTEL_TRACES_SAMPLER")), *arg = set(getenv("OTEL_TRACES_SAMPLER_ARG"));
  bool sampled = true, parent_says = sampler == NULL || strncmp(sampler, "parentbased_", 12) == 0;
  s->share = 1;
  read_parent(s, getenv("TRACEPARENT"), &sampled);
  if (share != NULL) return share_of("--trace-share", share, &s->share, e);
  if (sampler != NULL && strncmp(sampler, "parentbased_", 12) == 0) sampler += 12;
  if (sampler != NULL && strcmp(sampler, "always_off") == 0)
    s->share = -1;
  else if (sampler != NULL && strcmp(sampler, "traceidratio") == 0 && arg != NULL) {
    mg_err err = share_of("OTEL_TRACES_SAMPLER_ARG", arg, &s->share, e);
    if (err != MG_OK) return err;
  } else if (sampler != NULL && strcmp(sampler, "always_on") != 0 && strcmp(sampler, "traceidratio") != 0) {
    (void)snprintf(s->ignored, sizeof s->ignored, "OTEL_TRACES_SAMPLER=%.100s is not known here and was ignored", sampler);
  }
  if (s->has_parent && parent_says) s->share = !sampled ? -1 : s->share < 0 ? 1 : s->share;
  return MG_OK;
}

static char *url_of(const char *base) {
  size_t len = strlen(base), path = sizeof PATH - 1;
  while (len > 0 && base[len - 1] == '/') len--;
  char *url = malloc(len + path + 1);
  if (url == NULL) return NULL;
  memcpy(url, base, len);
  bool has = len >= path && memcmp(base + len - path, PATH, path) == 0;
  memcpy(url + len, has ? "" : PATH, has ? 1 : path + 1);
  return url;
}

mg_err mg_trace_settings_read(mg_trace_settings *out, const char *endpoint, const char *share, mg_error *e) {
  *out = (mg_trace_settings){0};
  const char *whole_url = set(getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")), *base = set(getenv("OTEL_EXPORTER_OTLP_ENDPOINT"));
  if (endpoint == NULL) {
    const char *off = set(getenv("OTEL_SDK_DISABLED")), *exporter = set(getenv("OTEL_TRACES_EXPORTER"));
    const char *protocol = either(getenv("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"), getenv("OTEL_EXPORTER_OTLP_PROTOCOL"));
    if (whole_url == NULL && base == NULL) {
      return share == NULL ? MG_OK : mg_fail(e, MG_ARG, "--trace-share says how much, but not to whom: give --otlp-endpoint too");
    }
    if ((off != NULL && strcasecmp(off, "true") == 0) || (exporter != NULL && strcmp(exporter, "otlp") != 0)) return MG_OK;
    if (protocol != NULL && strcmp(protocol, "grpc") == 0) {
      (void)snprintf(out->ignored, sizeof out->ignored, "no traces: OTEL_EXPORTER_OTLP_PROTOCOL is grpc, and mguard speaks http/json; give --otlp-endpoint");
      return MG_OK;
    }
  }
  const char *service = set(getenv("OTEL_SERVICE_NAME"));
  out->url = endpoint != NULL ? url_of(endpoint) : whole_url != NULL ? strdup(whole_url) : url_of(base);
  out->service = strdup(service != NULL ? service : "mguard");
  out->attributes = pairs_of(set(getenv("OTEL_RESOURCE_ATTRIBUTES")));
  out->ca_file = copy(either(getenv("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE"), getenv("OTEL_EXPORTER_OTLP_CERTIFICATE")));
  out->client_certificate = copy(either(getenv("OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE"), getenv("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE")));
  out->client_key = copy(either(getenv("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY"), getenv("OTEL_EXPORTER_OTLP_CLIENT_KEY")));
  out->wanted = true;
  mg_err err = out->url == NULL || out->service == NULL || out->attributes == NULL ? mg_fail(e, MG_NOMEM, "no memory for traces") : MG_OK;
  if (err == MG_OK) err = read_headers(out, e);
  if (err == MG_OK) err = read_numbers(out, e);
  if (err == MG_OK) err = read_sampler(out, share, e);
  return err;
}

void mg_trace_settings_fini(mg_trace_settings *s) {
  free(s->url);
  free_list(s->headers);
  free(s->service);
  free_list(s->attributes);
  free(s->ca_file);
  free(s->client_certificate);
  free(s->client_key);
  *s = (mg_trace_settings){0};
}
