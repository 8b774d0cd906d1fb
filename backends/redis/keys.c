#include "backends/redis/keys.h"

#include <string.h>

static const char *const names[MG_KEY_COUNT] = {
    "active", "delayed", "wake",   "quarantine", "runs",        "beats",   "beat_ends", "controls", "control_ends", "pending",
    "tasks",  "holders", "leases", "done",       "done_before", "results", "dead",      "why",      "dead_order",
};

const char *mg_redis_key_name(mg_redis_key key) { return names[key]; }

void mg_redis_key_put(mg_buf *out, const char *base, mg_redis_key key, const char *run) {
  mg_buf_puts(out, base);
  for (const char *p = names[key]; *p != '\0'; p++) mg_buf_put(out, *p == '_' ? "-" : p, 1);
  if (key < MG_KEY_PENDING) return;
  mg_buf_puts(out, ":");
  mg_buf_puts(out, run);
}

/* CRC16/XMODEM, as the cluster specification says. */
static unsigned crc16(const char *data, size_t len) {
  unsigned crc = 0;
  for (size_t i = 0; i < len; i++) {
    crc ^= (unsigned)(unsigned char)data[i] << 8;
    for (int bit = 0; bit < 8; bit++) crc = (crc & 0x8000u) != 0 ? (crc << 1) ^ 0x1021u : crc << 1;
    crc &= 0xffffu;
  }
  return crc;
}

unsigned mg_redis_slot(const char *key) {
  const char *open = strchr(key, '{');
  const char *end = open != NULL ? strchr(open + 1, '}') : NULL;
  if (end != NULL && end > open + 1) return crc16(open + 1, (size_t)(end - open - 1)) % 16384u;
  return crc16(key, strlen(key)) % 16384u;
}
