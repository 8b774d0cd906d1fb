/* provider.h - one way to find credentials; inside credentials*.c alone. Each gives MG_OK, MG_LOST where there is nothing of its kind, or why it
 * failed. */
#ifndef MG_SQS_PROVIDER_H
#define MG_SQS_PROVIDER_H

#include "backends/sqs/credentials.h"

typedef struct mg_sqs_found { /* owned texts */
  char *id, *secret, *token;
  int64_t expires_ms; /* since 1970; 0: never */
} mg_sqs_found;

typedef struct mg_sqs_seeker {
  mg_sqs_http *http;
  const mg_sqs_settings *settings;
  mg_ms until;
} mg_sqs_seeker;

void mg_sqs_found_clear(mg_sqs_found *f);
mg_err mg_sqs_found_set(mg_sqs_found *f, const char *id, const char *secret, const char *token, int64_t expires_ms, mg_error *e);
int64_t mg_sqs_time_of(const char *iso); /* "2026-11-25T10:11:12Z" since 1970 in ms; 0: none */
/* {"AccessKeyId", "SecretAccessKey", "Token" or "SessionToken", "Expiration"} of what (for texts). */
mg_err mg_sqs_found_json(mg_sqs_found *f, mg_slice json, const char *what, mg_error *e);

/* credentials_files.c */
const char *mg_sqs_profile_name(const mg_sqs_settings *s);
mg_err mg_sqs_from_files(const mg_sqs_seeker *s, const char *profile, int depth, mg_sqs_found *out, mg_error *e);
bool mg_sqs_profile_region(const mg_sqs_settings *s, char *out, size_t size);

/* credentials_services.c */
mg_err mg_sqs_assume_role(const mg_sqs_seeker *s, const mg_sqs_found *as, const char *role, const char *external_id, const char *session, mg_sqs_found *out,
                          mg_error *e);
mg_err mg_sqs_from_web_identity(const mg_sqs_seeker *s, const char *token_file, const char *role, const char *session, mg_sqs_found *out, mg_error *e);
mg_err mg_sqs_from_container(const mg_sqs_seeker *s, mg_sqs_found *out, mg_error *e);
mg_err mg_sqs_from_instance(const mg_sqs_seeker *s, mg_sqs_found *out, mg_error *e);

#endif
