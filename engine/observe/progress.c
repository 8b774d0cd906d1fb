#include "observe/progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_EVERY_MS = 100, LINE_FIRST_MS = 2000, LINE_EVERY_MS = 5000, WIDTH_OTHERWISE = 80, BAR_LEAST = 10, BAR_MOST = 40 };

struct mg_progress {
  int fd;
  bool bar, quiet;
  bool drawn; /* a bar stands on the line */
  mg_ms next_ms;
};

mg_progress *mg_progress_new(int fd, mg_progress_style style) {
  mg_progress *p = calloc(1, sizeof *p);
  if (p == NULL) return NULL;
  const char *term = getenv("TERM");
  p->fd = fd;
  p->quiet = style == MG_PROGRESS_QUIET;
  p->bar = style == MG_PROGRESS_AUTO && isatty(fd) == 1 && term != NULL && strcmp(term, "dumb") != 0;
  return p;
}

/* A terminal that does not take the bytes loses a picture, no more. */
static void put(const mg_progress *p, const char *text) {
  size_t len = strlen(text);
  while (len > 0) {
    ssize_t n = write(p->fd, text, len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    text += n;
    len -= (size_t)n;
  }
}

void mg_count_text(char *out, size_t size, uint64_t n) {
  char digits[24];
  int len = snprintf(digits, sizeof digits, "%" PRIu64, n);
  size_t at = 0;
  for (int i = 0; i < len && at + 2 < size; i++) {
    if (i > 0 && (len - i) % 3 == 0) out[at++] = ',';
    out[at++] = digits[i];
  }
  out[at] = '\0';
}

static void rate_text(char *out, size_t size, double rate) {
  char n[32];
  if (rate >= 10)
    mg_count_text(n, sizeof n, (uint64_t)(rate + 0.5));
  else
    (void)snprintf(n, sizeof n, "%.1f", rate);
  (void)snprintf(out, size, "%s cases/s", n);
}

void mg_duration_text(char *out, size_t size, double seconds) {
  if (seconds >= 100 * 3600.0) {
    (void)snprintf(out, size, "%.0f days", seconds / 86400);
    return;
  }
  unsigned t = (unsigned)(seconds + 0.999);
  if (t >= 3600)
    (void)snprintf(out, size, "%u:%02u:%02u", t / 3600, t / 60 % 60, t % 60);
  else
    (void)snprintf(out, size, "%u:%02u", t / 60, t % 60);
}

/* "0:05 left"; "" where nothing is known. */
static void left_text(char *out, size_t size, const mg_run_state *s) {
  char time[40];
  out[0] = '\0';
  if (s->cases_per_second <= 0 || s->counted >= s->planned) return;
  mg_duration_text(time, sizeof time, (double)(s->planned - s->counted) / s->cases_per_second);
  (void)snprintf(out, size, "%s left", time);
}

static double share(const mg_run_state *s) { return s->planned == 0 ? 0 : (double)s->counted / (double)s->planned; }

static const char *trouble(const mg_run_state *s) {
  if (!s->connected) return "no broker";
  for (size_t i = 0; i < s->worker_count; i++) {
    if (!s->workers[i].lost && !s->workers[i].quarantined && !s->workers[i].refused) return NULL;
  }
  return s->counted > 0 && s->worker_count == 0 ? NULL : "no worker";
}

void mg_progress_bar(char *out, size_t size, const mg_run_state *s, int width) {
  char counts[64], done[32], all[32], rate[48], left[48], tail[256];
  int percent = (int)(100 * share(s)); /* down: 100 % is all of it */
  const char *wrong = trouble(s);
  mg_count_text(done, sizeof done, s->counted);
  mg_count_text(all, sizeof all, s->planned);
  (void)snprintf(counts, sizeof counts, "%s/%s", done, all);
  rate_text(rate, sizeof rate, s->cases_per_second);
  left_text(left, sizeof left, s);
  if (wrong != NULL)
    (void)snprintf(tail, sizeof tail, "%s  %s", counts, wrong);
  else
    (void)snprintf(tail, sizeof tail, "%s  %s%s%s", counts, rate, left[0] != '\0' ? "  " : "", left);
  int room = width - 1 - 9 - (int)strlen(tail); /* "100 % [" "] " */
  if (room >= BAR_LEAST) {
    char bar[BAR_MOST + 1];
    int cells = room < BAR_MOST ? room : BAR_MOST, full = (int)(share(s) * cells);
    memset(bar, ' ', (size_t)cells);
    memset(bar, '=', (size_t)full);
    if (full < cells && full > 0) bar[full - 1] = '>';
    bar[cells] = '\0';
    (void)snprintf(out, size, "%3d %% [%s] %s", percent, bar, tail);
  } else if ((int)strlen(tail) + 7 < width) {
    (void)snprintf(out, size, "%3d %%  %s", percent, tail);
  } else {
    (void)snprintf(out, size, "%3d %%", percent);
    if (width > 0 && (int)strlen(out) >= width) out[width - 1] = '\0';
  }
}

void mg_progress_line(char *out, size_t size, const mg_run_state *s) {
  char done[32], all[32], rate[48], left[48];
  const char *wrong = trouble(s);
  mg_count_text(done, sizeof done, s->counted);
  mg_count_text(all, sizeof all, s->planned);
  rate_text(rate, sizeof rate, s->cases_per_second);
  left_text(left, sizeof left, s);
  if (wrong != NULL)
    (void)snprintf(out, size, "%s of %s cases (%d %%), %s", done, all, (int)(100 * share(s)), wrong);
  else
    (void)snprintf(out, size, "%s of %s cases (%d %%), %s%s%s", done, all, (int)(100 * share(s)), rate, left[0] != '\0' ? ", " : "", left);
}

static int columns(const mg_progress *p) {
  struct winsize w;
  if (ioctl(p->fd, TIOCGWINSZ, &w) == 0 && w.ws_col > 0) return w.ws_col;
  return WIDTH_OTHERWISE;
}

void mg_progress_update(mg_progress *p, const mg_run_state *s) {
  char text[400], line[440];
  if (p == NULL || p->quiet) return;
  if (p->next_ms == 0) p->next_ms = s->now_ms + (p->bar ? 0 : LINE_FIRST_MS); /* a run that is soon over says nothing between */
  if (s->now_ms < p->next_ms) return;
  if (p->bar) {
    int width = columns(p);
    p->next_ms = s->now_ms + BAR_EVERY_MS;
    mg_progress_bar(text, sizeof text, s, width < (int)sizeof text ? width : (int)sizeof text - 1);
    (void)snprintf(line, sizeof line, "\r%s\033[K", text);
    p->drawn = true;
  } else {
    p->next_ms = s->now_ms + LINE_EVERY_MS;
    mg_progress_line(text, sizeof text, s);
    (void)snprintf(line, sizeof line, "%s\n", text);
  }
  put(p, line);
}

void mg_progress_say(mg_progress *p, const char *text) {
  if (p == NULL || p->quiet) return;
  mg_progress_end(p);
  put(p, text);
  put(p, "\n");
  p->next_ms = p->bar ? 1 : p->next_ms; /* the bar comes back at once */
}

void mg_progress_end(mg_progress *p) {
  if (p == NULL || !p->drawn) return;
  put(p, "\r\033[K");
  p->drawn = false;
}

void mg_progress_free(mg_progress *p) {
  mg_progress_end(p);
  free(p);
}
