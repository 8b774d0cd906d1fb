/* Credentials that a service gives: STS, the container's endpoint, the instance's metadata. */
#include "backends/sqs/provider.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STS_MS = 10000, METADATA_MS = 2000, METADATA_TRIES = 2, TOKEN_BYTES = 16384 };

static mg_ms within(const mg_sqs_seeker *s, mg_ms ms) {
  mg_ms left = s->until - mg_now_ms();
  return left < ms ? (left < 1 ? 1 : left) : ms;
}

static const char *given(const char *variable) {
  const char *text = getenv(variable);
  return text != NULL && text[0] != '\0' ? text : NULL;
}

/* The whole file without white space at its end. */
static mg_err read_token(const char *path, char *out, size_t size, mg_error *e) {
  FILE *f = fopen(path, "re");
  if (f == NULL) return mg_fail_errno(e, MG_FATAL, errno, "the token file %s", path);
  size_t n = fread(out, 1, size - 1, f);
  (void)fclose(f);
  while (n > 0 && strchr(" \t\r\n", out[n - 1]) != NULL) n--;
  out[n] = '\0';
  return n > 0 && n < size - 1 ? MG_OK : mg_fail(e, MG_FATAL, "the token file %s is empty or too long", path);
}

/* One exchange on an exchange of its own; the reply's bytes are handed to take before it ends. */
static mg_err ask(const mg_sqs_seeker *s, const mg_sqs_request *r, const char *form, const char *what, mg_sqs_exchange **x, mg_error *e) {
  *x = mg_sqs_exchange_new(s->http);
  if (*x == NULL) return mg_fail(e, MG_NOMEM, "no memory for a request to %s", what);
  if (form != NULL) mg_buf_puts(&(*x)->body, form);
  mg_err err = mg_sqs_http_ask(s->http, *x, r, mg_now_ms() + r->timeout_ms, e);
  if (err != MG_OK) return mg_fail_in(e, "%s", what);
  mg_buf_put(&(*x)->reply, "", 1); /* so that it is a text */
  (*x)->reply.len--;
  return (*x)->reply.failed ? mg_fail(e, MG_NOMEM, "no memory for the answer of %s", what) : MG_OK;
}

static void done(const mg_sqs_seeker *s, mg_sqs_exchange *x) {
  if (x == NULL) return;
  if (x->reply.data != NULL) explicit_bzero(x->reply.data, x->reply.cap);
  if (x->body.data != NULL) explicit_bzero(x->body.data, x->body.cap);
  mg_sqs_exchange_end(s->http, x);
}

/* --- STS --- */

static char *element(const char *xml, const char *name) {
  char tag[64];
  (void)snprintf(tag, sizeof tag, "<%s>", name);
  const char *from = strstr(xml, tag), *to;
  if (from == NULL) return NULL;
  from += strlen(tag);
  (void)snprintf(tag, sizeof tag, "</%s>", name);
  to = strstr(from, tag);
  return to == NULL ? NULL : strndup(from, (size_t)(to - from));
}

static mg_err read_sts(mg_sqs_exchange *x, const char *what, mg_sqs_found *out, mg_error *e) {
  const char *xml = (const char *)x->reply.data;
  mg_err err;
  if (x->status != 200) {
    char *code = element(xml, "Code"), *message = element(xml, "Message");
    err = mg_fail(e, x->status >= 500 || x->status == 429 ? MG_CONN : MG_FATAL, "%s was refused (%ld %s): %.200s", what, x->status, code != NULL ? code : "",
                  message != NULL ? message : "");
    free(code);
    free(message);
    return err;
  }
  char *id = element(xml, "AccessKeyId"), *secret = element(xml, "SecretAccessKey"), *token = element(xml, "SessionToken"),
       *expires = element(xml, "Expiration");
  if (id != NULL && secret != NULL && token != NULL)
    err = mg_sqs_found_set(out, id, secret, token, mg_sqs_time_of(expires), e);
  else
    err = mg_fail(e, MG_FATAL, "%s gave no credentials", what);
  if (secret != NULL) explicit_bzero(secret, strlen(secret));
  free(id);
  free(secret);
  free(token);
  free(expires);
  return err;
}

static void put_escaped(mg_buf *out, const char *name, const char *value) {
  mg_buf_putf(out, "&%s=", name);
  for (const char *p = value; *p != '\0'; p++) {
    if ((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') || strchr("-_.~", *p) != NULL)
      mg_buf_put(out, p, 1);
    else
      mg_buf_putf(out, "%%%02X", (unsigned)(unsigned char)*p);
  }
}

static void sts_url(const mg_sqs_seeker *s, char *out, size_t size) {
  const char *own = given("AWS_ENDPOINT_URL_STS"), *all = given("AWS_ENDPOINT_URL");
  if (own != NULL || all != NULL)
    (void)snprintf(out, size, "%s/", own != NULL ? own : all);
  else
    (void)snprintf(out, size, "https://sts.%s.amazonaws.com%s/", s->settings->region, strncmp(s->settings->region, "cn-", 3) == 0 ? ".cn" : "");
}

static mg_err ask_sts(const mg_sqs_seeker *s, const mg_sqs_found *as, mg_buf *form, const char *what, mg_sqs_found *out, mg_error *e) {
  char url[600];
  mg_sqs_exchange *x = NULL;
  sts_url(s, url, sizeof url);
  mg_buf_put(form, "", 1);
  mg_sqs_keys keys = {as != NULL ? as->id : NULL, as != NULL ? as->secret : NULL, as != NULL ? as->token : NULL};
  mg_sqs_request r = {.method = "POST",
                      .url = url,
                      .content_type = "application/x-www-form-urlencoded",
                      .service = as != NULL ? "sts" : NULL,
                      .region = s->settings->region,
                      .keys = &keys,
                      .timeout_ms = within(s, STS_MS)};
  mg_err err = form->failed ? mg_fail(e, MG_NOMEM, "no memory for %s", what) : ask(s, &r, (const char *)form->data, what, &x, e);
  if (err == MG_OK) err = read_sts(x, what, out, e);
  done(s, x);
  return err;
}

mg_err mg_sqs_assume_role(const mg_sqs_seeker *s, const mg_sqs_found *as, const char *role, const char *external_id, const char *session, mg_sqs_found *out,
                          mg_error *e) {
  mg_buf form = {0};
  char what[200];
  (void)snprintf(what, sizeof what, "AssumeRole %.150s", role);
  mg_buf_puts(&form, "Action=AssumeRole&Version=2011-06-15");
  put_escaped(&form, "RoleArn", role);
  put_escaped(&form, "RoleSessionName", session != NULL ? session : "mguard");
  if (external_id != NULL) put_escaped(&form, "ExternalId", external_id);
  mg_err err = ask_sts(s, as, &form, what, out, e);
  mg_buf_fini(&form);
  return err;
}

mg_err mg_sqs_from_web_identity(const mg_sqs_seeker *s, const char *token_file, const char *role, const char *session, mg_sqs_found *out, mg_error *e) {
  char token[TOKEN_BYTES], what[200];
  mg_buf form = {0};
  mg_err err = read_token(token_file, token, sizeof token, e); /* each time: it is renewed */
  if (err != MG_OK) return err;
  (void)snprintf(what, sizeof what, "AssumeRoleWithWebIdentity %.150s", role);
  mg_buf_puts(&form, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15");
  put_escaped(&form, "RoleArn", role);
  put_escaped(&form, "RoleSessionName", session != NULL && session[0] != '\0' ? session : "mguard");
  put_escaped(&form, "WebIdentityToken", token);
  explicit_bzero(token, sizeof token);
  err = ask_sts(s, NULL, &form, what, out, e);
  if (form.data != NULL) explicit_bzero(form.data, form.cap);
  mg_buf_fini(&form);
  return err;
}

/* --- container --- */

/* Plain http may carry the token only within the machine or to the addresses that ECS and EKS give. */
static bool may_ask(const char *url) {
  static const char *const hosts[] = {"127.", "localhost", "[::1]", "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
  if (strncmp(url, "https://", 8) == 0) return true;
  if (strncmp(url, "http://", 7) != 0) return false;
  for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
    size_t len = strlen(hosts[i]);
    if (strncmp(url + 7, hosts[i], len) == 0 && (i == 0 || strchr(":/", url[7 + len]) != NULL)) return true;
  }
  return false;
}

mg_err mg_sqs_from_container(const mg_sqs_seeker *s, mg_sqs_found *out, mg_error *e) {
  static const char what[] = "the container's credentials endpoint";
  const char *relative = given("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"), *full = given("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  const char *file = given("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"), *given_token = given("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  char url[1024], token[TOKEN_BYTES] = "";
  mg_err err = MG_OK;
  if (relative == NULL && full == NULL) return MG_LOST;
  (void)snprintf(url, sizeof url, "%s%s", relative != NULL ? "http://169.254.170.2" : "", relative != NULL ? relative : full);
  if (!may_ask(url))
    return mg_fail(e, MG_FATAL, "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or http to the machine itself or to an address of ECS or EKS");
  if (file != NULL)
    err = read_token(file, token, sizeof token, e);
  else if (given_token != NULL)
    (void)snprintf(token, sizeof token, "%s", given_token);
  if (err == MG_OK && strpbrk(token, "\r\n") != NULL) err = mg_fail(e, MG_FATAL, "the token for %s has a line end in it", what);
  if (err != MG_OK) return err;
  mg_buf header = {0};
  mg_buf_putf(&header, "Authorization: %s", token);
  mg_buf_put(&header, "", 1);
  mg_sqs_request r = {
      .method = "GET", .url = url, .header = token[0] != '\0' ? (const char *)header.data : NULL, .timeout_ms = within(s, METADATA_MS), .direct = true};
  mg_sqs_exchange *x = NULL;
  err = header.failed ? mg_fail(e, MG_NOMEM, "no memory for a request to %s", what) : ask(s, &r, NULL, what, &x, e);
  if (err == MG_OK && x->status != 200) err = mg_fail(e, x->status >= 500 ? MG_CONN : MG_FATAL, "%s answered %ld", what, x->status);
  if (err == MG_OK) err = mg_sqs_found_json(out, mg_buf_slice(&x->reply), what, e);
  done(s, x);
  explicit_bzero(token, sizeof token);
  if (header.data != NULL) explicit_bzero(header.data, header.cap);
  mg_buf_fini(&header);
  return err;
}

/* --- IMDSv2 --- */

static mg_err metadata(const mg_sqs_seeker *s, const char *method, const char *path, const char *header, mg_sqs_exchange **x, mg_error *e) {
  const char *base = given("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  char url[1024];
  size_t len = base == NULL ? 0 : strlen(base);
  while (len > 0 && base[len - 1] == '/') len--;
  (void)snprintf(url, sizeof url, "%.*s%s", (int)(base == NULL ? 22 : len), base == NULL ? "http://169.254.169.254" : base, path);
  mg_err err = MG_CONN;
  for (int i = 0; i < METADATA_TRIES && err == MG_CONN; i++) {
    mg_sqs_request r = {.method = method, .url = url, .header = header, .timeout_ms = within(s, METADATA_MS), .direct = true};
    done(s, *x);
    *x = NULL;
    err = ask(s, &r, NULL, "the instance's metadata", x, e);
  }
  return err;
}

mg_err mg_sqs_from_instance(const mg_sqs_seeker *s, mg_sqs_found *out, mg_error *e) {
  static const char roles[] = "/latest/meta-data/iam/security-credentials/";
  const char *disabled = given("AWS_EC2_METADATA_DISABLED");
  char header[TOKEN_BYTES], path[400];
  mg_sqs_exchange *x = NULL;
  if (disabled != NULL && strcasecmp(disabled, "true") == 0) return MG_LOST;
  mg_err err = metadata(s, "PUT", "/latest/api/token", "X-aws-ec2-metadata-token-ttl-seconds: 21600", &x, e);
  if (err != MG_OK || x->status != 200) { /* no instance */
    done(s, x);
    return err == MG_OK || err == MG_CONN ? MG_LOST : err;
  }
  (void)snprintf(header, sizeof header, "X-aws-ec2-metadata-token: %s", (const char *)x->reply.data);
  err = metadata(s, "GET", roles, header, &x, e);
  if (err == MG_OK && x->status == 404) err = MG_LOST; /* an instance without a role */
  if (err == MG_OK && x->status != 200) err = mg_fail(e, MG_CONN, "the instance's metadata answered %ld", x->status);
  if (err == MG_OK) {
    const char *name = (const char *)x->reply.data;
    (void)snprintf(path, sizeof path, "%s%.*s", roles, (int)strcspn(name, "\r\n"), name);
    err = metadata(s, "GET", path, header, &x, e);
  }
  if (err == MG_OK && x->status != 200) err = mg_fail(e, MG_CONN, "the instance's metadata answered %ld", x->status);
  if (err == MG_OK) err = mg_sqs_found_json(out, mg_buf_slice(&x->reply), "the instance's metadata", e);
  done(s, x);
  explicit_bzero(header, sizeof header);
  return err;
}
