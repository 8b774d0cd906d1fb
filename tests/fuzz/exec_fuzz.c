/* The protocol of kept programs: whatever bytes a child answers, the call ends with a line, or an error and a child
 * that can be started anew. */
#include "execute/impl_exec.h"
#include "script/json.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok) {
  if (!ok) abort();
}

/* `cat` answers what it is sent; a fuzzed byte chooses what stands for the answer's line feed. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static mg_child *children[2];
  static const char *const echo[] = {"cat", NULL};
  static const char *const lines[] = {"stdbuf", "-o0", "tr",
                                      "\\001",  "\\n", NULL}; /* several lines an answer, or none */
  if (children[0] == NULL) {
    require(mg_child_new(&children[0], &(mg_child_config){.argv = echo}, NULL) == MG_OK);
    require(mg_child_new(&children[1], &(mg_child_config){.argv = lines}, NULL) == MG_OK);
  }
  if (size == 0) return 0;
  bool feeds = memchr(data + 1, '\n', size - 1) != NULL, nul = memchr(data + 1, 0, size - 1) != NULL;
  bool many = (data[0] & 15) == 0 && memchr(data + 1, 1, size - 1) != NULL; /* seldom: mostly ends with a new process */
  mg_slice answer = {0};
  mg_error e = {0};
  mg_err err = mg_child_call(children[many], (mg_slice){data + 1, size - 1}, &answer, NULL, &e);
  if (many) require(err == MG_OK || err == MG_ARG || err == MG_LOST);
  else require(err == (feeds || nul ? MG_ARG : MG_OK));
  if (err != MG_OK) {
    require(e.text[0] != '\0');
    return 0;
  }
  if (!many) require(answer.len == size - 1 && memcmp(answer.data, data + 1, answer.len) == 0);
  mg_tape tape = {0};
  mg_json *doc = NULL;
  (void)mg_json_read(answer, &tape, &doc, NULL);
  mg_tape_fini(&tape);
  mg_json_free(doc);
  return 0;
}
