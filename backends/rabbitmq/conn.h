/* conn.h - one AMQP connection: login, channels, frames in and out, heartbeats. rabbitmq-c encodes and decodes; bytes go over our own
 * transport, so that every wait ends in time, sees wake_fd, and a blocked connection blocks nobody.
 *
 * Owned by the link thread. Nothing is read or written but inside calls: the owner pumps at least every few seconds. Once a call has
 * returned MG_CONN or MG_FATAL for the connection as a whole, it is dead and only to be closed. */
#ifndef MG_RABBITMQ_CONN_H
#define MG_RABBITMQ_CONN_H

#include "backends/rabbitmq/frames.h"
#include "backends/rabbitmq/settings.h"

enum { MG_RABBIT_CHANNELS = 4, MG_RABBIT_HEARTBEAT_S = 20 };

typedef struct mg_rabbit_conn mg_rabbit_conn;

/* What a channel brought that nobody had asked for: deliver, get-ok and return with their content; ack, nack, cancel; channel.close (the
 * channel is then shut, and answered). Borrowed while the callback runs, which must not wait. */
typedef struct mg_rabbit_news {
  uint16_t channel;
  amqp_method_number_t id;
  const void *method; /* decoded */
  const amqp_basic_properties_t *properties;
  mg_slice body;
} mg_rabbit_news;
typedef void mg_rabbit_listener(void *owner, const mg_rabbit_news *news);

typedef struct mg_rabbit_reply {
  amqp_method_number_t id;
  uint32_t messages, consumers; /* declare-ok, delete-ok */
  char name[256];               /* declare-ok: the queue */
} mg_rabbit_reply;

mg_err mg_rabbit_conn_open(mg_rabbit_conn **out, const mg_rabbit_settings *s, const mg_rabbit_place *where, const char *name, mg_rabbit_listener *listener,
                           void *owner, mg_ms until, mg_error *e);
void mg_rabbit_conn_close(mg_rabbit_conn *c); /* says good-bye, within half a second; NULL is fine */

/* Queue what is to be sent; pump, flush and ask send it. */
void mg_rabbit_put(mg_rabbit_conn *c, uint16_t channel, amqp_method_number_t id, const void *method);
void mg_rabbit_put_content(mg_rabbit_conn *c, uint16_t channel, const amqp_basic_properties_t *p, mg_slice body);
size_t mg_rabbit_unsent(const mg_rabbit_conn *c); /* bytes */

/* Sends and reads what is possible without waiting. */
mg_err mg_rabbit_pump(mg_rabbit_conn *c, mg_error *e);
/* Until all is sent. MG_TIMEOUT, and MG_AGAIN where the broker blocks publishers, keep the rest for later. */
mg_err mg_rabbit_flush(mg_rabbit_conn *c, mg_ms until, mg_error *e);
/* Sends a method and waits for the reply id (or other_id; 0: none). A channel the broker shuts instead gives what its code means, e->detail =
 * the code. Waits at least three seconds: no answer kills the connection. */
mg_err mg_rabbit_ask(mg_rabbit_conn *c, uint16_t channel, amqp_method_number_t id, const void *method, amqp_method_number_t reply_id,
                     amqp_method_number_t other_id, mg_ms until, mg_rabbit_reply *reply, mg_error *e);
/* Opens the channel where it is shut; *opened tells whether it was. */
mg_err mg_rabbit_channel(mg_rabbit_conn *c, uint16_t channel, mg_ms until, bool *opened, mg_error *e);
bool mg_rabbit_channel_is_open(const mg_rabbit_conn *c, uint16_t channel);
/* Why the broker shut the channel: fills e. */
mg_err mg_rabbit_channel_fault(const mg_rabbit_conn *c, uint16_t channel, mg_error *e);

/* Waits until one of the connections (NULL: none) can go on, a heartbeat is due, wake_fd is readable (MG_AGAIN) or until has passed (MG_TIMEOUT). */
mg_err mg_rabbit_wait(const mg_rabbit_conn *a, const mg_rabbit_conn *b, mg_ms until, int wake_fd);

bool mg_rabbit_blocked(const mg_rabbit_conn *c);
mg_err mg_rabbit_blocked_fault(const mg_rabbit_conn *c, mg_error *e); /* MG_AGAIN with a text for people */
const char *mg_rabbit_where(const mg_rabbit_conn *c);
int mg_rabbit_major(const mg_rabbit_conn *c); /* version of the server: 3, 4; 0 unknown */

/* The code of a closed channel or connection as an error of ours. */
mg_err mg_rabbit_meaning(int code);

#endif
