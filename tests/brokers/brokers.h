/* brokers.h - real servers for tests: started on free ports of 127.0.0.1 in temporary folders, stopped by their process ids.
 *
 * A server dies with the test's process, and its folder goes at exit. Functions that start something print why and return
 * false where they cannot. One thread. */
#ifndef MG_TESTS_BROKERS_H
#define MG_TESTS_BROKERS_H

#include "base/options.h"
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { MG_TEST_PATH_BYTES = 160 };

void mg_test_pause(int ms);

/* A folder of its own below TMPDIR or /tmp; removed at exit. */
bool mg_test_folder(char out[MG_TEST_PATH_BYTES]);
/* A free TCP port; its bus port (+10000) is free too. 0 where there is none. */
int mg_test_port(void);
/* Runs argv (NULL at its end), waits at most wait_ms, keeps the end-trimmed output (stdout and stderr). The exit status, or -1. */
int mg_test_run(const char *const *argv, int wait_ms, char *out, size_t size);
/* Starts a server: output goes to the file log, it dies with this process. Its process id, or -1. */
pid_t mg_test_spawn(const char *log, const char *const *argv);
/* Until each of the ports takes connections (0: none there), the process ends, or wait_ms pass. *pid is 0 where it has ended. */
bool mg_test_listens(pid_t *pid, const int *ports, size_t count, int wait_ms);
/* Sends the signal and waits until it has gone, by SIGKILL after a while. */
void mg_test_end(pid_t *pid, int signal_number);
void mg_test_show_tail(const char *log); /* its last lines, on stderr */
/* ca.crt, server.crt + server.key (localhost, 127.0.0.1), client.crt + client.key, other-ca.crt, made by the openssl program. */
bool mg_test_certificates(const char *folder);

/* Runs run(i, owner) for each name in a process of its own, all at once, since tests of brokers mostly wait; shows their output one after
 * the other, each under "--- title NAME: ok". A process that is not done after limit_s ends. Returns how many failed: run gave another
 * value than 0, or died. */
int mg_test_beside(const char *title, const char *const *names, int count, int (*run)(int i, void *owner), void *owner, int limit_s);

typedef struct mg_test_redis {
  pid_t pid; /* 0: not running */
  int port;  /* TLS where certificates is set */
  char folder[MG_TEST_PATH_BYTES];
  char unix_path[MG_TEST_PATH_BYTES + 16];
  char certificates[MG_TEST_PATH_BYTES]; /* folder of the certificates; "" plain */
  char user[64], password[64];           /* for redis-cli; "" none */
  const char *program;                   /* "redis-server", "redis-sentinel" */
} mg_test_redis;

/* A server with AOF on, listening on a port and a unix socket. config: more lines for its file, or NULL. */
bool mg_test_redis_start(mg_test_redis *r, const char *config);
/* The same with TLS on the port; need_client: a client certificate is asked for. */
bool mg_test_redis_start_tls(mg_test_redis *r, bool need_client, const char *config);
bool mg_test_redis_again(mg_test_redis *r); /* after stop or kill: same folder, port and data */
void mg_test_redis_stop(mg_test_redis *r);  /* SIGTERM: writes what it has */
void mg_test_redis_kill(mg_test_redis *r);  /* SIGKILL */
/* redis-cli with these arguments up to NULL; the reply without its line end, false where it is an error. */
bool mg_test_redis_cli(const mg_test_redis *r, char *out, size_t size, ...) __attribute__((sentinel));
/* Sets the options that reach it: port, TLS files, user. */
void mg_test_redis_options(const mg_test_redis *r, mg_options *o);

enum { MG_TEST_NODES = 6 };
typedef struct mg_test_cluster {
  mg_test_redis nodes[MG_TEST_NODES]; /* three masters first, then three replicas */
} mg_test_cluster;
/* How long a master is silent before it counts as gone: for tests that take it away, and for those where nobody may go, however busy the machine is:
 * a replica that takes over lacks what was written last. */
enum { MG_TEST_GONE_SOON_MS = 1000, MG_TEST_GONE_LATE_MS = 60000 };

/* Three masters and three replicas, healthy. */
bool mg_test_cluster_start(mg_test_cluster *c, int gone_ms);
void mg_test_cluster_stop(mg_test_cluster *c);
/* Index of the running node that has the slot; -1 where none says so. */
int mg_test_cluster_owner(const mg_test_cluster *c, unsigned slot);

typedef struct mg_test_sentinel {
  mg_test_redis servers[2], sentinel; /* at first servers[0] is the master "mymaster" */
} mg_test_sentinel;
bool mg_test_sentinel_start(mg_test_sentinel *s, int gone_ms);
void mg_test_sentinel_stop(mg_test_sentinel *s);

#endif
