/* Frames and messages: arbitrary bytes give an error or a message that comes back the same; only what was said is
 * borrowed. */
#include "wire/frame.h"
#include "wire/message.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok) {
  if (!ok) abort();
}

/* Encodes what was read, reads that, encodes again: the two must be the same bytes. */
#define COMES_BACK(type, bytes, fini)                                                                                  \
  do {                                                                                                                 \
    mg_##type first, second;                                                                                           \
    mg_buf once = {0}, twice = {0};                                                                                    \
    if (mg_##type##_decode(&first, bytes, NULL) == MG_OK) {                                                            \
      mg_##type##_encode(&once, &first);                                                                               \
      require(mg_##type##_decode(&second, mg_buf_slice(&once), NULL) == MG_OK);                                        \
      mg_##type##_encode(&twice, &second);                                                                             \
      require(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);                                  \
      fini(&second);                                                                                                   \
    }                                                                                                                  \
    fini(&first);                                                                                                      \
    mg_buf_fini(&once);                                                                                                \
    mg_buf_fini(&twice);                                                                                               \
  } while (0)

static void nothing(const void *message) {
  (void)message;
}

static void read_message(mg_slice bytes) {
  COMES_BACK(task, bytes, nothing);
  COMES_BACK(result, bytes, mg_result_fini);
  COMES_BACK(beat, bytes, mg_beat_fini);
  COMES_BACK(control, bytes, nothing);
  mg_slice parts[MG_RESULTS_MOST];
  size_t count;
  if (mg_results_split(bytes, parts, &count, NULL) != MG_OK) return;
  for (size_t i = 0; i < count; i++) require(parts[i].len == 0 || (parts[i].data >= bytes.data && parts[i].data + parts[i].len <= bytes.data + bytes.len));
}

static void read_frame(const mg_codec *c, mg_slice framed) {
  mg_buf scratch = {0};
  mg_slice body;
  mg_frame_fault fault;
  mg_err err = mg_frame_open(c, framed, &scratch, &body, &fault, NULL);
  require(err == (fault == MG_FRAME_OK ? MG_OK : MG_ARG));
  require(body.len <= c->max_bytes && (body.data == NULL || body.len > 0 || fault == MG_FRAME_OK));
  if (err == MG_OK) read_message(body);
  mg_buf_fini(&scratch);
}

/* What is sealed opens as it was. */
static void seal_and_open(const mg_codec *c, mg_slice bytes) {
  mg_buf framed = {0}, scratch = {0};
  mg_slice body;
  mg_frame_fault fault;
  require(mg_frame_seal(c, bytes, &framed, NULL) == MG_OK);
  require(mg_frame_open(c, mg_buf_slice(&framed), &scratch, &body, &fault, NULL) == MG_OK);
  require(body.len == bytes.len && (body.len == 0 || memcmp(body.data, bytes.data, body.len) == 0));
  mg_buf_fini(&framed);
  mg_buf_fini(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static mg_keyring *keys;
  if (keys == NULL) require(mg_keyring_parse(&keys, "id:secret,k2:other", NULL) == MG_OK);
  if (size == 0) return 0;
  const mg_codec plain = {.max_bytes = 1 << 20}, both = {.compress = true, .max_bytes = 1 << 20, .keys = keys};
  mg_slice rest = {data + 1, size - 1};
  switch (data[0] % 4) {
    case 0: read_message(rest); break;
    case 1: read_frame(&plain, rest); break;
    case 2: read_frame(&both, rest); break;
    default: seal_and_open(&both, rest); break;
  }
  return 0;
}
