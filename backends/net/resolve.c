#include "backends/net/resolve.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* getaddrinfo() takes no deadline, and a dead name server holds it for half a minute. So names are looked up in a thread
 * of their own that is left behind when the time is over; whoever leaves last frees the lookup. */
typedef struct lookup {
  pthread_mutex_t lock;
  pthread_cond_t ended;
  bool done, abandoned;
  int code, system_error;
  struct addrinfo *list;
  char port[8];
  char host[];
} lookup;

static int look_up(const char *host, const char *port, int flags, struct addrinfo **out) {
  struct addrinfo hints = {0};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  return getaddrinfo(host, port, &hints, out);
}

static void lookup_free(lookup *l) {
  if (l->list != NULL) freeaddrinfo(l->list);
  pthread_cond_destroy(&l->ended);
  pthread_mutex_destroy(&l->lock);
  free(l);
}

static void *lookup_main(void *arg) {
  lookup *l = arg;
  struct addrinfo *list = NULL;
  int code = look_up(l->host, l->port, AI_ADDRCONFIG, &list);
  /* AI_ADDRCONFIG ignores the loopback interface: a machine without a network would not know "localhost". */
  if (code == EAI_NONAME || code == EAI_ADDRFAMILY || code == EAI_NODATA) code = look_up(l->host, l->port, 0, &list);
  int error = errno;
  pthread_mutex_lock(&l->lock);
  l->code = code;
  l->system_error = error;
  l->list = code == 0 ? list : NULL;
  l->done = true;
  bool mine = l->abandoned;
  pthread_cond_signal(&l->ended);
  pthread_mutex_unlock(&l->lock);
  if (mine) lookup_free(l);
  return NULL;
}

static lookup *lookup_start(const char *host, const char *port) {
  size_t len = strlen(host) + 1;
  lookup *l = calloc(1, sizeof *l + len);
  if (l == NULL) return NULL;
  memcpy(l->host, host, len);
  (void)snprintf(l->port, sizeof l->port, "%s", port);
  pthread_condattr_t attr;
  pthread_condattr_init(&attr);
  pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
  pthread_mutex_init(&l->lock, NULL);
  pthread_cond_init(&l->ended, &attr);
  pthread_condattr_destroy(&attr);

  /* Signals belong to the threads that expect them. */
  sigset_t all, old;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  pthread_t id;
  int failed = pthread_create(&id, NULL, lookup_main, l);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  if (failed != 0) {
    lookup_free(l);
    return NULL;
  }
  pthread_detach(id);
  return l;
}

mg_err mg_resolve(const char *service, const char *host, int port, mg_ms until, struct addrinfo **out, mg_error *e) {
  char text[8];
  (void)snprintf(text, sizeof text, "%d", port);
  if (look_up(host, text, AI_NUMERICHOST, out) == 0) return MG_OK;

  lookup *l = lookup_start(host, text);
  if (l == NULL) return mg_fail(e, MG_NOMEM, "cannot look up %s: no memory or threads left", host);
  pthread_mutex_lock(&l->lock);
  struct timespec end = {.tv_sec = (time_t)(until / 1000), .tv_nsec = (long)(until % 1000) * 1000000};
  while (!l->done) {
    if (until == MG_NEVER) {
      pthread_cond_wait(&l->ended, &l->lock);
    } else if (pthread_cond_timedwait(&l->ended, &l->lock, &end) == ETIMEDOUT) {
      break;
    }
  }
  bool done = l->done;
  int code = l->code, error = l->system_error;
  if (done) {
    *out = l->list;
    l->list = NULL;
  } else {
    l->abandoned = true;
  }
  pthread_mutex_unlock(&l->lock);
  if (!done) {
    return mg_fail(e, MG_CONN, "cannot reach %s at %s:%d: the name server did not answer for this host name", service, host, port);
  }
  lookup_free(l);
  if (code == 0) return MG_OK;
  if (code == EAI_SYSTEM) return mg_fail_errno(e, MG_CONN, error, "cannot reach %s at %s:%d", service, host, port);
  mg_fail(e, MG_CONN, "cannot reach %s at %s:%d: host unknown (%s); check the host's name", service, host, port, gai_strerror(code));
  if (e != NULL) e->detail = code;
  return MG_CONN;
}
