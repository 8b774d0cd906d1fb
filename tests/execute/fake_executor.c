#include "tests/execute/fake_executor.h"

#include "tests/brokers/brokers.h"

#include "base/buf.h"
#include "execute/slot.h"
#include "wire/message.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static mg_slot *slot;
static int sock;
static volatile sig_atomic_t told;

static void on_usr1(int number) {
  (void)number;
  if (atomic_load(&slot->kill_seq) == atomic_load(&slot->seq)) told = 1;
}

static bool read_all(void *out, size_t len) {
  uint8_t *at = out;
  while (len > 0) {
    ssize_t n = read(sock, at, len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    at += n;
    len -= (size_t)n;
  }
  return true;
}

static void send_frame(mg_frame_type type, const void *body, uint32_t len) {
  uint8_t head[5] = {0, 0, 0, 0, (uint8_t)type};
  uint32_t all = len + 1;
  for (int i = 0; i < 4; i++) head[i] = (uint8_t)(all >> 8 * i);
  if (write(sock, head, 5) != 5 || (len > 0 && write(sock, body, len) != (ssize_t)len)) _exit(1);
}

static uint32_t u32_at(const uint8_t *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24; }

static void say_in_log(const char *text) {
  const char *path = getenv("FAKE_LOG");
  if (path == NULL) return;
  int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, text, strlen(text)) < 0) _exit(1);
  (void)close(fd);
}

/* Whether this is the first time the mark is made, by any process. */
static bool mark(const char *name, uint64_t number) {
  char path[512];
  const char *log = getenv("FAKE_LOG");
  (void)snprintf(path, sizeof path, "%s.%s%llu", log != NULL ? log : "/tmp/fake", name, (unsigned long long)number);
  int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd >= 0) (void)close(fd);
  return fd >= 0;
}

static void enter(mg_phase phase) {
  told = 0;
  atomic_store(&slot->phase, (uint32_t)phase);
  atomic_fetch_add(&slot->seq, 1);
}

static void put(const void *bytes, size_t len) {
  uint32_t used = atomic_load(&slot->arena_used);
  memcpy(slot->arena + used, bytes, len);
  atomic_store(&slot->arena_used, used + (uint32_t)len);
}

/* [kind, index, ...]; small texts and numbers only. */
static void put_record(int kind, uint32_t index, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void put_record(int kind, uint32_t index, const char *format, ...) {
  uint8_t bytes[256] = {0};
  size_t n = 0;
  va_list ap;
  va_start(ap, format);
  static const uint8_t elements[] = {4, 10, 3, 3, 4, 4};
  bytes[n++] = (uint8_t)(0x90 | elements[kind]);
  bytes[n++] = (uint8_t)kind;
  bytes[n++] = 0xce;
  for (int i = 3; i >= 0; i--) bytes[n++] = (uint8_t)(index >> 8 * i);
  for (const char *p = format; *p != '\0'; p++) {
    if (*p != '%') continue;
    p++;
    if (*p == 'd') bytes[n++] = (uint8_t)va_arg(ap, int);
    if (*p == 'u') {
      unsigned v = va_arg(ap, unsigned);
      bytes[n++] = 0xce;
      for (int i = 3; i >= 0; i--) bytes[n++] = (uint8_t)(v >> 8 * i);
    }
    if (*p == 's') {
      const char *s = va_arg(ap, const char *);
      size_t len = strlen(s);
      bytes[n++] = len > 0 ? (uint8_t)(0xa0 | len) : 0xc0;
      memcpy(bytes + n, s, len);
      n += len;
    }
  }
  va_end(ap);
  put(bytes, n);
}

static const char *order_for(const char *orders, uint64_t case_number, char phase, char *action, size_t size) {
  char want[64];
  int n = snprintf(want, sizeof want, "@%llu:%c", (unsigned long long)case_number, phase);
  for (const char *p = strstr(orders, want); p != NULL; p = strstr(p + 1, want)) {
    if (p[n] != ',' && p[n] != '\0') continue;
    const char *begin = p;
    while (begin > orders && begin[-1] != ',') begin--;
    (void)snprintf(action, size, "%.*s", (int)(p - begin), begin);
    return action;
  }
  return NULL;
}

static void die_by(int number) {
  (void)signal(number, SIG_DFL); /* a sanitizer would exit instead */
  (void)raise(number);
}

/* true: the case ran out of time and was told so. */
static bool obey(const char *orders, uint64_t case_number, uint32_t index, char phase) {
  char action[32];
  if (order_for(orders, case_number, phase, action, sizeof action) == NULL) return false;
  if (strcmp(action, "segv") == 0) die_by(SIGSEGV);
  if (strcmp(action, "kill") == 0) die_by(SIGKILL);
  if (strcmp(action, "exit") == 0) _exit(7);
  if (strcmp(action, "slow") == 0) mg_test_pause(20);
  if (strcmp(action, "long") == 0) mg_test_pause(1000);
  if (strcmp(action, "hang") == 0 || (strcmp(action, "once") == 0 && mark("once", case_number))) {
    for (;;) mg_test_pause(10000);
  }
  if (strcmp(action, "loop") == 0) {
    while (told == 0) mg_test_pause(1);
    return true;
  }
  if (strcmp(action, "orphan") == 0) {
    if (fork() == 0) {
      (void)setpgid(0, 0); /* out of reach of the pool */
      (void)alarm(20);
      for (;;) (void)pause();
    }
    die_by(SIGSEGV);
  }
  if (strcmp(action, "silent") == 0) {
    (void)close(sock);
    for (;;) mg_test_pause(10000);
  }
  if (strcmp(action, "junk") == 0) put("\xc1\xc1\xc1", 3);
  if (strcmp(action, "fault") == 0) {
    put_record(MG_FRAME_SETUP /* 1 */ + 2, index, "%s", "fake.lua:7: generator raised");
    return true;
  }
  return false;
}

static void run_role(const mg_task *t, uint64_t case_number, uint32_t index, mg_role role) {
  char text[64];
  enter(role == MG_BASELINE ? MG_PHASE_BASELINE : MG_PHASE_CANDIDATE);
  (void)snprintf(text, sizeof text, "%llu %s %d\n", (unsigned long long)case_number, mg_role_name(role), (int)getpid());
  say_in_log(text);
  mg_outcome o = MG_PASS;
  bool fails = role == MG_BASELINE ? case_number % 10 == 3 : case_number % 7 == 0;
  if (fails) { /* before the order: a death must take these back */
    put_record(0, index, "%d%u", (int)role, role == MG_BASELINE ? 2u : 4u);
    put_record(1, index, "%u%d%d%s%s%s%s%s", (unsigned)case_number, (int)role, role == MG_BASELINE ? 1 : 2, "not so", "in", role == MG_BASELINE ? "old" : "new",
               "", "");
    o = MG_FAIL;
  }
  if (obey(t->candidate, case_number, index, role == MG_BASELINE ? 'b' : 'c')) {
    o = MG_TIMED_OUT;
    put_record(0, index, "%d%u", (int)role, 1u);
  }
  slot->outcomes[role][index] = (uint8_t)o;
}

static void run(const uint8_t *body, size_t len) {
  uint32_t resume = u32_at(body), tasks = u32_at(body + 6), index = 0;
  uint8_t role = body[4], baseline_outcome = body[5];
  const uint8_t *at = body + 10;
  atomic_store(&slot->arena_used, 0);
  atomic_store(&slot->done, resume);
  for (uint32_t k = 0; k < tasks; k++) {
    mg_task t;
    mg_error e;
    uint32_t bytes = u32_at(at);
    if (mg_task_decode(&t, (mg_slice){at + 4, bytes}, &e) != MG_OK || (size_t)(at - body) + bytes > len) _exit(2);
    at += 4 + bytes;
    if (strcmp(t.candidate, "refuse") == 0) {
      enter(MG_PHASE_IDLE);
      send_frame(MG_FRAME_REFUSED, "no such implementation", 22);
      return;
    }
    bool whole = index > resume || (index == resume && role == MG_BASELINE);
    uint64_t sum = 0;
    for (uint32_t i = 0; i < t.count; i++, index++) {
      uint64_t number = t.first + i;
      char action[32];
      if (index < resume) continue;
      bool again = index == resume && role == MG_CANDIDATE;
      if (order_for(t.candidate, number, 'g', action, sizeof action) != NULL) {
        if (strcmp(action, "full") == 0 && mark("full", number)) goto done;
        if (strcmp(action, "load") == 0) {
          enter(MG_PHASE_LOAD);
          die_by(SIGSEGV);
        }
      }
      atomic_store(&slot->index, index);
      atomic_store(&slot->case_number, number);
      enter(MG_PHASE_GENERATE);
      if (obey(t.candidate, number, index, 'g')) goto done;
      if (number % 2 == 0) put_record(2, index, "%s", "even");
      if (t.baseline[0] == '\0') {
        slot->outcomes[MG_BASELINE][index] = MG_ABSENT;
      } else if (again) {
        slot->outcomes[MG_BASELINE][index] = baseline_outcome;
      } else {
        run_role(&t, number, index, MG_BASELINE);
        atomic_store(&slot->half_done, 1);
      }
      run_role(&t, number, index, MG_CANDIDATE);
      put_record(4, index, "%d%d", 3, 5);
      sum += number;
      atomic_store_explicit(&slot->done, index + 1, memory_order_release);
      atomic_store(&slot->half_done, 0);
    }
    if (whole) put_record(5, index - 1, "%u%d", (unsigned)sum, 0);
  }
done:
  enter(MG_PHASE_IDLE);
  uint32_t done = atomic_load(&slot->done);
  uint8_t count[4] = {(uint8_t)done, (uint8_t)(done >> 8), (uint8_t)(done >> 16), (uint8_t)(done >> 24)};
  send_frame(MG_FRAME_DONE, count, sizeof count);
}

static void start(const char *script) {
  uint8_t ready[36] = {1, 2, 3};
  const char *text = "fake.lua:1: syntax error";
  enter(MG_PHASE_LOAD);
  if (strcmp(script, "slow") == 0) mg_test_pause(100);
  if (strcmp(script, "segv") == 0) die_by(SIGSEGV);
  if (strcmp(script, "fragile") == 0 && !mark("start", 0)) _exit(9);
  if (strcmp(script, "twice") == 0) ready[4] = mark("twice", 0) ? 1 : 2;
  while (strcmp(script, "hang") == 0) mg_test_pause(1000);
  if (strcmp(script, "fault") == 0) {
    send_frame(MG_FRAME_FAULT, text, (uint32_t)strlen(text));
    _exit(4);
  }
  enter(MG_PHASE_IDLE);
  send_frame(MG_FRAME_READY, ready, sizeof ready);
}

int fake_executor(int socket_fd, int slot_fd) {
  mg_error e;
  uint8_t head[5];
  mg_buf body = {0};
  sock = socket_fd;
  if (mg_slot_map(&slot, slot_fd, &e) != MG_OK) return 3;
  struct sigaction usr1 = {.sa_handler = on_usr1};
  (void)sigaction(SIGUSR1, &usr1, NULL);
  while (read_all(head, 5)) {
    uint32_t len = u32_at(head) - 1;
    mg_buf_clear(&body);
    if (!mg_buf_reserve(&body, len + 1) || !read_all(body.data, len)) break;
    if (head[4] == MG_FRAME_SETUP) {
      char script[64];
      uint32_t n = (uint32_t)body.data[2] << 24 | (uint32_t)body.data[3] << 16 | (uint32_t)body.data[4] << 8 | body.data[5];
      (void)snprintf(script, sizeof script, "%.*s", (int)n, (const char *)body.data + 6);
      start(script);
    } else {
      run(body.data, len);
    }
  }
  char text[32];
  (void)snprintf(text, sizeof text, "teardown %d\n", (int)getpid());
  say_in_log(text);
  mg_buf_fini(&body);
  mg_slot_unmap(slot);
  return 0;
}
