/* rabbitmq_loop.c - a bare loop over rabbitmq-c, to compare with: publish with confirms in a window, consume, ack, each in a thread of its own.
 *
 * usage: rabbitmq_loop PORT [MESSAGES [BODY_BYTES]]
 * A quorum queue, persistent messages, prefetch 500, an ack for 100 messages. Prints messages a second. The node is the caller's. */
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/tcp_socket.h>
#else
#include <amqp.h>
#include <amqp_tcp_socket.h>
#endif
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { WINDOW = 200, PREFETCH = 500, ACK_EVERY = 100 };

static int port;
static long todo = 100000;
static const amqp_bytes_t queue = {5, (void *)(size_t) "bench"};

static void die(const char *what) {
  fprintf(stderr, "%s failed\n", what);
  exit(1);
}

static amqp_connection_state_t log_in(void) {
  amqp_connection_state_t c = amqp_new_connection();
  amqp_socket_t *s = amqp_tcp_socket_new(c);
  if (s == NULL || amqp_socket_open(s, "127.0.0.1", port) != AMQP_STATUS_OK) die("connecting");
  if (amqp_login(c, "/", 0, 131072, 0, AMQP_SASL_METHOD_PLAIN, "guest", "guest").reply_type != AMQP_RESPONSE_NORMAL) die("login");
  if (amqp_channel_open(c, 1) == NULL) die("channel.open");
  return c;
}

static void log_out(amqp_connection_state_t c) {
  (void)amqp_connection_close(c, AMQP_REPLY_SUCCESS);
  (void)amqp_destroy_connection(c);
}

static void *consume(void *arg) {
  amqp_connection_state_t c = log_in();
  (void)arg;
  if (amqp_basic_qos(c, 1, 0, PREFETCH, 0) == NULL || amqp_basic_consume(c, 1, queue, amqp_empty_bytes, 0, 0, 0, amqp_empty_table) == NULL) die("consume");
  for (long n = 1; n <= todo; n++) {
    amqp_envelope_t e;
    amqp_maybe_release_buffers(c);
    if (amqp_consume_message(c, &e, NULL, 0).reply_type != AMQP_RESPONSE_NORMAL) die("consume_message");
    if ((n % ACK_EVERY == 0 || n == todo) && amqp_basic_ack(c, 1, e.delivery_tag, 1) != AMQP_STATUS_OK) die("ack");
    amqp_destroy_envelope(&e);
  }
  log_out(c);
  return NULL;
}

/* Answers may be "multiple"; how many are confirmed is what counts here, and nothing is nacked on a healthy node. */
static void confirm(amqp_connection_state_t c, long *confirmed, long *low) {
  amqp_frame_t f;
  if (amqp_simple_wait_frame(c, &f) != AMQP_STATUS_OK || f.frame_type != AMQP_FRAME_METHOD || f.payload.method.id != AMQP_BASIC_ACK_METHOD) die("confirm");
  const amqp_basic_ack_t *a = f.payload.method.decoded;
  if (!a->multiple) {
    ++*confirmed;
    return;
  }
  if ((long)a->delivery_tag > *low) *low = (long)a->delivery_tag;
  if (*low > *confirmed) *confirmed = *low;
}

int main(int argc, char **argv) {
  if (argc < 2) return 4;
  port = atoi(argv[1]);
  if (argc > 2) todo = atol(argv[2]);
  size_t bytes = argc > 3 ? (size_t)atol(argv[3]) : 120;
  amqp_connection_state_t c = log_in();
  amqp_table_entry_t quorum = {.key = amqp_cstring_bytes("x-queue-type"), .value = {.kind = AMQP_FIELD_KIND_UTF8, .value.bytes = amqp_cstring_bytes("quorum")}};
  amqp_table_t arguments = {1, &quorum};
  if (amqp_queue_declare(c, 1, queue, 0, 1, 0, 0, arguments) == NULL || amqp_confirm_select(c, 1) == NULL) die("declare");
  amqp_basic_properties_t p = {._flags = AMQP_BASIC_DELIVERY_MODE_FLAG, .delivery_mode = 2};
  amqp_bytes_t body = {bytes, calloc(1, bytes + 1)};
  pthread_t consumer;
  struct timespec start, end;
  (void)clock_gettime(CLOCK_MONOTONIC, &start);
  if (pthread_create(&consumer, NULL, consume, NULL) != 0) die("a thread");
  long confirmed = 0, low = 0;
  for (long sent = 0; sent < todo || confirmed < todo;) {
    if (sent < todo && sent - confirmed < WINDOW) {
      if (amqp_basic_publish(c, 1, amqp_empty_bytes, queue, 0, 0, &p, body) != AMQP_STATUS_OK) die("publish");
      sent++;
    } else {
      amqp_maybe_release_buffers(c);
      confirm(c, &confirmed, &low);
    }
  }
  (void)pthread_join(consumer, NULL);
  (void)clock_gettime(CLOCK_MONOTONIC, &end);
  printf("%.0f\n", (double)todo / ((double)(end.tv_sec - start.tv_sec) + (double)(end.tv_nsec - start.tv_nsec) / 1e9));
  (void)amqp_queue_delete(c, 1, queue, 0, 0);
  log_out(c);
  free(body.bytes);
  return 0;
}
