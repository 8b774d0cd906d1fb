/* credentials.h - who we are to AWS, found in the standard order and read again ahead of its end.
 *
 * Order: the configuration's own keys · the environment · the shared config and credentials files (keys, role_arn with source_profile or
 * credential_source, web_identity_token_file, credential_process) · web identity · the container's endpoint · IMDSv2. Where the configuration names
 * a profile, it comes before the environment. One thread; calls wait until `until` at most. Secrets stand in no text and no log. */
#ifndef MG_SQS_CREDENTIALS_H
#define MG_SQS_CREDENTIALS_H

#include "backends/sqs/http.h"
#include "backends/sqs/settings.h"

typedef struct mg_sqs_credentials mg_sqs_credentials;

/* region is that of the settings or of the profile; MG_ARG where neither knows one. */
mg_err mg_sqs_credentials_new(mg_sqs_credentials **out, mg_sqs_settings *settings, mg_error *e);
void mg_sqs_credentials_free(mg_sqs_credentials *c);

/* The keys, read again where they are about to end; those that are still good are kept where that fails. MG_FATAL: there are none to be found.
 * MG_CONN: what gives them does not answer. */
mg_err mg_sqs_credentials_get(mg_sqs_credentials *c, mg_ms until, mg_sqs_keys *out, mg_error *e);
/* The service says that they have ended: the next get reads them again. */
void mg_sqs_credentials_refused(mg_sqs_credentials *c);
const char *mg_sqs_credentials_source(const mg_sqs_credentials *c); /* "the environment", ...; for texts */

#endif
