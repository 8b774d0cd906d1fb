/* settings.h - what the options say about the RabbitMQ server. Immutable once read; borrows texts from the options. */
#ifndef MG_RABBITMQ_SETTINGS_H
#define MG_RABBITMQ_SETTINGS_H

#include "backends/net/transport.h"
#include "base/options.h"

enum { MG_RABBIT_HOST_BYTES = 256, MG_RABBIT_HOSTS = 16 };

typedef struct mg_rabbit_place {
  char host[MG_RABBIT_HOST_BYTES];
  int port;
} mg_rabbit_place;

typedef struct mg_rabbit_settings {
  mg_rabbit_place hosts[MG_RABBIT_HOSTS]; /* tried in turn */
  size_t host_count;
  const char *username, *password, *virtual_host;
  mg_tls_options tls;
  const char *queue;       /* of tasks; the other names are made from it */
  const char *exchange;    /* "": the default exchange */
  const char *routing_key; /* of tasks */
  bool durable;
  uint16_t prefetch; /* tasks a worker may hold at once */
  int64_t retention_ms;
  double consumer_timeout_s; /* the broker's own, for texts: clients cannot read it */
  mg_ms connect_timeout_ms;
  const char *management_url; /* NULL: none */
  char *url; /* owned; decoded parts of the option "url" point into it */
} mg_rabbit_settings;

/* MG_ARG names the key that cannot be used. fini afterwards, on failure too. */
mg_err mg_rabbit_settings_init(mg_rabbit_settings *s, const mg_options *o, mg_error *e);
void mg_rabbit_settings_fini(mg_rabbit_settings *s);

#endif
