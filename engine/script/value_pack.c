/* value_pack.c - tapes to MessagePack and back. Ints and floats stay apart, strings are str whatever their bytes, keys are sorted. */
#include "script/value.h"
#include "script/value_order.h"

#include <msgpack/pack.h>
#include <stdlib.h>
#include <string.h>

static void pack(msgpack_packer *pk, const mg_cell *c) {
  switch ((mg_cell_kind)c->kind) {
    case MG_CELL_NIL:
    case MG_CELL_NULL: msgpack_pack_nil(pk); break;
    case MG_CELL_FALSE: msgpack_pack_false(pk); break;
    case MG_CELL_TRUE: msgpack_pack_true(pk); break;
    case MG_CELL_INT: msgpack_pack_int64(pk, c->u.integer); break;
    case MG_CELL_FLOAT: msgpack_pack_double(pk, c->u.number); break;
    case MG_CELL_STRING:
      msgpack_pack_str(pk, c->length);
      msgpack_pack_str_body(pk, c->u.text, c->length);
      break;
    case MG_CELL_ARRAY: {
      msgpack_pack_array(pk, c->count);
      const mg_cell *v = c + 1;
      for (uint32_t i = 0; i < c->count; i++) {
        pack(pk, v);
        v = mg_cell_next(v);
      }
      break;
    }
    case MG_CELL_TABLE: {
      if (c->count == 0 && c->mark == MG_MARK_ARRAY) {
        msgpack_pack_array(pk, 0);
        break;
      }
      msgpack_pack_map(pk, c->count);
      const mg_cell **keys = mg_cells_sorted(c);
      if (keys == NULL) {
        ((mg_buf *)pk->data)->failed = true;
        break;
      }
      for (uint32_t i = 0; i < c->count; i++) {
        pack(pk, keys[i]);
        pack(pk, mg_cell_next(keys[i]));
      }
      free(keys);
      break;
    }
  }
}

void mg_tape_pack(const mg_tape *t, bool one, mg_buf *out) {
  msgpack_packer pk;
  msgpack_packer_init(&pk, out, mg_buf_sink);
  if (one) {
    if (t->values > 0) pack(&pk, t->cells);
    else msgpack_pack_nil(&pk);
    return;
  }
  msgpack_pack_array(&pk, t->values);
  const mg_cell *c = t->cells;
  for (size_t i = 0; i < t->values; i++) {
    pack(&pk, c);
    c = mg_cell_next(c);
  }
}

/* ---- reading ---- */

typedef struct source {
  const uint8_t *at, *end;
  const char *problem;
} source;

static uint64_t big_endian(source *s, int bytes) {
  if (s->end - s->at < bytes) {
    s->problem = "it ends too early";
    return 0;
  }
  uint64_t v = 0;
  for (int i = 0; i < bytes; i++) v = v << 8 | *s->at++;
  return v;
}

static bool put_int(mg_tape *t, int64_t v) {
  mg_cell *c = mg_tape_add(t, MG_CELL_INT);
  if (c != NULL) c->u.integer = v;
  return c != NULL;
}

static bool put_text(source *s, mg_tape *t, uint64_t len) {
  if (s->problem != NULL) return false;
  if (len > (uint64_t)(s->end - s->at)) {
    s->problem = "a string is longer than what is left";
    return false;
  }
  mg_cell *c = mg_tape_add(t, MG_CELL_STRING);
  if (c == NULL) return false;
  c->u.text = (const char *)s->at;
  c->length = (size_t)len;
  s->at += len;
  return true;
}

static bool read(source *s, mg_tape *t, int depth);

static bool read_many(source *s, mg_tape *t, uint64_t count, bool map, int depth) {
  if (s->problem != NULL) return false;
  if (depth >= MG_VALUE_DEPTH) {
    s->problem = "it is nested deeper than 64";
    return false;
  }
  if (count * (map ? 2 : 1) > (uint64_t)(s->end - s->at)) { /* a byte each at least */
    s->problem = "it declares more elements than bytes are left";
    return false;
  }
  mg_cell *c = mg_tape_add(t, map || count == 0 ? MG_CELL_TABLE : MG_CELL_ARRAY);
  if (c == NULL) return false;
  c->count = (uint32_t)count;
  if (count == 0) c->mark = map ? MG_MARK_OBJECT : MG_MARK_ARRAY;
  for (uint64_t i = 0; i < count; i++) {
    if (map) {
      size_t key = t->len;
      if (!read(s, t, depth + 1)) return false;
      uint8_t kind = t->cells[key].kind;
      bool usable = kind == MG_CELL_STRING || kind == MG_CELL_INT || kind == MG_CELL_TRUE || kind == MG_CELL_FALSE ||
                    (kind == MG_CELL_FLOAT && t->cells[key].u.number == t->cells[key].u.number);
      if (!usable) {
        s->problem = "a key is neither text, number nor boolean";
        return false;
      }
    }
    size_t value = t->len;
    if (!read(s, t, depth + 1)) return false;
    if (t->cells[value].kind == MG_CELL_NIL) t->cells[value].kind = MG_CELL_NULL; /* inside a table nil would be a gap */
  }
  return true;
}

static bool read(source *s, mg_tape *t, int depth) {
  if (s->at == s->end) {
    s->problem = "it ends too early";
    return false;
  }
  uint8_t b = *s->at++;
  if (b < 0x80) return put_int(t, b);
  if (b >= 0xe0) return put_int(t, (int8_t)b);
  if (b < 0x90) return read_many(s, t, b & 0x0f, true, depth);
  if (b < 0xa0) return read_many(s, t, b & 0x0f, false, depth);
  if (b < 0xc0) return put_text(s, t, b & 0x1f);
  switch (b) {
    case 0xc0: return mg_tape_add(t, MG_CELL_NIL) != NULL;
    case 0xc2: return mg_tape_add(t, MG_CELL_FALSE) != NULL;
    case 0xc3: return mg_tape_add(t, MG_CELL_TRUE) != NULL;
    case 0xc4:
    case 0xd9: return put_text(s, t, big_endian(s, 1));
    case 0xc5:
    case 0xda: return put_text(s, t, big_endian(s, 2));
    case 0xc6:
    case 0xdb: return put_text(s, t, big_endian(s, 4));
    case 0xca:
    case 0xcb: {
      double number;
      if (b == 0xca) {
        uint32_t bits = (uint32_t)big_endian(s, 4);
        float f;
        memcpy(&f, &bits, sizeof f);
        number = (double)f;
      } else {
        uint64_t bits = big_endian(s, 8);
        memcpy(&number, &bits, sizeof number);
      }
      mg_cell *c = s->problem == NULL ? mg_tape_add(t, MG_CELL_FLOAT) : NULL;
      if (c != NULL) c->u.number = number;
      return c != NULL;
    }
    case 0xcc:
    case 0xcd:
    case 0xce:
    case 0xcf: {
      uint64_t v = big_endian(s, 1 << (b - 0xcc));
      if (v > INT64_MAX) s->problem = "an integer is beyond int64";
      return s->problem == NULL && put_int(t, (int64_t)v);
    }
    case 0xd0: {
      int64_t v = (int8_t)big_endian(s, 1);
      return s->problem == NULL && put_int(t, v);
    }
    case 0xd1: {
      int64_t v = (int16_t)big_endian(s, 2);
      return s->problem == NULL && put_int(t, v);
    }
    case 0xd2: {
      int64_t v = (int32_t)big_endian(s, 4);
      return s->problem == NULL && put_int(t, v);
    }
    case 0xd3: {
      int64_t v = (int64_t)big_endian(s, 8);
      return s->problem == NULL && put_int(t, v);
    }
    case 0xdc: return read_many(s, t, big_endian(s, 2), false, depth);
    case 0xdd: return read_many(s, t, big_endian(s, 4), false, depth);
    case 0xde: return read_many(s, t, big_endian(s, 2), true, depth);
    case 0xdf: return read_many(s, t, big_endian(s, 4), true, depth);
    default: s->problem = "it holds a kind that is not used here"; return false;
  }
}

mg_err mg_tape_unpack(mg_tape *t, mg_slice bytes, bool each, mg_error *e) {
  source s = {bytes.data, bytes.data + bytes.len, NULL};
  size_t len = t->len, values = t->values;
  bool ok;
  if (each) {
    uint64_t count = 0;
    uint8_t b = s.at < s.end ? *s.at++ : 0;
    if (b >= 0x90 && b < 0xa0) count = b & 0x0f;
    else if (b == 0xdc) count = big_endian(&s, 2);
    else if (b == 0xdd) count = big_endian(&s, 4);
    else s.problem = "it is not an array";
    ok = s.problem == NULL;
    for (uint64_t i = 0; ok && i < count; i++) {
      ok = read(&s, t, 0);
      if (ok) t->values++;
    }
  } else {
    ok = read(&s, t, 0);
    if (ok) t->values++;
  }
  if (ok && s.at != s.end) {
    s.problem = "bytes are left after its end";
    ok = false;
  }
  if (ok) return MG_OK;
  t->len = len;
  t->values = values;
  if (s.problem == NULL) return mg_fail(e, MG_NOMEM, "memory ended while MessagePack was read");
  return mg_fail(e, MG_ARG, "MessagePack at byte %zu: %s", (size_t)(s.at - bytes.data), s.problem);
}
