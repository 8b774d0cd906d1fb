/* http_internal.h - certificate and key of the metrics' server; shared by http*.c alone. */
#ifndef MG_OBSERVE_HTTP_INTERNAL_H
#define MG_OBSERVE_HTTP_INTERNAL_H

#include "observe/http.h"
#include <stdbool.h>

typedef struct mg_http_tls { /* zero-initialised: none */
  mg_buf certificate, key;   /* PEM, with a NUL behind it */
  bool wanted;
} mg_http_tls;

/* MG_ARG names the flag and the file that is wrong. */
mg_err mg_http_tls_load(mg_http_tls *out, const mg_http_config *c, mg_error *e);
void mg_http_tls_fini(mg_http_tls *t);

#endif
