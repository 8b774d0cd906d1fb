#include "observe/json_text.h"

#include "base/buf.h"
#include <string.h>

/* Length of the UTF-8 sequence at s, 0 where there is none. */
static size_t utf8_at(const unsigned char *s, size_t left) {
  unsigned char c = s[0];
  size_t n = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
  if (n == 0 || n > left) return 0;
  for (size_t i = 1; i < n; i++) {
    if ((s[i] & 0xc0) != 0x80) return 0;
  }
  if ((c == 0xe0 && s[1] < 0xa0) || (c == 0xed && s[1] > 0x9f) || (c == 0xf0 && s[1] < 0x90) || (c == 0xf4 && s[1] > 0x8f)) return 0;
  return n;
}

json_t *mg_json_text(const char *s) {
  if (s == NULL) return json_null();
  json_t *j = json_string(s);
  if (j != NULL) return j;
  mg_buf clean = {0};
  for (size_t i = 0, len = strlen(s); i < len;) {
    size_t n = utf8_at((const unsigned char *)s + i, len - i);
    if (n > 0)
      mg_buf_put(&clean, s + i, n);
    else
      mg_buf_putf(&clean, "\\x%02X", (unsigned char)s[i]);
    i += n > 0 ? n : 1;
  }
  j = clean.failed ? NULL : json_stringn((const char *)clean.data, clean.len);
  mg_buf_fini(&clean);
  return j;
}
