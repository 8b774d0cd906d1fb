#include "base/ident.h"

#include "base/hash.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

void mg_run_id_make(int64_t wall_ms, char out[MG_RUN_ID_BYTES]) {
  time_t t = (time_t)(wall_ms / 1000);
  struct tm tm;
  if (gmtime_r(&t, &tm) == NULL || strftime(out, MG_RUN_ID_BYTES, "%Y%m%d-%H%M%S", &tm) != 15) {
    memcpy(out, "00000000-000000", 16);
  }
  uint8_t bytes[2];
  mg_random_bytes(bytes, sizeof bytes);
  out[15] = '-';
  mg_hex(bytes, sizeof bytes, out + 16);
}

static bool plain(unsigned char c) {
  return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

void mg_worker_name_make(char *out, size_t size) {
  char host[256];
  if (gethostname(host, sizeof host) != 0) (void)snprintf(host, sizeof host, "host");
  host[sizeof host - 1] = '\0';
  for (char *c = host; *c != '\0'; c++) {
    if (!plain((unsigned char)*c) && *c != '.') *c = '-';
  }
  if (host[0] == '\0' || host[0] == '-' || host[0] == '.') (void)snprintf(host, sizeof host, "host");
  char tail[40];
  uint8_t bytes[4];
  char hex[2 * sizeof bytes + 1];
  mg_random_bytes(bytes, sizeof bytes);
  mg_hex(bytes, sizeof bytes, hex);
  int length = snprintf(tail, sizeof tail, "-%ld-%s", (long)getpid(), hex);
  size_t room = (size < 129 ? size : 129) - 1 - (size_t)length;
  (void)snprintf(out, size, "%.*s%s", (int)room, host, tail);
}

bool mg_ident_ok_bytes(const uint8_t *id, size_t len, size_t max, const char *also) {
  if (len == 0 || len > max || id[0] == '.' || id[0] == '-') return false;
  for (size_t i = 0; i < len; i++) {
    if (!plain(id[i]) && (id[i] == '\0' || also == NULL || strchr(also, id[i]) == NULL)) return false;
  }
  return true;
}

bool mg_ident_ok(const char *id, size_t max, const char *also) {
  return id != NULL && mg_ident_ok_bytes((const uint8_t *)id, strnlen(id, max + 1), max, also);
}
