/* seeds FOLDER: writes first inputs for the fuzz targets that read binary forms. */
#include "tests/wire/samples.h"
#include "wire/frame.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void save(const char *folder, const char *target, const char *name, char first, mg_slice bytes) {
  char path[4096];
  int n = snprintf(path, sizeof path, "%s/%s", folder, target);
  if (n < 0 || (size_t)n >= sizeof path - 64) exit(1);
  (void)mkdir(path, 0755);
  (void)snprintf(path + n, sizeof path - (size_t)n, "/%s", name);
  FILE *f = fopen(path, "w");
  if (f == NULL || (first >= 0 && fputc(first, f) == EOF) || fwrite(bytes.data, 1, bytes.len, f) != bytes.len ||
      fclose(f) != 0) {
    perror(path);
    exit(1);
  }
}

static void save_message(const char *folder, const char *name, mg_buf *message) {
  save(folder, "message_fuzz", name, 0, mg_buf_slice(message));
  mg_keyring *keys;
  if (mg_keyring_parse(&keys, "id:secret", NULL) != MG_OK) exit(1);
  const mg_codec codecs[] = {{.compress = true}, {.keys = keys}, {.compress = true, .keys = keys}};
  for (int i = 0; i < 3; i++) {
    mg_buf framed = {0};
    char other[64];
    (void)snprintf(other, sizeof other, "%s-frame-%d", name, i);
    if (mg_frame_seal(&codecs[i], mg_buf_slice(message), &framed, NULL) != MG_OK) exit(1);
    save(folder, "message_fuzz", other, i == 0 ? 1 : 2, mg_buf_slice(&framed));
    mg_buf_fini(&framed);
  }
  mg_keyring_free(keys);
  mg_buf_clear(message);
}

int main(int argc, char **argv) {
  if (argc != 2) return 2;
  mg_buf b = {0};
  mg_task task = mg_sample_task(), payload = mg_sample_payload_task();
  mg_result result = mg_sample_result(), refusal = mg_sample_refusal();
  mg_beat beat = mg_sample_beat();
  mg_control control = mg_sample_control();
  mg_task_encode(&b, &task), save_message(argv[1], "task", &b);
  mg_task_encode(&b, &payload), save_message(argv[1], "payload", &b);
  mg_result_encode(&b, &result), save_message(argv[1], "result", &b);
  mg_result_encode(&b, &refusal), save_message(argv[1], "refusal", &b);
  mg_results_encode(&b, (mg_slice[]){mg_slice_of("one"), mg_slice_of("two")}, 2), save_message(argv[1], "results", &b);
  mg_beat_encode(&b, &beat), save_message(argv[1], "beat", &b);
  mg_control_encode(&b, &control), save_message(argv[1], "control", &b);
  mg_buf_fini(&b);
  /* [{"a": 1.5, "b": ["x", nil, -1, bin]}, 2^40] and the records of slot.h, one of each. */
  static const uint8_t values[] = {0x92, 0x82, 0xA1, 'a',  0xCB, 0x3F, 0xF8, 0,    0, 0, 0, 0, 0, 0xA1, 'b', 0x94,
                                   0xA1, 'x',  0xC3, 0xFF, 0xC4, 0x01, 0x80, 0xCF, 0, 0, 1, 0, 0, 0,    0,   0};
  static const uint8_t records[] = {
      0x94, 0, 3, 1,    5,                                                                   /* failed */
      0x9A, 1, 3, 7,    1,   2,   0xA1, 'm',  0xA1, 'i', 0xA1, 'o', 0xA0, 0xA0,              /* violation */
      0x93, 2, 4, 0xA3, 'b', 'i', 'g',  0x93, 3,    5,   0xA2, 'n', 'o',  0x94, 4, 6, 9, 9, /* label, fault, time */
      0x94, 5, 6, 9,    9,   0x95, 6,   6,    1,    1,   0xA8, 0,    0,   0,   0, 0, 0, 8, 64, /* digest, values */
      0x94, 7, 6, 7,    0xA2, 'd', 'e'};                                                     /* place */
  save(argv[1], "value_fuzz", "values", 1, (mg_slice){values, sizeof values});
  save(argv[1], "records_fuzz", "records", -1, (mg_slice){records, sizeof records});
  return 0;
}
