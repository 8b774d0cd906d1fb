/* webhook.h - tells others of alerts and of a run's end: a POST of JSON, plain or as Slack and its like take it, signed where there is a secret.
 *
 * Headers: X-Mguard-Event (verdict, failure, alert), X-Mguard-Delivery (an id that repeats when the post is tried again) and, with a secret,
 * X-Mguard-Signature: t=SECONDS,v1=HEX, the HMAC-SHA256 of "SECONDS.BODY". Owner: the loop's thread; each webhook has a thread that posts. */
#ifndef MG_OBSERVE_WEBHOOK_H
#define MG_OBSERVE_WEBHOOK_H

#include "base/log.h"
#include "observe/report.h"

enum { MG_WEBHOOK_END_MS = 30000 /* longest wait for those who are told at the end */ };

typedef struct mg_webhooks mg_webhooks;

/* *out NULL where there are none. plan: its name or file, for people. MG_ARG names the webhook that cannot be posted to. */
mg_err mg_webhooks_start(mg_webhooks **out, const mg_webhook_plan *hooks, int count, const char *run, const char *plan, mg_error *e);

/* The same name at most once a minute; what was held back is counted in the next one. NULL is fine, here and below. */
void mg_webhooks_alert(mg_webhooks *w, const char *name, mg_log_level level, const char *text, const mg_log_field *fields, size_t field_count);
void mg_webhooks_verdict(mg_webhooks *w, const mg_report *r);
void mg_webhooks_failure(mg_webhooks *w, const char *why); /* the run ended without a verdict */
/* Waits until all are told or given up, MG_WEBHOOK_END_MS at most; who was not told is logged. */
void mg_webhooks_stop(mg_webhooks *w);

#endif
