/* doctor.c - `mguard doctor [PLAN]`: is this machine, this plan and this broker fit for a run? Each line with what mends it. */
#include "base/hash.h"
#include "base/ident.h"
#include "cli/args.h"
#include "cli/cli.h"
#include "cli/console.h"
#include "cli/session.h"
#include "script/plan.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static const mg_flag flags[] = {MG_CONSOLE_FLAGS, {NULL, NULL, NULL, NULL}};

static const mg_command command = {"doctor",
                                   "[PLAN]",
                                   "Looks at this machine, at PLAN (or checks) and at the broker, and says of each thing whether it is ok, with what mends it.",
                                   "The queue is the plan's, or that of --backend and --queue-config. Nothing is changed; one message goes through the queue and is removed.\n"
                                   "Exit code: 0 all is ok, 1 there are warnings, 2 something will not work.",
                                   flags,
                                   0,
                                   1};

enum { OK = MG_FINDING_OK, WARN = MG_FINDING_WARN, FAIL = MG_FINDING_FAIL };

typedef struct doctor {
  const mg_args *args;
  json_t *list; /* with --json */
  int worst;
  mg_ms timeout_ms;
} doctor;

static void keep(void *owner, const mg_finding *f) {
  static const char *const words[] = {"ok", "warn", "fail"};
  doctor *d = owner;
  if ((int)f->level > d->worst) d->worst = (int)f->level;
  if (d->list != NULL) {
    json_t *mend = f->mend != NULL ? mg_json_plain(f->mend) : json_null();
    json_array_append_new(d->list, json_pack("{s:s, s:s, s:o, s:o}", "check", f->check, "level", words[f->level], "text", mg_json_plain(f->text), "mend", mend));
    return;
  }
  char plain[1024];
  size_t len = strlen(f->text);
  mg_console_plain(plain, f->text, len < sizeof plain ? len : sizeof plain - 1);
  (void)printf("%-5s %-15s %s\n", words[f->level], f->check, plain);
  if (f->mend != NULL && f->level != MG_FINDING_OK) (void)printf("%-21s mend: %s\n", "", f->mend);
  (void)fflush(stdout);
}

__attribute__((format(printf, 5, 6))) static void say(doctor *d, int level, const char *check, const char *mend, const char *format, ...) {
  char text[1024];
  va_list ap;
  va_start(ap, format);
  (void)vsnprintf(text, sizeof text, format, ap);
  va_end(ap);
  keep(d, &(mg_finding){(mg_finding_level)level, check, text, mend});
}

/* ---- this machine ---- */

static void machine(doctor *d) {
  long cores = sysconf(_SC_NPROCESSORS_ONLN), pages = sysconf(_SC_AVPHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  double free_mb = (double)pages * (double)page / 1048576;
  say(d, OK, "machine", NULL, "%ld cores, %.0f MB of memory are free", cores, free_mb);
  struct rlimit files;
  if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
    rlim_t needed = 64 + 8 * (rlim_t)(cores > 0 ? cores : 1); /* sockets, pipes and shared memory of an executor and its program, twice over */
    bool few = files.rlim_cur < needed;
    say(d, few ? FAIL : OK, "open files", few ? "ulimit -n 1024" : NULL, "at most %llu, %llu are needed", (unsigned long long)files.rlim_cur,
        (unsigned long long)needed);
  }
  int fd = memfd_create("mguard-doctor", MFD_CLOEXEC);
  void *shared = fd >= 0 && ftruncate(fd, page) == 0 ? mmap(NULL, (size_t)page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) : MAP_FAILED;
  say(d, shared != MAP_FAILED ? OK : FAIL, "shared memory", shared != MAP_FAILED ? NULL : "memory for memfd_create in the container's limits",
      shared != MAP_FAILED ? "can be had: a case that crashes or hangs costs that case alone" : "cannot be had: executors cannot be watched");
  if (shared != MAP_FAILED) (void)munmap(shared, (size_t)page);
  if (fd >= 0) (void)close(fd);
}

/* ---- the plan ---- */

static void executors(doctor *d, const char *script, const mg_plan *p) {
  mg_error e;
  mg_session *session = NULL;
  mg_buf overrides = {0};
  mg_args_overrides(d->args, &command, &overrides);
  mg_ms begin = mg_now_ms();
  mg_err err = mg_session_open(&session, script, mg_buf_slice(&overrides), false, &e);
  mg_session_close(session);
  mg_buf_fini(&overrides);
  if (err != MG_OK)
    say(d, FAIL, "executor", "mguard check says more", "the script cannot serve: %s", e.text);
  else
    say(d, OK, "executor", NULL, "starts, loads the script and generates a case in %lld ms", (long long)(mg_now_ms() - begin));
  char hex[2 * sizeof p->fingerprint + 1];
  mg_hex(p->fingerprint, sizeof p->fingerprint, hex);
  say(d, OK, "fingerprint", NULL, "%.16s; workers must have the same files", hex);
}

static void times(doctor *d, const mg_plan *p, const mg_options *o) {
  double lease = (double)mg_options_int(o, "lease_seconds", 60), timeout = mg_options_real(o, "heartbeat_timeout", 30);
  if (timeout > lease / 2 + 1e-9)
    say(d, WARN, "heartbeats", "heartbeat_timeout = half of lease_seconds", "heartbeat_timeout of %g s is more than half of lease_seconds (%g): a lost worker is noticed late", timeout,
        lease);
  else
    say(d, OK, "heartbeats", NULL, "a lost worker is noticed after %g s, leases last %g s and are extended while work goes on", timeout, lease);
  if (p == NULL || !p->is_plan) return;
  int roles = p->baseline != NULL ? 2 : 1;
  double task = (double)p->case_timeout_ms / 1000 * roles;
  mg_error e = {0};
  if (mg_backend_check_hold(o, p->case_timeout_ms, roles, 0, &e) != MG_OK)
    say(d, FAIL, "case time", "what the message names: mguard run and mguard worker refuse to begin so", "%s", e.text);
  else if (task > lease)
    say(d, OK, "case time", NULL, "a case may take %g s, longer than a lease of %g s: leases are extended by the worker's heartbeat", task, lease);
}

/* ---- the broker ---- */

/* A message to a run of our own, through its results: workers of others never see it. */
static void loop_back(doctor *d, mg_console *c) {
  char run[MG_RUN_ID_BYTES];
  mg_error e;
  mg_backend *coordinator = NULL;
  mg_batch got = {0};
  mg_run_id_make(mg_wall_ms(), run);
  mg_backend_config config = {.options = c->queue, .identity = c->identity, .run = run, .wake_fd = -1};
  mg_err err = c->ops->open(&coordinator, &config, mg_console_until(c), &e);
  mg_publish message = {.run = run, .task = "doctor", .attempt = 1, .body = mg_slice_of("doctor"), .err = MG_FATAL};
  mg_ms begin = mg_now_ms(), end = begin + d->timeout_ms;
  if (err == MG_OK) err = c->ops->publish_results(c->backend, &message, 1, end, &e);
  while (err == MG_OK && got.count == 0 && mg_now_ms() < end) err = c->ops->fetch_results(coordinator, 1, end, &got, &e);
  mg_ms elapsed = mg_now_ms() - begin;
  if (err == MG_OK && got.count == 0) err = mg_fail(&e, MG_TIMEOUT, "it did not come back within %lld ms", (long long)d->timeout_ms);
  if (err == MG_OK && (got.items[0].body.len != 6 || memcmp(got.items[0].body.data, "doctor", 6) != 0)) err = mg_fail(&e, MG_FATAL, "another message came back");
  mg_settle settle = {.lease = got.count > 0 ? got.items[0].lease : NULL, .err = MG_OK};
  if (err == MG_OK) err = c->ops->ack_results(coordinator, &settle, 1, mg_console_until(c), &e);
  if (err == MG_OK)
    say(d, OK, "round trip", NULL, "a message went through the queue and back in %lld ms", (long long)elapsed);
  else
    say(d, FAIL, "round trip", "rights to write and read what docs/operations/queue-dispatch.md lists", "a message through the queue: %s", e.text);
  mg_batch_clear(&got);
  if (coordinator != NULL) {
    size_t removed;
    (void)c->ops->purge_run(coordinator, run, mg_console_until(c), &removed, NULL);
    c->ops->close(coordinator);
  }
}

static void backlog(doctor *d, mg_console *c) {
  mg_depth depth;
  mg_error e;
  if (c->ops->depth(c->backend, NULL, mg_console_until(c), &depth, &e) != MG_OK) {
    say(d, WARN, "depth", "rights to read the queue's depth", "cannot be read: %s", e.text);
    return;
  }
  if (depth.pending >= 0) say(d, OK, "depth", NULL, "%" PRId64 " tasks wait", depth.pending);
  if (depth.dead > 0) say(d, WARN, "dead letters", "mguard dlq list", "%" PRId64 " tasks that no worker could run", depth.dead);
}

static void broker(doctor *d, mg_console *c) {
  const char *name = mg_options_text(c->queue, "backend", "memory"), *why = NULL;
  mg_error e;
  c->ops = mg_backend_find(name, &why);
  if (c->ops == NULL) {
    say(d, FAIL, "backend", "build mguard where its client library is installed", "%s: %s", name, why);
    return;
  }
  if ((c->ops->capabilities & MG_CAP_SHARED) == 0) {
    say(d, OK, "backend", NULL, "%s: tasks stay in this process, there is no broker to look at", name);
    return;
  }
  mg_ms begin = mg_now_ms();
  mg_worker_name_make(c->identity, sizeof c->identity);
  mg_backend_config config = {.options = c->queue, .identity = c->identity, .wake_fd = -1};
  if (c->ops->open(&c->backend, &config, mg_console_until(c), &e) != MG_OK) {
    say(d, FAIL, "reachable", NULL, "%s", e.text);
    return;
  }
  say(d, OK, "reachable", NULL, "%s answers; connecting took %lld ms", name, (long long)(mg_now_ms() - begin));
  if (c->ops->examine != NULL && c->ops->examine(c->backend, keep, d, mg_console_until(c), &e) != MG_OK)
    say(d, FAIL, "examination", NULL, "it ended early: %s", e.text);
  backlog(d, c);
  loop_back(d, c);
}

/* ---- all of it ---- */

static void look(doctor *d, mg_console *c, const char *script) {
  mg_error e;
  machine(d);
  if (script != NULL) {
    mg_buf overrides = {0};
    mg_args_overrides(d->args, &command, &overrides);
    if (mg_plan_load(&c->plan, script, overrides.data, overrides.len, &e) != MG_OK) {
      say(d, FAIL, "script", "the file and line named", "%s", e.text);
    } else {
      c->queue = c->plan->queue;
      executors(d, script, c->plan);
    }
    mg_buf_fini(&overrides);
  } else if (mg_args_get(d->args, &command, "backend") != NULL || mg_args_get(d->args, &command, "queue-config") != NULL) {
    if (mg_queue_load(&c->queue, mg_args_get(d->args, &command, "backend"), mg_args_get(d->args, &command, "queue-config"), &e) != MG_OK)
      say(d, FAIL, "configuration", "docs/reference/configuration.md lists every key", "%s", e.text);
  }
  if (c->queue == NULL) return;
  if (strcmp(mg_options_text(c->queue, "backend", "memory"), "memory") != 0) times(d, c->plan, c->queue);
  broker(d, c);
}

int mg_cli_doctor(int argc, char **argv) {
  mg_args a;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  double timeout;
  if (!mg_args_number(&a, &command, "timeout", 0.1, 3600, 10, &timeout)) return MG_EXIT_USAGE;
  mg_console c = {.command = &command, .json = mg_args_get(&a, &command, "json") != NULL, .timeout_ms = (mg_ms)(timeout * 1000)};
  doctor d = {.args = &a, .list = c.json ? json_array() : NULL, .timeout_ms = c.timeout_ms};
  look(&d, &c, a.positional_count > 0 ? a.positional[0] : NULL);
  mg_console_close(&c);
  if (c.json) (void)mg_console_print(&c, json_pack("{s:o, s:i}", "checks", d.list, "exit_code", d.worst));
  return d.worst;
}
