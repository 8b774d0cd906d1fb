#include "wire/codec.h"

#include <string.h>

msgpack_packer mg_wire_begin(mg_buf *out, mg_wire_type type, size_t fields) {
  msgpack_packer p;
  msgpack_packer_init(&p, out, mg_buf_sink);
  msgpack_pack_uint8(&p, MG_WIRE_VERSION);
  msgpack_pack_array(&p, fields);
  msgpack_pack_int(&p, (int)type);
  return p;
}

void mg_wire_text(msgpack_packer *p, const char *text) {
  size_t len = strlen(text);
  msgpack_pack_str(p, len);
  msgpack_pack_str_body(p, text, len);
}

void mg_wire_bytes(msgpack_packer *p, const void *data, size_t len) {
  msgpack_pack_bin(p, len);
  msgpack_pack_bin_body(p, data, len);
}

void mg_wire_bool(msgpack_packer *p, bool truth) {
  if (truth) msgpack_pack_true(p);
  else msgpack_pack_false(p);
}

static mg_err open_within(mg_reader *r, mg_slice bytes, mg_wire_type type, size_t least, size_t most, size_t *fields, const char *what, mg_error *e) {
  *r = mg_reader_over(bytes);
  uint64_t version = mg_read_uint(r, 1, 127, "version");
  if (version > MG_WIRE_VERSION) {
    return mg_fail(e, MG_UNSUPPORTED, "%s message has version %d, this mguard reads version %d: upgrade it", what,
                   (int)version, MG_WIRE_VERSION);
  }
  *fields = mg_read_array(r, least, most, 1, "fields");
  (void)mg_read_uint(r, type, type, "type");
  return MG_OK;
}

bool mg_wire_is(mg_slice bytes, mg_wire_type type) {
  mg_reader r = mg_reader_over(bytes);
  (void)mg_read_uint(&r, 1, 127, "version");
  (void)mg_read_array(&r, 1, SIZE_MAX, 1, "fields");
  return mg_read_uint(&r, 0, 127, "type") == (uint64_t)type;
}

mg_err mg_wire_open(mg_reader *r, mg_slice bytes, mg_wire_type type, size_t fields, const char *what, mg_error *e) {
  size_t there;
  return open_within(r, bytes, type, fields, fields, &there, what, e);
}

mg_err mg_wire_open_more(mg_reader *r, mg_slice bytes, mg_wire_type type, size_t fields, bool *more, const char *what, mg_error *e) {
  size_t there = 0;
  mg_err err = open_within(r, bytes, type, fields, fields + 1, &there, what, e);
  *more = there > fields;
  return err;
}
