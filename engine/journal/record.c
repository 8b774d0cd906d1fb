#include "journal/record.h"

#include <stdlib.h>
#include <string.h>

/* --- writing --- */

static size_t put_number(uint8_t *at, uint64_t n) {
  size_t len = 0;
  while (n >= 0x80) {
    at[len++] = (uint8_t)(n | 0x80);
    n >>= 7;
  }
  at[len++] = (uint8_t)n;
  return len;
}

enum { NUMBER_MAX = 10 };

static size_t room_of(const mg_record *r) { return 1 + (10 + 2 * r->range_count + r->count_count) * NUMBER_MAX + r->body.len; }

static size_t encode(uint8_t *at, const mg_record *r) {
  size_t n = 0;
  at[n++] = (uint8_t)r->kind;
  switch (r->kind) {
  case MG_RECORD_TASK:
    n += put_number(at + n, r->epoch);
    n += put_number(at + n, r->seq);
    n += put_number(at + n, r->first);
    n += put_number(at + n, r->count);
    n += put_number(at + n, r->attempt);
    n += put_number(at + n, r->losses);
    break;
  case MG_RECORD_GONE: n += put_number(at + n, r->seq); break;
  case MG_RECORD_RESULT:
    n += put_number(at + n, r->seq);
    n += put_number(at + n, r->first);
    break;
  case MG_RECORD_LOST:
    n += put_number(at + n, r->first);
    n += put_number(at + n, r->count);
    at[n++] = r->flag;
    break;
  case MG_RECORD_COUNTS:
    n += put_number(at + n, r->count_count);
    for (size_t i = 0; i < r->count_count; i++) n += put_number(at + n, r->counts[i]);
    break;
  default: break;
  }
  if (r->kind == MG_RECORD_RESULT || r->kind == MG_RECORD_REPEAT) {
    n += put_number(at + n, r->range_count);
    for (size_t i = 0; i < r->range_count; i++) {
      n += put_number(at + n, r->ranges[i].first);
      n += put_number(at + n, r->ranges[i].count);
    }
  }
  if (r->body.len > 0) memcpy(at + n, r->body.data, r->body.len);
  return n + r->body.len;
}

void mg_record_put(mg_buf *out, const mg_record *r) {
  uint8_t head[NUMBER_MAX];
  if (!mg_buf_reserve(out, NUMBER_MAX + room_of(r))) return;
  uint8_t *at = out->data + out->len;
  size_t len = encode(at + NUMBER_MAX, r), head_len = put_number(head, len);
  memmove(at + head_len, at + NUMBER_MAX, len);
  memcpy(at, head, head_len);
  out->len += head_len + len;
}

/* --- reading --- */

static uint64_t take_number(mg_slice *in, bool *ok) {
  uint64_t n = 0;
  for (unsigned shift = 0; in->len > 0 && shift < 64; shift += 7) {
    uint8_t byte = *in->data++;
    in->len--;
    if (shift == 63 && byte > 1) break;
    n |= (uint64_t)(byte & 0x7f) << shift;
    if (byte < 0x80) return n;
  }
  *ok = false;
  return 0;
}

static uint32_t take_small(mg_slice *in, bool *ok) {
  uint64_t n = take_number(in, ok);
  if (n > UINT32_MAX) *ok = false;
  return (uint32_t)n;
}

static bool take_ranges(mg_record_reader *in, mg_slice *at, mg_record *out) {
  bool ok = true;
  uint64_t n = take_number(at, &ok);
  if (!ok || n > at->len / 2) return false;
  if (n > in->range_cap) {
    mg_case_range *grown = realloc(in->ranges, (size_t)n * sizeof *grown);
    if (grown == NULL) return false;
    in->ranges = grown;
    in->range_cap = (size_t)n;
  }
  for (size_t i = 0; i < n; i++) {
    in->ranges[i].first = take_number(at, &ok);
    in->ranges[i].count = take_number(at, &ok);
    if (in->ranges[i].count > UINT64_MAX - in->ranges[i].first) ok = false;
  }
  out->ranges = in->ranges;
  out->range_count = (size_t)n;
  return ok;
}

static bool decode(mg_record_reader *in, mg_slice at, mg_record *out) {
  bool ok = at.len > 0;
  if (!ok) return false;
  *out = (mg_record){.kind = (mg_record_kind)*at.data};
  at.data++;
  at.len--;
  switch (out->kind) {
  case MG_RECORD_TASK:
    out->epoch = take_small(&at, &ok);
    out->seq = take_number(&at, &ok);
    out->first = take_number(&at, &ok);
    out->count = take_small(&at, &ok);
    out->attempt = take_small(&at, &ok);
    out->losses = take_small(&at, &ok);
    break;
  case MG_RECORD_GONE: out->seq = take_number(&at, &ok); break;
  case MG_RECORD_RESULT:
    out->seq = take_number(&at, &ok);
    out->first = take_number(&at, &ok);
    ok = ok && take_ranges(in, &at, out);
    break;
  case MG_RECORD_REPEAT: ok = take_ranges(in, &at, out); break;
  case MG_RECORD_LOST:
    out->first = take_number(&at, &ok);
    out->count = take_number(&at, &ok);
    out->flag = take_number(&at, &ok) != 0;
    break;
  case MG_RECORD_COUNTS:
    out->count_count = (size_t)take_number(&at, &ok);
    if (out->count_count > MG_RECORD_COUNTERS) return false;
    for (size_t i = 0; i < out->count_count; i++) out->counts[i] = take_number(&at, &ok);
    break;
  case MG_RECORD_NOTE:
  case MG_RECORD_CLEARED: break;
  default: return false;
  }
  out->body = at;
  return ok;
}

int mg_record_take(mg_record_reader *in, mg_record *out) {
  bool ok = true;
  if (in->rest.len == 0) return 0;
  uint64_t len = take_number(&in->rest, &ok);
  if (!ok || len > in->rest.len) return -1;
  mg_slice record = {in->rest.data, (size_t)len};
  in->rest.data += len;
  in->rest.len -= (size_t)len;
  return decode(in, record, out) ? 1 : -1;
}

void mg_record_reader_fini(mg_record_reader *in) {
  free(in->ranges);
  *in = (mg_record_reader){0};
}
