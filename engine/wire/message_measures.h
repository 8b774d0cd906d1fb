/* message_measures.h - how measures travel inside a result. Inside wire/ only. */
#ifndef MG_WIRE_MESSAGE_MEASURES_H
#define MG_WIRE_MESSAGE_MEASURES_H

#include "wire/codec.h"

void mg_wire_measures(msgpack_packer *p, const mg_measures *m);
/* *out is made before anything can fail but memory, and is the caller's to free after failures too. cases: of the result. Bad bytes are told by the reader. */
mg_err mg_read_measures(mg_reader *in, mg_measures **out, uint32_t cases, mg_error *e);

#endif
