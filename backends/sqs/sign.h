/* sign.h - AWS signature version 4 of a request. Any thread.
 *
 * libcurl can sign too, but up to 7.88 it sends an X-Amz-Date of ours twice, which services refuse: then a clock that is wrong could not be corrected. */
#ifndef MG_SQS_SIGN_H
#define MG_SQS_SIGN_H

#include "base/buf.h"
#include "base/err.h"

typedef struct mg_sqs_keys {       /* borrowed */
  const char *id, *secret, *token; /* token NULL: none */
} mg_sqs_keys;

typedef struct mg_sqs_signing {
  const char *method, *url; /* no query; the path is escaped as it is to be signed */
  const char *service, *region;
  const char *content_type, *target; /* headers; NULL: none */
  const mg_sqs_keys *keys;
  int64_t wall_ms; /* the time to sign with, since 1970 */
  mg_slice body;
} mg_sqs_signing;

/* Appends the headers, "Name: value" each with a NUL behind it: those named above, the date, the token and Authorization. */
mg_err mg_sqs_sign(const mg_sqs_signing *s, mg_buf *out, mg_error *e);

#endif
