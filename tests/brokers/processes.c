/* Folders, ports, programs, certificates. */
#include "tests/brokers/brokers.h"

#include "base/clock.h"
#include "base/hash.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void mg_test_pause(int ms) {
  struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
  (void)nanosleep(&t, NULL);
}

enum { MAX_FOLDERS = 64 };
static char folders[MAX_FOLDERS][MG_TEST_PATH_BYTES];
static int folder_count;
static pid_t folders_of; /* a forked child leaves them alone */

static void remove_folders(void) {
  if (getpid() != folders_of) return;
  for (int i = 0; i < folder_count; i++) {
    const char *argv[] = {"rm", "-rf", "--", folders[i], NULL};
    (void)mg_test_run(argv, 10000, NULL, 0);
  }
  folder_count = 0;
}

bool mg_test_folder(char out[MG_TEST_PATH_BYTES]) {
  const char *below = getenv("TMPDIR");
  if (folders_of != getpid()) {
    folders_of = getpid();
    folder_count = 0;
    (void)atexit(remove_folders);
  }
  if (folder_count == MAX_FOLDERS) return false;
  int n = snprintf(out, MG_TEST_PATH_BYTES, "%s/mguard-test-XXXXXX", below != NULL && below[0] != '\0' ? below : "/tmp");
  if (n < 0 || n >= 80 || mkdtemp(out) == NULL) { /* unix sockets below it must fit in 107 bytes */
    fprintf(stderr, "cannot make a folder %s: %s\n", out, strerror(errno));
    return false;
  }
  memcpy(folders[folder_count++], out, MG_TEST_PATH_BYTES);
  return true;
}

static bool is_free(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  bool ok = bind(fd, (const struct sockaddr *)&a, sizeof a) == 0;
  close(fd);
  return ok;
}

int mg_test_port(void) {
  /* Below the ports that the system gives to outgoing connections. */
  for (int i = 0; i < 200; i++) {
    int port = 12000 + (int)(mg_random64() % 10000);
    if (is_free(port) && is_free(port + 10000)) return port;
  }
  fprintf(stderr, "no free port found\n");
  return 0;
}

int mg_test_run(const char *const *argv, int wait_ms, char *out, size_t size) {
  int ends[2];
  size_t len = 0;
  if (size > 0) out[0] = '\0';
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    int null = open("/dev/null", O_RDONLY);
    if (null >= 0) (void)dup2(null, 0);
    (void)dup2(ends[1], 1);
    (void)dup2(ends[1], 2);
    (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
  }
  close(ends[1]);
  mg_ms end = mg_now_ms() + wait_ms;
  char ignored[4096];
  while (pid > 0) {
    struct pollfd p = {.fd = ends[0], .events = POLLIN};
    int ready = poll(&p, 1, mg_until_ms(end));
    if (ready < 0 && errno == EINTR) continue;
    if (ready <= 0) {
      (void)kill(pid, SIGKILL);
      break;
    }
    bool room = size > 0 && len < size - 1;
    ssize_t n = read(ends[0], room ? out + len : ignored, room ? size - 1 - len : sizeof ignored);
    if (n <= 0) break;
    if (room) len += (size_t)n;
  }
  close(ends[0]);
  int status = -1;
  while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  while (len > 0 && (out[len - 1] == '\n' || out[len - 1] == '\r')) len--;
  if (size > 0) out[len] = '\0';
  return pid > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

enum { STOP_MS = 20000 };

pid_t mg_test_spawn(const char *log, const char *const *argv) {
  (void)fflush(NULL);
  pid_t parent = getpid(), pid = fork();
  if (pid != 0) return pid;
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  int null = open("/dev/null", O_RDONLY), fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
  (void)dup2(null, 0);
  (void)dup2(fd, 1);
  (void)dup2(fd, 2);
  (void)execvp(argv[0], (char *const *)(uintptr_t)argv);
  _exit(127);
}

static bool accepts(int port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  bool ok = fd >= 0 && connect(fd, (const struct sockaddr *)&a, sizeof a) == 0;
  if (fd >= 0) close(fd);
  return ok;
}

bool mg_test_listens(pid_t *pid, const int *ports, size_t count, int wait_ms) {
  for (mg_ms end = mg_now_ms() + wait_ms; *pid > 0 && mg_now_ms() < end; mg_test_pause(20)) {
    size_t open = 0;
    for (size_t i = 0; i < count; i++) open += ports[i] == 0 || accepts(ports[i]);
    if (open == count) return true;
    if (waitpid(*pid, NULL, WNOHANG) == *pid) *pid = 0;
  }
  return false;
}

void mg_test_end(pid_t *pid, int signal_number) {
  if (*pid <= 0) return;
  (void)kill(*pid, signal_number);
  for (mg_ms end = mg_now_ms() + STOP_MS; waitpid(*pid, NULL, WNOHANG) == 0; mg_test_pause(20)) {
    if (mg_now_ms() > end) (void)kill(*pid, SIGKILL);
  }
  *pid = 0;
}

void mg_test_show_tail(const char *log) {
  char out[3000];
  const char *tail[] = {"tail", "-n", "20", log, NULL};
  (void)mg_test_run(tail, 2000, out, sizeof out);
  fprintf(stderr, "%s\n", out);
}

static bool shell(const char *folder, const char *script) {
  char out[2000];
  const char *argv[] = {"sh", "-ec", script, "sh", folder, NULL};
  if (mg_test_run(argv, 30000, out, sizeof out) == 0) return true;
  fprintf(stderr, "cannot make certificates: %s\n", out);
  return false;
}

bool mg_test_certificates(const char *folder) {
  return shell(folder, "cd \"$1\"\n"
                       "new='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'\n"
                       "for ca in ca other-ca; do\n"
                       "  openssl req -x509 $new -subj \"/CN=$ca\" -keyout $ca.key -out $ca.crt\n"
                       "done\n"
                       "printf 'subjectAltName=DNS:localhost,DNS:broker.test,IP:127.0.0.1\\n' > names\n"
                       "for who in server client; do\n"
                       "  openssl req $new -subj \"/CN=$who\" -keyout $who.key -out $who.csr\n"
                       "  openssl x509 -req -in $who.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile names -out $who.crt\n"
                       "done\n");
}

static void show(const char *path) {
  char line[4096];
  FILE *f = fopen(path, "r");
  while (f != NULL && fgets(line, sizeof line, f) != NULL) (void)fputs(line, stdout);
  if (f != NULL) (void)fclose(f);
  (void)fflush(stdout);
}

static pid_t start_beside(const char *path, int i, int (*run)(int i, void *owner), void *owner, int limit_s) {
  (void)fflush(NULL);
  pid_t parent = getpid(), pid = fork();
  if (pid != 0) return pid;
  int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  (void)dup2(fd, 1);
  (void)dup2(fd, 2);
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  (void)alarm((unsigned)limit_s);
  exit(run(i, owner) != 0);
}

int mg_test_beside(const char *title, const char *const *names, int count, int (*run)(int i, void *owner), void *owner, int limit_s) {
  enum { MOST = 32 };
  char folder[MG_TEST_PATH_BYTES], paths[MOST][MG_TEST_PATH_BYTES + 16];
  pid_t pids[MOST];
  int failed = 0;
  if (count > MOST || !mg_test_folder(folder)) return count;
  for (int i = 0; i < count; i++) {
    (void)snprintf(paths[i], sizeof paths[i], "%s/%d", folder, i);
    pids[i] = start_beside(paths[i], i, run, owner, limit_s);
  }
  for (int i = 0; i < count; i++) {
    int status = -1;
    while (pids[i] > 0 && waitpid(pids[i], &status, 0) < 0 && errno == EINTR) {
    }
    bool ok = pids[i] > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    printf("--- %s %s: %s\n", title, names[i], ok ? "ok" : "FAILED");
    if (!ok && pids[i] > 0 && WIFSIGNALED(status)) printf("[  FAILED  ] killed by signal %d\n", WTERMSIG(status));
    show(paths[i]);
    failed += !ok;
  }
  return failed;
}
