/* envelope.h - the text of a message: a line of what it is, then its bytes in base64. Any thread.
 *
 *   mguard k=task r=RUN t=TASK a=ATTEMPT [w=WHY] [f=FROM] [n=SERIAL] [x=TTL_MS] [d=NOT_BEFORE_MS] [o=URL h=CHECKSUM z=BYTES]\n
 *   base64
 *
 * SQS takes characters of XML alone, so bytes travel in base64; values have what is no letter, digit or one of ._:/- as %XX. A body that was put
 * elsewhere has o, h and z instead of base64. What has no such line is somebody else's: its text is taken as the body. */
#ifndef MG_SQS_ENVELOPE_H
#define MG_SQS_ENVELOPE_H

#include "base/buf.h"

enum { MG_SQS_FIELD_BYTES = 260, MG_SQS_WHY_BYTES = 1100 };

typedef struct mg_sqs_envelope {
  char kind; /* 't'ask, 'r'esult, 'b'eat, 'c'ontrol, 'l'ive run; 0: not ours */
  char run[MG_SQS_FIELD_BYTES], task[MG_SQS_FIELD_BYTES], from[MG_SQS_FIELD_BYTES];
  char why[MG_SQS_WHY_BYTES], object[MG_SQS_FIELD_BYTES * 2], checksum[40];
  uint32_t attempt;
  int64_t serial, ttl_ms, not_before_ms; /* 0: none; not_before since 1970 by the service's clock */
  size_t bytes;                          /* of the object */
} mg_sqs_envelope;

/* Appends the text; body stays out where v->object is set. It is fit for a JSON string as it is, but for the line end, which is written \n. */
void mg_sqs_envelope_put(mg_buf *out, const mg_sqs_envelope *v, mg_slice body);
/* Bytes that a message with this body will have at most. */
size_t mg_sqs_envelope_size(const mg_sqs_envelope *v, size_t body_len);
/* Reads a message's text. body (NULL: not wanted) gets the bytes, nothing where they are an object. false where it is none of ours: the text is the
 * body then. */
bool mg_sqs_envelope_read(mg_sqs_envelope *v, mg_slice text, mg_buf *body);
/* The text of a message once more, with another reason ("" none), for a dead letter or its way back: as mg_sqs_envelope_put writes it. */
void mg_sqs_envelope_again(mg_buf *out, const mg_sqs_envelope *v, mg_slice text);

#endif
