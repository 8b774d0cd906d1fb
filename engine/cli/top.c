/* top.c - `mguard top`: a run by its live page, or a queue by its broker, on a terminal. */
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/survey.h"
#include "cli/top_view.h"

#include "base/clock.h"
#include "base/hash.h"
#include <curl/curl.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

enum { STATE_BYTES_MAX = 16 << 20, ASK_MS = 5000, WIDTH_OTHERWISE = 80, HEIGHT_OTHERWISE = 24 };

static const mg_flag flags[] = {
    {"interval", "S", "seconds between two looks (default 1)", NULL}, {"once", NULL, "show it once and end", NULL}, MG_CONSOLE_FLAGS, {NULL, NULL, NULL, NULL}};

static const mg_command command = {
    "top",
    "[PORT|URL|PLAN]",
    "Shows a run or a queue on the terminal, again and again; q quits.",
    "PORT or URL is that of a run's live page: mguard run PLAN --live-port 8080, mguard top 8080. Else the queue of the plan or checks\n"
    "named, or of --backend and --queue-config, is shown: its runs and its workers.",
    flags,
    0,
    1};

typedef struct top {
  char url[1100]; /* of a run's state; "": a queue */
  CURL *curl;
  mg_buf body;
  mg_survey survey;
  json_t *state; /* the last one that came */
  bool over;     /* of a run: nothing more comes */
  char note[600];
} top;

static volatile sig_atomic_t leaving, resized;

static void on_signal(int number) {
  if (number == SIGWINCH)
    resized = 1;
  else
    leaving = 1;
}

/* ---- where it comes from ---- */

static bool is_url(const char *text) { return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0; }

static bool is_port(const char *text) { return text[0] != '\0' && text[strspn(text, "0123456789")] == '\0'; }

static size_t take(char *data, size_t size, size_t count, void *owner) {
  mg_buf *b = owner;
  if (b->len + size * count > STATE_BYTES_MAX) return 0;
  mg_buf_put(b, data, size * count);
  return b->failed ? 0 : size * count;
}

static mg_err open_url(top *t, const char *where, mg_error *e) {
  char base[1024], token[140] = "";
  size_t len = strlen(where);
  if (len >= sizeof base - 32) return mg_fail(e, MG_ARG, "the URL is too long");
  (void)snprintf(base, sizeof base, is_port(where) ? "http://127.0.0.1:%s" : "%s", where);
  const char *given = strstr(base, "token=");
  if (given != NULL && given > base && (given[-1] == '?' || given[-1] == '&')) {
    (void)snprintf(token, sizeof token, "%.*s", (int)strcspn(given + 6, "&#"), given + 6);
  } else if (getenv("MGUARD_LIVE_TOKEN") != NULL) {
    (void)snprintf(token, sizeof token, "%s", getenv("MGUARD_LIVE_TOKEN"));
  }
  len = strcspn(base, "?#");
  while (len > 0 && base[len - 1] == '/') len--;
  (void)snprintf(t->url, sizeof t->url, "%.*s/state.json?w=top%" PRIx64, (int)len, base, mg_random64());
  if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (t->curl = curl_easy_init()) == NULL) return mg_fail(e, MG_FATAL, "libcurl cannot be started");
  (void)curl_easy_setopt(t->curl, CURLOPT_URL, t->url);
  (void)curl_easy_setopt(t->curl, CURLOPT_NOSIGNAL, 1L);
  (void)curl_easy_setopt(t->curl, CURLOPT_TIMEOUT_MS, (long)ASK_MS);
  (void)curl_easy_setopt(t->curl, CURLOPT_FAILONERROR, 1L);
  if (token[0] != '\0') {
    (void)curl_easy_setopt(t->curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
    (void)curl_easy_setopt(t->curl, CURLOPT_XOAUTH2_BEARER, token);
  }
  (void)curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, take);
  (void)curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, &t->body);
  (void)curl_easy_setopt(t->curl, CURLOPT_USERAGENT, "mguard/" MG_VERSION);
  return MG_OK;
}

static json_t *ask_url(top *t, mg_error *e) {
  json_error_t why;
  mg_buf_clear(&t->body);
  CURLcode code = curl_easy_perform(t->curl);
  long status = 0;
  (void)curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
  if (status == 401) {
    (void)mg_fail(e, MG_ARG, "%.*s wants a token: give the whole link that mguard run printed, or set MGUARD_LIVE_TOKEN", (int)strcspn(t->url, "?"), t->url);
    return NULL;
  }
  if (code != CURLE_OK) {
    (void)mg_fail(e, MG_CONN, "%.*s: %s", (int)strcspn(t->url, "?"), t->url, curl_easy_strerror(code));
    return NULL;
  }
  json_t *j = json_loadb((const char *)t->body.data, t->body.len, 0, &why);
  if (json_is_object(j) && json_is_string(json_object_get(j, "run"))) return j;
  json_decref(j);
  (void)mg_fail(e, MG_ARG, "%.*s is no live page of mguard run", (int)strcspn(t->url, "?"), t->url);
  return NULL;
}

/* A new state, or the old one with a note; false where there is none at all. */
static bool look(top *t, mg_error *e) {
  json_t *fresh = NULL;
  if (t->over) return true;
  if (t->url[0] != '\0')
    fresh = ask_url(t, e);
  else if (mg_survey_look(&t->survey, 0, e) == MG_OK)
    fresh = mg_survey_json(&t->survey);
  t->note[0] = '\0';
  if (fresh == NULL) {
    (void)snprintf(t->note, sizeof t->note, "%s; these are the last numbers", t->url[0] != '\0' ? "the run has ended or cannot be reached" : e->text);
    return t->state != NULL;
  }
  json_decref(t->state);
  t->state = fresh;
  const char *state = json_string_value(json_object_get(fresh, "state"));
  t->over = state != NULL && (strcmp(state, "ended") == 0 || strcmp(state, "failed") == 0);
  return true;
}

/* ---- the terminal ---- */

static void draw(const top *t, mg_buf *out, const mg_top_screen *screen) {
  if (t->url[0] != '\0')
    mg_top_run(out, t->state, screen);
  else
    mg_top_queue(out, t->state, screen);
}

static void size_of(mg_top_screen *s) {
  struct winsize w = {0};
  bool have = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0;
  s->width = have && w.ws_col > 0 ? w.ws_col : WIDTH_OTHERWISE;
  s->height = have && w.ws_row > 0 ? w.ws_row : HEIGHT_OTHERWISE;
}

static void put(const char *data, size_t len) {
  while (len > 0) {
    ssize_t n = write(STDOUT_FILENO, data, len);
    if (n < 0 && errno == EINTR) continue; /* a terminal that changes its size does not cut the picture short */
    if (n <= 0) return;
    data += n;
    len -= (size_t)n;
  }
}

/* In place of what stands there: each line up to its end, then what is below. */
static void paint(const top *t, mg_buf *text, mg_buf *out) {
  char note[640];
  mg_top_screen s = {.colour = getenv("NO_COLOR") == NULL, .note = note};
  (void)snprintf(note, sizeof note, "%s%s",
                 t->note[0] != '\0' ? t->note
                 : t->over          ? "the run has ended"
                                    : "",
                 t->note[0] != '\0' || t->over ? "; q quits" : "q quits");
  size_of(&s);
  mg_buf_clear(text);
  draw(t, text, &s);
  mg_buf_clear(out);
  mg_buf_puts(out, "\033[H");
  for (size_t i = 0; i < text->len; i++) {
    if (text->data[i] != '\n')
      mg_buf_put(out, &text->data[i], 1);
    else
      mg_buf_puts(out, i + 1 < text->len ? "\033[K\r\n" : "\033[K"); /* the last line must not scroll */
  }
  mg_buf_puts(out, "\033[J");
  if (!out->failed) put((const char *)out->data, out->len);
}

/* Until it is time for the next look; false: somebody wants to leave. */
static bool wait_for_key(mg_ms until, bool *repaint) {
  *repaint = false;
  while (leaving == 0) {
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    int wait = mg_until_ms(until);
    if (wait == 0) return true;
    int n = poll(&in, 1, wait);
    if (resized != 0) {
      resized = 0;
      *repaint = true;
      return true;
    }
    char key;
    if (n <= 0) continue;
    if (read(STDIN_FILENO, &key, 1) <= 0 || key == 'q' || key == 'Q' || key == 3) return false;
  }
  return false;
}

static int watch(top *t, double every_s) {
  struct termios before, raw;
  mg_error e;
  if (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1 || tcgetattr(STDIN_FILENO, &before) != 0) {
    return mg_complain("top", MG_EXIT_USAGE, "this is no terminal: say --once, or --json");
  }
  if (!look(t, &e)) return mg_complain("top", e.code == MG_ARG ? MG_EXIT_USAGE : MG_EXIT_FAILURE, "%s", e.text);
  struct sigaction act = {.sa_handler = on_signal};
  (void)sigaction(SIGINT, &act, NULL);
  (void)sigaction(SIGTERM, &act, NULL);
  (void)sigaction(SIGHUP, &act, NULL);
  (void)sigaction(SIGWINCH, &act, NULL);
  raw = before;
  raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
  (void)tcsetattr(STDIN_FILENO, TCSANOW, &raw);
  put("\033[?1049h\033[?25l", 14);
  mg_buf text = {0}, out = {0};
  mg_ms next = mg_now_ms() + (mg_ms)(every_s * 1000);
  bool repaint;
  paint(t, &text, &out);
  while (wait_for_key(next, &repaint)) {
    if (!repaint) {
      (void)look(t, &e);
      next = mg_now_ms() + (mg_ms)(every_s * 1000);
    }
    paint(t, &text, &out);
  }
  put("\033[?25h\033[?1049l", 14);
  (void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
  mg_buf_fini(&text);
  mg_buf_fini(&out);
  return 0;
}

static int once(top *t, bool json) {
  mg_error e;
  mg_buf text = {0};
  if (t->url[0] == '\0') { /* beats take a while to be heard */
    if (mg_survey_look(&t->survey, 2000, &e) != MG_OK) return mg_complain("top", MG_EXIT_FAILURE, "%s", e.text);
    t->state = mg_survey_json(&t->survey);
  } else if (!look(t, &e)) {
    return mg_complain("top", e.code == MG_ARG ? MG_EXIT_USAGE : MG_EXIT_FAILURE, "%s", e.text);
  }
  if (json) return mg_console_print(&t->survey.console, json_incref(t->state));
  mg_top_screen s = {.colour = isatty(STDOUT_FILENO) == 1 && getenv("NO_COLOR") == NULL};
  size_of(&s);
  draw(t, &text, &s);
  (void)fwrite(text.data, 1, text.len, stdout);
  mg_buf_fini(&text);
  return fflush(stdout) == 0 ? 0 : mg_complain("top", MG_EXIT_FAILURE, "standard output cannot be written");
}

int mg_cli_top(int argc, char **argv) {
  mg_args a;
  top t = {.survey.console.command = &command};
  double every_s;
  mg_error e;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  if (!mg_args_number(&a, &command, "interval", 0.1, 3600, 1, &every_s)) return MG_EXIT_USAGE;
  const char *where = a.positional_count > 0 ? a.positional[0] : NULL;
  bool json = mg_args_get(&a, &command, "json") != NULL;
  if (where != NULL && (is_port(where) || is_url(where))) {
    code = open_url(&t, where, &e) == MG_OK ? -1 : mg_complain("top", MG_EXIT_USAGE, "%s", e.text);
  } else {
    code = mg_console_open(&t.survey.console, &command, &a, where, 0);
  }
  if (code < 0) code = json || mg_args_get(&a, &command, "once") != NULL ? once(&t, json) : watch(&t, every_s);
  json_decref(t.state);
  if (t.curl != NULL) curl_easy_cleanup(t.curl);
  mg_buf_fini(&t.body);
  mg_survey_fini(&t.survey);
  return code;
}
