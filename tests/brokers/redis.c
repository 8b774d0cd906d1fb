#include "tests/brokers/brokers.h"

#include "base/clock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

enum { READY_MS = 15000, MAX_RUNNING = 32 };

static pid_t running[MAX_RUNNING];
static pid_t running_of;

static void kill_running(void) {
  if (getpid() != running_of) return;
  for (int i = 0; i < MAX_RUNNING; i++) {
    if (running[i] <= 0) continue;
    (void)kill(running[i], SIGKILL);
    (void)waitpid(running[i], NULL, 0);
    running[i] = 0;
  }
}

static void note_running(pid_t pid, bool on) {
  if (running_of != getpid()) {
    running_of = getpid();
    memset(running, 0, sizeof running);
    (void)atexit(kill_running);
  }
  for (int i = 0; i < MAX_RUNNING; i++) {
    if (running[i] != (on ? 0 : pid)) continue;
    running[i] = on ? pid : 0;
    return;
  }
}

/* Whether it has loaded its data and answers. A server is asked over its unix socket, which it opens last and which no other program can have; a Sentinel has
 * a port alone. */
static bool answers(const mg_test_redis *r) {
  struct sockaddr_in port = {.sin_family = AF_INET, .sin_port = htons((uint16_t)r->port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
  struct sockaddr_un path = {.sun_family = AF_UNIX};
  bool sentinel = strcmp(r->program, "redis-sentinel") == 0;
  char reply[64];
  ssize_t n = -1;
  (void)snprintf(path.sun_path, sizeof path.sun_path, "%.107s", r->unix_path);
  int fd = socket(sentinel ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  int rc = sentinel ? connect(fd, (const struct sockaddr *)&port, sizeof port) : connect(fd, (const struct sockaddr *)&path, sizeof path);
  if (rc == 0 && send(fd, "PING\r\n", 6, MSG_NOSIGNAL) == 6) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    if (poll(&p, 1, 1000) == 1) n = recv(fd, reply, sizeof reply, 0);
  }
  close(fd);
  return n > 0 && (reply[0] == '+' || strncmp(reply, "-NOAUTH", 7) == 0);
}

static void show_log(const mg_test_redis *r) {
  char path[MG_TEST_PATH_BYTES + 16], out[2000];
  (void)snprintf(path, sizeof path, "%s/log", r->folder);
  const char *argv[] = {"tail", "-n", "8", path, NULL};
  (void)mg_test_run(argv, 2000, out, sizeof out);
  fprintf(stderr, "%s on port %d did not start:\n%s\n", r->program, r->port, out);
}

bool mg_test_redis_again(mg_test_redis *r) {
  char file[MG_TEST_PATH_BYTES + 16], log[MG_TEST_PATH_BYTES + 16];
  (void)snprintf(file, sizeof file, "%s/conf", r->folder);
  (void)snprintf(log, sizeof log, "%s/log", r->folder);
  pid_t parent = getpid(), pid = fork();
  if (pid == 0) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    (void)dup2(fd, 1);
    (void)dup2(fd, 2);
    (void)execlp(r->program, r->program, file, (char *)NULL);
    _exit(127);
  }
  if (pid < 0) return false;
  r->pid = pid;
  note_running(pid, true);
  for (mg_ms end = mg_now_ms() + READY_MS; mg_now_ms() < end; mg_test_pause(10)) {
    bool up = answers(r);
    if (waitpid(pid, NULL, WNOHANG) == pid) {
      note_running(pid, false);
      r->pid = 0;
      break;
    }
    if (up) return true;
  }
  show_log(r);
  mg_test_redis_kill(r);
  return false;
}

static bool start(mg_test_redis *r, const char *program, const char *listen, const char *config) {
  char file[MG_TEST_PATH_BYTES + 16];
  r->program = program;
  if (r->folder[0] == '\0' && !mg_test_folder(r->folder)) return false;
  (void)snprintf(r->unix_path, sizeof r->unix_path, "%s/socket", r->folder);
  (void)snprintf(file, sizeof file, "%s/conf", r->folder);
  for (int i = 0; i < 5; i++) { /* another program may take the port in between */
    FILE *f = fopen(file, "w");
    r->port = mg_test_port();
    if (f == NULL || r->port == 0) {
      if (f != NULL) (void)fclose(f);
      return false;
    }
    fprintf(f, "bind 127.0.0.1\ndir %s\n", r->folder);
    fprintf(f, listen, r->port, r->certificates, r->certificates, r->certificates);
    if (strcmp(program, "redis-server") == 0) {
      fprintf(f, "appendonly yes\nappendfsync everysec\nsave \"\"\nunixsocket %s\n", r->unix_path);
    }
    fprintf(f, "%s\n", config != NULL ? config : "");
    (void)fclose(f);
    if (mg_test_redis_again(r)) return true;
  }
  return false;
}

bool mg_test_redis_start(mg_test_redis *r, const char *config) {
  *r = (mg_test_redis){0};
  return start(r, "redis-server", "port %d\n", config);
}

bool mg_test_redis_start_tls(mg_test_redis *r, bool need_client, const char *config) {
  *r = (mg_test_redis){0};
  if (!mg_test_folder(r->certificates) || !mg_test_certificates(r->certificates)) return false;
  char more[1000];
  (void)snprintf(more, sizeof more, "tls-auth-clients %s\n%s", need_client ? "yes" : "no", config != NULL ? config : "");
  return start(r, "redis-server", "port 0\ntls-port %d\ntls-ca-cert-file %s/ca.crt\ntls-cert-file %s/server.crt\ntls-key-file %s/server.key\n", more);
}

static void end(mg_test_redis *r, int signal, int wait_ms) {
  if (r->pid <= 0) return;
  (void)kill(r->pid, SIGCONT);
  (void)kill(r->pid, signal);
  for (mg_ms limit = mg_now_ms() + wait_ms; waitpid(r->pid, NULL, WNOHANG) == 0; mg_test_pause(5)) {
    if (mg_now_ms() >= limit) (void)kill(r->pid, SIGKILL);
  }
  note_running(r->pid, false);
  r->pid = 0;
}

void mg_test_redis_stop(mg_test_redis *r) { end(r, SIGTERM, 10000); }

void mg_test_redis_kill(mg_test_redis *r) { end(r, SIGKILL, 10000); }

bool mg_test_redis_cli(const mg_test_redis *r, char *out, size_t size, ...) {
  char port[12], ca[MG_TEST_PATH_BYTES + 16], cert[MG_TEST_PATH_BYTES + 16], key[MG_TEST_PATH_BYTES + 16];
  const char *argv[48] = {"redis-cli", "-h", "127.0.0.1", "-p", port, "-e"};
  int n = 6;
  (void)snprintf(port, sizeof port, "%d", r->port);
  if (r->certificates[0] != '\0') {
    (void)snprintf(ca, sizeof ca, "%s/ca.crt", r->certificates);
    (void)snprintf(cert, sizeof cert, "%s/client.crt", r->certificates);
    (void)snprintf(key, sizeof key, "%s/client.key", r->certificates);
    const char *tls[] = {"--tls", "--cacert", ca, "--cert", cert, "--key", key};
    for (size_t i = 0; i < sizeof tls / sizeof *tls; i++) argv[n++] = tls[i];
  }
  if (r->password[0] != '\0') {
    const char *login[] = {"--no-auth-warning", "--user", r->user[0] != '\0' ? r->user : "default", "--pass", r->password};
    for (size_t i = 0; i < sizeof login / sizeof *login; i++) argv[n++] = login[i];
  }
  va_list ap;
  va_start(ap, size);
  for (const char *p = va_arg(ap, const char *); p != NULL && n < 47; p = va_arg(ap, const char *)) argv[n++] = p;
  va_end(ap);
  argv[n] = NULL;
  return mg_test_run(argv, 30000, out, size) == 0;
}

void mg_test_redis_options(const mg_test_redis *r, mg_options *o) {
  char path[MG_TEST_PATH_BYTES + 16];
  (void)mg_options_set_text(o, "connection.host", "localhost");
  (void)mg_options_set_int(o, "connection.port", r->port);
  if (r->user[0] != '\0') (void)mg_options_set_text(o, "connection.username", r->user);
  if (r->password[0] != '\0') (void)mg_options_set_text(o, "connection.password", r->password);
  if (r->certificates[0] == '\0') return;
  (void)mg_options_set_bool(o, "connection.ssl", true);
  static const char *const files[][2] = {
      {"connection.ssl_ca_location", "ca.crt"}, {"connection.ssl_certificate_location", "client.crt"}, {"connection.ssl_key_location", "client.key"}};
  for (size_t i = 0; i < 3; i++) {
    (void)snprintf(path, sizeof path, "%s/%s", r->certificates, files[i][1]);
    (void)mg_options_set_text(o, files[i][0], path);
  }
}

static bool wait_for(const mg_test_redis *r, const char *section, const char *text, int times) {
  char out[8000];
  for (mg_ms limit = mg_now_ms() + READY_MS; mg_now_ms() < limit; mg_test_pause(50)) {
    bool ok = section[0] == 'C'   ? mg_test_redis_cli(r, out, sizeof out, "CLUSTER", "INFO", (char *)NULL)
              : section[0] == 'N' ? mg_test_redis_cli(r, out, sizeof out, "CLUSTER", "NODES", (char *)NULL)
                                  : mg_test_redis_cli(r, out, sizeof out, "INFO", section, (char *)NULL);
    int found = 0;
    for (const char *p = out; ok && (p = strstr(p, text)) != NULL; p++) found++;
    if (found >= times) return true;
  }
  fprintf(stderr, "port %d never said \"%s\" %d times\n", r->port, text, times);
  return false;
}

bool mg_test_cluster_start(mg_test_cluster *c, int gone_ms) {
  char at[MG_TEST_NODES][32], out[8000], id[64], config[400];
  *c = (mg_test_cluster){0};
  (void)snprintf(config, sizeof config,
                 "cluster-enabled yes\ncluster-node-timeout %d\ncluster-config-file nodes\nrepl-diskless-sync-delay 0\n"
                 "cluster-migration-barrier 1\ncluster-allow-replica-migration no",
                 gone_ms);
  for (int i = 0; i < MG_TEST_NODES; i++) {
    if (!mg_test_redis_start(&c->nodes[i], config)) return false;
    (void)snprintf(at[i], sizeof at[i], "%d", c->nodes[i].port);
  }
  static const char *const ranges[3][2] = {{"0", "5460"}, {"5461", "10922"}, {"10923", "16383"}};
  for (int i = 0; i < MG_TEST_NODES; i++) {
    char epoch[16];
    (void)snprintf(epoch, sizeof epoch, "%d", i + 1);
    if (!mg_test_redis_cli(&c->nodes[i], out, sizeof out, "CLUSTER", "SET-CONFIG-EPOCH", epoch, (char *)NULL) ||
        (i < 3 && !mg_test_redis_cli(&c->nodes[i], out, sizeof out, "CLUSTER", "ADDSLOTSRANGE", ranges[i][0], ranges[i][1], (char *)NULL)) ||
        (i > 0 && !mg_test_redis_cli(&c->nodes[i], out, sizeof out, "CLUSTER", "MEET", "127.0.0.1", at[0], (char *)NULL))) {
      fprintf(stderr, "cluster: %s\n", out);
      return false;
    }
  }
  for (int i = 0; i < MG_TEST_NODES; i++) {
    if (!wait_for(&c->nodes[i], "NODES", "connected", MG_TEST_NODES)) return false;
  }
  for (int i = 3; i < MG_TEST_NODES; i++) {
    if (!mg_test_redis_cli(&c->nodes[i - 3], id, sizeof id, "CLUSTER", "MYID", (char *)NULL) ||
        !mg_test_redis_cli(&c->nodes[i], out, sizeof out, "CLUSTER", "REPLICATE", id, (char *)NULL)) {
      fprintf(stderr, "cluster: %s\n", out);
      return false;
    }
  }
  for (int i = 0; i < MG_TEST_NODES; i++) {
    if (!wait_for(&c->nodes[i], "CLUSTER", "cluster_state:ok", 1) || !wait_for(&c->nodes[i], "NODES", "slave", 3)) return false;
    if (i >= 3 && !wait_for(&c->nodes[i], "replication", "master_link_status:up", 1)) return false;
  }
  return true;
}

void mg_test_cluster_stop(mg_test_cluster *c) {
  for (int i = 0; i < MG_TEST_NODES; i++) mg_test_redis_kill(&c->nodes[i]);
}

int mg_test_cluster_owner(const mg_test_cluster *c, unsigned slot) {
  char out[8000];
  for (int i = 0; i < MG_TEST_NODES; i++) {
    if (c->nodes[i].pid == 0 || !mg_test_redis_cli(&c->nodes[i], out, sizeof out, "CLUSTER", "NODES", (char *)NULL)) continue;
    const char *me = strstr(out, "myself,master");
    me = me != NULL ? strstr(me, " connected") : NULL;
    if (me == NULL) continue;
    char line[1000];
    (void)snprintf(line, sizeof line, "%.*s", (int)strcspn(me, "\n"), me);
    /* "... connected 0-5460 7000": slot ranges come last */
    char *save = NULL;
    for (char *word = strtok_r(line, " ", &save); word != NULL; word = strtok_r(NULL, " ", &save)) {
      unsigned first, last;
      int got = sscanf(word, "%u-%u", &first, &last);
      bool number = strspn(word, "0123456789-") == strlen(word);
      if (number && got == 1 && strchr(word, '-') == NULL)
        last = first;
      else if (!number || got != 2)
        continue;
      if (strlen(word) < 12 && first <= slot && slot <= last && last <= 16383) return i;
    }
  }
  return -1;
}

bool mg_test_sentinel_start(mg_test_sentinel *s, int gone_ms) {
  char config[400];
  *s = (mg_test_sentinel){0};
  if (!mg_test_redis_start(&s->servers[0], "repl-diskless-sync-delay 0")) return false;
  (void)snprintf(config, sizeof config, "replicaof 127.0.0.1 %d\nrepl-diskless-sync-delay 0", s->servers[0].port);
  if (!mg_test_redis_start(&s->servers[1], config) || !wait_for(&s->servers[1], "replication", "master_link_status:up", 1)) return false;
  (void)snprintf(config, sizeof config,
                 "sentinel monitor mymaster 127.0.0.1 %d 1\nsentinel down-after-milliseconds mymaster %d\n"
                 "sentinel failover-timeout mymaster 3000\nsentinel parallel-syncs mymaster 1\n",
                 s->servers[0].port, gone_ms);
  return start(&s->sentinel, "redis-sentinel", "port %d\n", config) && wait_for(&s->sentinel, "sentinel", "slaves=1", 1);
}

void mg_test_sentinel_stop(mg_test_sentinel *s) {
  mg_test_redis_kill(&s->sentinel);
  for (int i = 0; i < 2; i++) mg_test_redis_kill(&s->servers[i]);
}
