#include "backends/sqs/provider.h"

#include "base/hash.h"
#include "base/log.h"
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Read again so long before their end, and a random part of JITTER earlier, so that many workers do not ask at once. */
enum { AHEAD_MS = 300000, JITTER_MS = 60000, AGAIN_MS = 10000, STATIC_AGAIN_MS = 5000 };

struct mg_sqs_credentials {
  mg_sqs_http *http;
  const mg_sqs_settings *settings;
  mg_sqs_found found;
  const char *source;
  int64_t refresh_at; /* wall clock; 0: never */
  mg_ms not_before;   /* of the next attempt after one that failed */
  bool refused;
};

/* --- what was found --- */

static void wipe(char *text) {
  if (text == NULL) return;
  explicit_bzero(text, strlen(text));
  free(text);
}

void mg_sqs_found_clear(mg_sqs_found *f) {
  free(f->id);
  wipe(f->secret);
  wipe(f->token);
  *f = (mg_sqs_found){0};
}

mg_err mg_sqs_found_set(mg_sqs_found *f, const char *id, const char *secret, const char *token, int64_t expires_ms, mg_error *e) {
  mg_sqs_found_clear(f);
  f->id = strdup(id);
  f->secret = strdup(secret);
  f->token = token != NULL && token[0] != '\0' ? strdup(token) : NULL;
  f->expires_ms = expires_ms;
  if (f->id != NULL && f->secret != NULL && (token == NULL || token[0] == '\0' || f->token != NULL)) return MG_OK;
  mg_sqs_found_clear(f);
  return mg_fail(e, MG_NOMEM, "no memory for credentials");
}

int64_t mg_sqs_time_of(const char *iso) {
  struct tm t = {0};
  if (iso == NULL || strptime(iso, "%Y-%m-%dT%H:%M:%S", &t) == NULL) return 0;
  return (int64_t)timegm(&t) * 1000;
}

mg_err mg_sqs_found_json(mg_sqs_found *f, mg_slice text, const char *what, mg_error *e) {
  const char *id = NULL, *secret = NULL, *token = NULL, *session = NULL, *expires = NULL;
  json_error_t ignored; /* its text would show what stands there */
  json_t *root = json_loadb((const char *)text.data, text.len, 0, &ignored);
  if (root == NULL || json_unpack(root, "{s:s, s:s, s?s, s?s, s?s}", "AccessKeyId", &id, "SecretAccessKey", &secret, "Token", &token, "SessionToken", &session,
                                  "Expiration", &expires) != 0) {
    json_decref(root);
    return mg_fail(e, MG_FATAL, "%s gave no JSON with AccessKeyId and SecretAccessKey", what);
  }
  mg_err err = mg_sqs_found_set(f, id, secret, token != NULL ? token : session, mg_sqs_time_of(expires), e);
  json_decref(root);
  return err;
}

/* --- the chain --- */

static mg_err from_settings(const mg_sqs_seeker *s, mg_sqs_found *out, mg_error *e) {
  if (s->settings->key_id == NULL) return MG_LOST;
  return mg_sqs_found_set(out, s->settings->key_id, s->settings->secret, s->settings->token, 0, e);
}

static mg_err from_environment(const mg_sqs_seeker *s, mg_sqs_found *out, mg_error *e) {
  const char *id = getenv("AWS_ACCESS_KEY_ID"), *secret = getenv("AWS_SECRET_ACCESS_KEY");
  if (s->settings->profile != NULL || id == NULL || id[0] == '\0' || secret == NULL || secret[0] == '\0') return MG_LOST;
  return mg_sqs_found_set(out, id, secret, getenv("AWS_SESSION_TOKEN"), 0, e);
}

static mg_err from_profile(const mg_sqs_seeker *s, mg_sqs_found *out, mg_error *e) { return mg_sqs_from_files(s, mg_sqs_profile_name(s->settings), 0, out, e); }

static mg_err from_web(const mg_sqs_seeker *s, mg_sqs_found *out, mg_error *e) {
  const char *file = getenv("AWS_WEB_IDENTITY_TOKEN_FILE"), *role = getenv("AWS_ROLE_ARN");
  if (file == NULL || file[0] == '\0' || role == NULL || role[0] == '\0') return MG_LOST;
  return mg_sqs_from_web_identity(s, file, role, getenv("AWS_ROLE_SESSION_NAME"), out, e);
}

static const struct {
  const char *name;
  mg_err (*find)(const mg_sqs_seeker *s, mg_sqs_found *out, mg_error *e);
} chain[] = {
    {"the queue configuration", from_settings},
    {"the environment", from_environment},
    {"the shared AWS files", from_profile},
    {"web identity", from_web},
    {"the container's endpoint", mg_sqs_from_container},
    {"the instance's metadata", mg_sqs_from_instance},
};

static mg_err seek(mg_sqs_credentials *c, mg_ms until, mg_sqs_found *out, const char **source, mg_error *e) {
  mg_sqs_seeker s = {c->http, c->settings, until};
  for (size_t i = 0; i < sizeof chain / sizeof chain[0]; i++) {
    mg_err err = chain[i].find(&s, out, e);
    *source = chain[i].name;
    if (err != MG_LOST) return err;
  }
  return mg_fail(e, MG_FATAL,
                 "no AWS credentials: neither the queue configuration, the environment, the shared AWS files (profile %s), web identity, a container's "
                 "endpoint nor the instance's metadata has any",
                 mg_sqs_profile_name(c->settings));
}

/* --- life --- */

mg_err mg_sqs_credentials_new(mg_sqs_credentials **out, mg_sqs_settings *settings, mg_error *e) {
  if (settings->region[0] == '\0' && !mg_sqs_profile_region(settings, settings->region, sizeof settings->region)) {
    return mg_fail(e, MG_ARG, "the AWS region is not known: give region, or set AWS_REGION");
  }
  mg_sqs_credentials *c = calloc(1, sizeof *c);
  if (c == NULL) return mg_fail(e, MG_NOMEM, "no memory for credentials");
  c->settings = settings;
  c->source = "";
  c->http = mg_sqs_http_new();
  if (c->http == NULL) {
    free(c);
    return mg_fail(e, MG_NOMEM, "no memory for credentials");
  }
  *out = c;
  return MG_OK;
}

void mg_sqs_credentials_free(mg_sqs_credentials *c) {
  if (c == NULL) return;
  mg_sqs_found_clear(&c->found);
  mg_sqs_http_free(c->http);
  free(c);
}

static void plan_refresh(mg_sqs_credentials *c) {
  int64_t now = mg_wall_ms(), left = c->found.expires_ms - now;
  if (c->found.expires_ms == 0) {
    c->refresh_at = 0;
    return;
  }
  /* Short-lived ones are read again at half their life. */
  int64_t ahead = AHEAD_MS + (int64_t)(mg_random64() % JITTER_MS);
  c->refresh_at = left > 2 * ahead ? c->found.expires_ms - ahead : now + left / 2;
}

mg_err mg_sqs_credentials_get(mg_sqs_credentials *c, mg_ms until, mg_sqs_keys *out, mg_error *e) {
  int64_t wall = mg_wall_ms();
  mg_ms now = mg_now_ms();
  bool none = c->found.id == NULL;
  if (none || (now >= c->not_before && (c->refused || (c->refresh_at != 0 && wall >= c->refresh_at)))) {
    mg_sqs_found fresh = {0};
    mg_error why = {0};
    const char *source = "";
    mg_err err = seek(c, until, &fresh, &source, &why);
    if (err == MG_OK) {
      c->not_before = c->refused ? now + STATIC_AGAIN_MS : 0; /* the same ones again: not for every call */
      mg_sqs_found_clear(&c->found);
      c->found = fresh;
      c->source = source;
      c->refused = false;
      plan_refresh(c);
    } else {
      c->not_before = now + AGAIN_MS;
      if (none || c->refused || (c->found.expires_ms != 0 && wall >= c->found.expires_ms)) {
        if (e != NULL) *e = why;
        return none || err != MG_FATAL ? err : MG_CONN; /* there were some: they may come back */
      }
      static mg_log_limit limit;
      mg_log_rarely(&limit, 60000, MG_LOG_WARN, "credentials_kept", MG_FIELDS(MG_LT("source", source)), "AWS credentials were not renewed: %s", why.text);
    }
  }
  *out = (mg_sqs_keys){c->found.id, c->found.secret, c->found.token};
  return MG_OK;
}

void mg_sqs_credentials_refused(mg_sqs_credentials *c) { c->refused = true; }

const char *mg_sqs_credentials_source(const mg_sqs_credentials *c) { return c->source; }
