/* codec.h - what the messages' encoders and decoders share. Inside wire/ only.
 *
 * A message is the version byte (itself a MessagePack integer), then one array: its type, then the fields in the order
 * of the struct. */
#ifndef MG_WIRE_CODEC_H
#define MG_WIRE_CODEC_H

#include "wire/message.h"
#include "wire/reader.h"
#include <msgpack/pack.h>

typedef enum mg_wire_type { MG_WIRE_TASK = 1, MG_WIRE_RESULT = 2, MG_WIRE_BEAT = 3, MG_WIRE_CONTROL = 4, MG_WIRE_RESULTS = 5 } mg_wire_type;

/* fields counts the type too. The packer appends to out, which remembers by itself where memory ended. */
msgpack_packer mg_wire_begin(mg_buf *out, mg_wire_type type, size_t fields);
/* Whether it says of itself to be of that type; nothing else is looked at. */
bool mg_wire_is(mg_slice bytes, mg_wire_type type);
void mg_wire_text(msgpack_packer *p, const char *text);
void mg_wire_bytes(msgpack_packer *p, const void *data, size_t len);
void mg_wire_bool(msgpack_packer *p, bool truth);

/* *r then stands at the first field after the type. MG_UNSUPPORTED for a newer version; all else is told by
 * mg_reader_end. */
mg_err mg_wire_open(mg_reader *r, mg_slice bytes, mg_wire_type type, size_t fields, const char *what, mg_error *e);
/* The same for a message whose last field may be absent: *more says whether it is there. */
mg_err mg_wire_open_more(mg_reader *r, mg_slice bytes, mg_wire_type type, size_t fields, bool *more, const char *what, mg_error *e);

#endif
