/* frame.h - the envelope around every message: version, LZ4 where it pays, HMAC where keys are given. Any thread.
 *
 * byte 0 version (1) | byte 1 flags (1 = LZ4 frame, 2 = signed) | signed: byte key id length, key id, 32 bytes HMAC-SHA256
 * over all else of header and body | body. The MAC is checked before anything is decompressed. */
#ifndef MG_WIRE_FRAME_H
#define MG_WIRE_FRAME_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>

#define MG_FRAME_MAX_BYTES (64u << 20) /* largest body after decompression */

typedef struct mg_keyring mg_keyring; /* signing keys; the first signs, all verify */
/* "id:secret[,id:secret]" as in MGUARD_SIGNING_KEY; NULL or "" gives *out = NULL: nothing is signed. */
mg_err mg_keyring_parse(mg_keyring **out, const char *text, mg_error *e);
void mg_keyring_free(mg_keyring *k);

typedef struct mg_codec {
  bool compress;
  size_t threshold_bytes; /* bodies below stay plain */
  size_t max_bytes;       /* 0: MG_FRAME_MAX_BYTES */
  const mg_keyring *keys; /* borrowed; NULL: neither signs nor accepts only signed */
} mg_codec;

/* Appends the framed body to out. */
mg_err mg_frame_seal(const mg_codec *c, mg_slice body, mg_buf *out, mg_error *e);

typedef enum mg_frame_fault {
  MG_FRAME_OK = 0,
  MG_FRAME_NEWER,   /* version or flag unknown: give back, a newer worker may know */
  MG_FRAME_NO_KEY,  /* signed by a key that is not in the ring: give back */
  MG_FRAME_BAD      /* garbage, wrong MAC, unsigned where keys are set, declared size out of bounds: dead letter */
} mg_frame_fault;

/* *body borrows from framed, or from scratch where it had to be decompressed. MG_ARG with *fault and a reason in e otherwise;
 * MG_NOMEM with *fault MG_FRAME_OK: the message may be whole, try it again. A signed message where no keys are set is MG_FRAME_NO_KEY. */
mg_err mg_frame_open(const mg_codec *c, mg_slice framed, mg_buf *scratch, mg_slice *body, mg_frame_fault *fault, mg_error *e);

#endif
