/* The arena of a slot, written by a process that may have gone wrong: any bytes are records or an end. */
#include "execute/pool_records.h"
#include "wire/message.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void inside(mg_slice part, const uint8_t *data, size_t size) {
  if (part.len > 0 && (part.data < data || part.data + part.len > data + size)) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  mg_slice rest = {data, size};
  mg_record record;
  while (rest.len > 0) {
    size_t before = rest.len;
    if (!mg_record_next(&rest, &record)) break;
    if (rest.len >= before || record.kind > MG_RECORD_PLACE) abort(); /* each takes something */
    if (record.kind == MG_RECORD_FAILED && record.role >= MG_ROLES) abort();
    if (record.kind == MG_RECORD_VIOLATION) {
      if (record.role >= MG_ROLES || record.clause > MG_EXPLAINED_MOST) abort();
      for (int i = 0; i < 4; i++) inside(record.values[i], data, size);
    }
    if (record.kind == MG_RECORD_VALUES && record.role >= MG_ROLES) abort();
    if (record.kind != MG_RECORD_FAILED && record.kind != MG_RECORD_TIME && record.kind != MG_RECORD_DIGEST) inside(record.text, data, size);
  }
  return 0;
}
