#include "tests/execute/fake_log.h"

#include "tests/brokers/brokers.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char self[4096], folder[MG_TEST_PATH_BYTES], log_path[MG_TEST_PATH_BYTES + 16];

bool mg_fake_log_begin(void) {
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  return n > 0 && mg_test_folder(folder);
}

const char *mg_fake_program(void) { return self; }

int mg_fake_log_fresh(void **state) {
  (void)state;
  static int number;
  snprintf(log_path, sizeof log_path, "%s/%d", folder, number++);
  return setenv("FAKE_LOG", log_path, 1);
}

static int count(const char *want, bool at_start) {
  char line[256];
  int n = 0;
  FILE *f = fopen(log_path, "r");
  if (f == NULL) return 0;
  while (fgets(line, sizeof line, f) != NULL) n += at_start ? strncmp(line, want, strlen(want)) == 0 : strstr(line, want) != NULL;
  fclose(f);
  return n;
}

int mg_fake_lines_with(const char *word) { return count(word, false); }

int mg_fake_begun(uint64_t case_number, const char *role) {
  char want[64];
  snprintf(want, sizeof want, "%llu %s ", (unsigned long long)case_number, role);
  return count(want, true);
}
