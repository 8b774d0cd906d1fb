/* frames.h - AMQP 0-9-1 frames to and from bytes; methods and properties by rabbitmq-c's codec. Any thread; knows no socket. */
#ifndef MG_RABBITMQ_FRAMES_H
#define MG_RABBITMQ_FRAMES_H

#include "base/buf.h"

#if defined(__has_include)
#if __has_include(<rabbitmq-c/amqp.h>)
#include <rabbitmq-c/amqp.h>
#include <rabbitmq-c/framing.h>
#define MG_RABBIT_HEADERS_FOUND
#endif
#endif
#ifndef MG_RABBIT_HEADERS_FOUND
#include <amqp.h>
#include <amqp_framing.h>
#endif

enum { MG_AMQP_METHOD = 1, MG_AMQP_HEADER = 2, MG_AMQP_BODY = 3, MG_AMQP_HEARTBEAT = 8, MG_AMQP_OVERHEAD = 8 };

typedef struct mg_amqp_frame {
  uint8_t type;
  uint16_t channel;
  mg_slice payload; /* points into the bytes it was taken from */
} mg_amqp_frame;

/* The next frame at the start of in. 1: *out and *used; 0: more bytes are needed; -1: this is no AMQP, or a frame above most bytes. */
int mg_amqp_take(mg_slice in, size_t most, mg_amqp_frame *out, size_t *used);

void mg_amqp_put_method(mg_buf *out, uint16_t channel, amqp_method_number_t id, const void *method);
/* Header and body frames, each at most frame_max bytes. */
void mg_amqp_put_content(mg_buf *out, uint16_t channel, const amqp_basic_properties_t *p, mg_slice body, size_t frame_max);
void mg_amqp_put_heartbeat(mg_buf *out);

uint32_t mg_amqp_u32(const uint8_t *p);
uint64_t mg_amqp_u64(const uint8_t *p);

amqp_bytes_t mg_amqp_text(const char *text);
amqp_table_entry_t mg_amqp_entry_text(const char *key, const char *value);
amqp_table_entry_t mg_amqp_entry_int(const char *key, int64_t value);
amqp_table_entry_t mg_amqp_entry_true(const char *key);
/* The entry of a table; NULL where it is not there. */
const amqp_field_value_t *mg_amqp_find(const amqp_table_t *t, const char *key);
/* A text entry copied into out, cut to size; "" where there is none. */
void mg_amqp_find_text(const amqp_table_t *t, const char *key, char *out, size_t size);
int64_t mg_amqp_find_int(const amqp_table_t *t, const char *key, int64_t otherwise);

#endif
