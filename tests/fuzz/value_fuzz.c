/* Packed values (arguments in a task's payload): what unpacks packs again as the same bytes, and can be shown. */
#include "script/value.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok) {
  if (!ok) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (size == 0) return 0;
  bool each = (data[0] & 1) != 0;
  mg_tape first = {0}, second = {0};
  mg_buf once = {0}, twice = {0}, shown = {0};
  mg_error e = {0};
  if (mg_tape_unpack(&first, (mg_slice){data + 1, size - 1}, each, &e) == MG_OK) {
    mg_tape_pack(&first, !each, &once);
    require(mg_tape_unpack(&second, mg_buf_slice(&once), each, &e) == MG_OK);
    require(first.values == second.values);
    mg_tape_pack(&second, !each, &twice);
    require(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    mg_tape_show(&first, 200, &shown);
    require(shown.len < 400);
  } else {
    require(e.text[0] != '\0');
  }
  mg_tape_fini(&first);
  mg_tape_fini(&second);
  mg_buf_fini(&once);
  mg_buf_fini(&twice);
  mg_buf_fini(&shown);
  return 0;
}
