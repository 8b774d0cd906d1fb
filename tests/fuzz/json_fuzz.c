/* Exact JSON: what is read is written, and what was written reads as the same value. */
#include "script/json.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok) {
  if (!ok) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_tape first = {0}, second = {0};
  mg_json *doc = NULL, *again = NULL;
  mg_buf once = {0}, twice = {0};
  mg_error e = {0};
  if (mg_json_read((mg_slice){data, size}, &first, &doc, &e) == MG_OK) {
    if (mg_json_write(&first, false, false, &once, &e) == MG_OK) {
      require(mg_json_read(mg_buf_slice(&once), &second, &again, &e) == MG_OK);
      require(mg_json_write(&second, false, false, &twice, &e) == MG_OK);
      require(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    }
  } else {
    require(e.text[0] != '\0');
  }
  mg_tape_fini(&first);
  mg_tape_fini(&second);
  mg_json_free(doc);
  mg_json_free(again);
  mg_buf_fini(&once);
  mg_buf_fini(&twice);
  return 0;
}
