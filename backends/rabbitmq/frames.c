#include "backends/rabbitmq/frames.h"

#include <string.h>

enum { HEAD = 7, END = 0xCE, SCRATCH = 16384 };

uint32_t mg_amqp_u32(const uint8_t *p) { return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]; }
uint64_t mg_amqp_u64(const uint8_t *p) { return (uint64_t)mg_amqp_u32(p) << 32 | mg_amqp_u32(p + 4); }

int mg_amqp_take(mg_slice in, size_t most, mg_amqp_frame *out, size_t *used) {
  if (in.len < HEAD) return 0;
  uint8_t type = in.data[0];
  if (type != MG_AMQP_METHOD && type != MG_AMQP_HEADER && type != MG_AMQP_BODY && type != MG_AMQP_HEARTBEAT) return -1;
  size_t size = mg_amqp_u32(in.data + 3);
  if (size + HEAD + 1 > most) return -1;
  if (in.len < HEAD + size + 1) return 0;
  if (in.data[HEAD + size] != END) return -1;
  *out = (mg_amqp_frame){.type = type, .channel = (uint16_t)(in.data[1] << 8 | in.data[2]), .payload = {in.data + HEAD, size}};
  *used = HEAD + size + 1;
  return 1;
}

static void put_u32(uint8_t *p, size_t n) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(n >> (24 - 8 * i));
}

static void put_head(mg_buf *out, uint8_t type, uint16_t channel, size_t size) {
  uint8_t head[HEAD] = {type, (uint8_t)(channel >> 8), (uint8_t)channel};
  put_u32(head + 3, size);
  mg_buf_put(out, head, HEAD);
}

static void put_end(mg_buf *out) {
  static const uint8_t end = END;
  mg_buf_put(out, &end, 1);
}

void mg_amqp_put_method(mg_buf *out, uint16_t channel, amqp_method_number_t id, const void *method) {
  uint8_t bytes[SCRATCH];
  put_u32(bytes, id);
  int n = amqp_encode_method(id, (void *)(uintptr_t)method, (amqp_bytes_t){sizeof bytes - 4, bytes + 4});
  if (n < 0) { /* a text longer than the field can hold: callers check, so this is memory's fault or ours */
    out->failed = true;
    return;
  }
  put_head(out, MG_AMQP_METHOD, channel, 4 + (size_t)n);
  mg_buf_put(out, bytes, 4 + (size_t)n);
  put_end(out);
}

void mg_amqp_put_content(mg_buf *out, uint16_t channel, const amqp_basic_properties_t *p, mg_slice body, size_t frame_max) {
  uint8_t bytes[SCRATCH] = {AMQP_BASIC_CLASS >> 8, AMQP_BASIC_CLASS & 0xff};
  put_u32(bytes + 4, (size_t)((uint64_t)body.len >> 32));
  put_u32(bytes + 8, body.len & 0xffffffff);
  int n = amqp_encode_properties(AMQP_BASIC_CLASS, (void *)(uintptr_t)p, (amqp_bytes_t){sizeof bytes - 12, bytes + 12});
  if (n < 0) {
    out->failed = true;
    return;
  }
  put_head(out, MG_AMQP_HEADER, channel, 12 + (size_t)n);
  mg_buf_put(out, bytes, 12 + (size_t)n);
  put_end(out);
  for (size_t at = 0; at < body.len;) {
    size_t part = body.len - at < frame_max - MG_AMQP_OVERHEAD ? body.len - at : frame_max - MG_AMQP_OVERHEAD;
    put_head(out, MG_AMQP_BODY, channel, part);
    mg_buf_put(out, body.data + at, part);
    put_end(out);
    at += part;
  }
}

void mg_amqp_put_heartbeat(mg_buf *out) {
  put_head(out, MG_AMQP_HEARTBEAT, 0, 0);
  put_end(out);
}

amqp_bytes_t mg_amqp_text(const char *text) { return (amqp_bytes_t){strlen(text), (void *)(uintptr_t)text}; }

amqp_table_entry_t mg_amqp_entry_text(const char *key, const char *value) {
  amqp_table_entry_t entry = {.key = mg_amqp_text(key)};
  entry.value.kind = AMQP_FIELD_KIND_UTF8;
  entry.value.value.bytes = mg_amqp_text(value);
  return entry;
}

amqp_table_entry_t mg_amqp_entry_int(const char *key, int64_t value) {
  amqp_table_entry_t entry = {.key = mg_amqp_text(key)};
  entry.value.kind = AMQP_FIELD_KIND_I64;
  entry.value.value.i64 = value;
  return entry;
}

amqp_table_entry_t mg_amqp_entry_true(const char *key) {
  amqp_table_entry_t entry = {.key = mg_amqp_text(key)};
  entry.value.kind = AMQP_FIELD_KIND_BOOLEAN;
  entry.value.value.boolean = 1;
  return entry;
}

const amqp_field_value_t *mg_amqp_find(const amqp_table_t *t, const char *key) {
  size_t len = strlen(key);
  for (int i = 0; i < t->num_entries; i++) {
    const amqp_table_entry_t *entry = &t->entries[i];
    if (entry->key.len == len && memcmp(entry->key.bytes, key, len) == 0) return &entry->value;
  }
  return NULL;
}

void mg_amqp_find_text(const amqp_table_t *t, const char *key, char *out, size_t size) {
  const amqp_field_value_t *v = mg_amqp_find(t, key);
  size_t len = 0;
  if (v != NULL && (v->kind == AMQP_FIELD_KIND_UTF8 || v->kind == AMQP_FIELD_KIND_BYTES)) {
    len = v->value.bytes.len < size - 1 ? v->value.bytes.len : size - 1;
    if (len > 0) memcpy(out, v->value.bytes.bytes, len);
  }
  out[len] = '\0';
}

int64_t mg_amqp_find_int(const amqp_table_t *t, const char *key, int64_t otherwise) {
  const amqp_field_value_t *v = mg_amqp_find(t, key);
  if (v == NULL) return otherwise;
  switch (v->kind) { /* brokers and tools that move messages write numbers in their own width */
  case AMQP_FIELD_KIND_I8: return v->value.i8;
  case AMQP_FIELD_KIND_U8: return v->value.u8;
  case AMQP_FIELD_KIND_I16: return v->value.i16;
  case AMQP_FIELD_KIND_U16: return v->value.u16;
  case AMQP_FIELD_KIND_I32: return v->value.i32;
  case AMQP_FIELD_KIND_U32: return v->value.u32;
  case AMQP_FIELD_KIND_I64: return v->value.i64;
  default: return otherwise;
  }
}
