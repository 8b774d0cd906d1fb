#include "execute/pool_records.h"

#include "wire/message.h"
#include "wire/reader.h"

/* str, bin, or nil as empty: borrowed, unlike what messages need. */
static mg_slice read_text(mg_reader *r) {
  mg_slice none = {0};
  if (!mg_reader_ok(r) || mg_read_nil(r)) return none;
  uint8_t head = mg_reader_left(r) > 0 ? *r->at : 0;
  size_t len = head & 0x1f, width = 0;
  if (head >= 0xd9 && head <= 0xdb) {
    width = (size_t)1 << (head - 0xd9);
  } else if (head >= 0xc4 && head <= 0xc6) {
    width = (size_t)1 << (head - 0xc4);
  } else if ((head & 0xe0) != 0xa0) {
    mg_reader_fail(r, "text", "a text");
    return none;
  }
  if (mg_reader_left(r) < 1 + width) {
    mg_reader_fail(r, "text", "its length");
    return none;
  }
  if (width > 0) len = 0;
  for (size_t i = 0; i < width; i++) len = len << 8 | r->at[1 + i];
  if (mg_reader_left(r) - 1 - width < len) {
    mg_reader_fail(r, "text", "all of its bytes");
    return none;
  }
  mg_slice text = {r->at + 1 + width, len};
  r->at += 1 + width + len;
  return text;
}

bool mg_record_next(mg_slice *rest, mg_record *out) {
  static const size_t elements[] = {4, 10, 3, 3, 4, 4, 5, 4};
  if (rest->len == 0) return false;
  mg_reader r = mg_reader_over(*rest);
  *out = (mg_record){0};
  size_t count = mg_read_array(&r, 3, 10, 1, "record");
  out->kind = (mg_record_kind)mg_read_uint(&r, 0, MG_RECORD_PLACE, "kind");
  out->index = (uint32_t)mg_read_uint(&r, 0, UINT32_MAX, "index");
  if (mg_reader_ok(&r) && count != elements[out->kind]) mg_reader_fail(&r, "record", "as many elements as its kind has");
  switch (out->kind) {
  case MG_RECORD_FAILED:
    out->role = (mg_role)mg_read_uint(&r, 0, MG_ROLES - 1, "role");
    out->mask = mg_read_uint(&r, 0, UINT64_MAX, "mask");
    break;
  case MG_RECORD_VIOLATION:
    out->case_number = mg_read_uint(&r, 0, UINT64_MAX, "case");
    out->role = (mg_role)mg_read_uint(&r, 0, MG_ROLES - 1, "role");
    out->clause = (uint8_t)mg_read_uint(&r, 0, MG_EXPLAINED_MOST, "clause");
    out->text = read_text(&r);
    for (int i = 0; i < 4; i++) out->values[i] = read_text(&r);
    break;
  case MG_RECORD_LABEL:
  case MG_RECORD_FAULT: out->text = read_text(&r); break;
  case MG_RECORD_TIME:
    out->ns[MG_BASELINE] = mg_read_uint(&r, 0, UINT64_MAX, "time");
    out->ns[MG_CANDIDATE] = mg_read_uint(&r, 0, UINT64_MAX, "time");
    break;
  case MG_RECORD_DIGEST:
    out->digest.low = mg_read_uint(&r, 0, UINT64_MAX, "digest");
    out->digest.high = mg_read_uint(&r, 0, UINT64_MAX, "digest");
    break;
  case MG_RECORD_VALUES:
    out->role = (mg_role)mg_read_uint(&r, 0, MG_ROLES - 1, "role");
    out->mask = mg_read_uint(&r, 0, UINT32_MAX, "keeps");
    out->text = read_text(&r);
    break;
  case MG_RECORD_PLACE:
    out->has_cluster = !mg_read_nil(&r);
    if (out->has_cluster) out->cluster = mg_read_uint(&r, 0, UINT64_MAX, "cluster");
    out->text = read_text(&r);
    break;
  }
  if (!mg_reader_ok(&r)) return false;
  *rest = (mg_slice){r.at, mg_reader_left(&r)};
  return true;
}
