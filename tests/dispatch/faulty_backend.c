#include "tests/dispatch/faulty_backend.h"

#include "tests/brokers/brokers.h"

#define REAL (&mg_memory_backend)

faulty_control faulty;

void faulty_reset(void) {
  atomic_store(&faulty.down, false);
  atomic_store(&faulty.refuse_open, false);
  atomic_store(&faulty.lose_every, 0);
  atomic_store(&faulty.again, 0);
  atomic_store(&faulty.hang_ms, 0);
  atomic_store(&faulty.calls, 0);
  atomic_store(&faulty.failed, 0);
  atomic_store(&faulty.publishes, 0);
  atomic_store(&faulty.opens, 0);
  atomic_store(&faulty.throttled, 0);
}

typedef enum fate { FINE, BEFORE, AFTER } fate;

static fate draw(void) {
  unsigned n = atomic_fetch_add(&faulty.calls, 1) + 1;
  int every = atomic_load(&faulty.lose_every);
  if (atomic_load(&faulty.down)) return BEFORE;
  if (every == 0 || n % (unsigned)every != 0) return FINE;
  atomic_fetch_add(&faulty.failed, 1);
  return n / (unsigned)every % 2 == 0 ? BEFORE : AFTER;
}

static mg_err broken(mg_error *e) { return mg_fail(e, MG_CONN, "the connection was reset by the test"); }

static mg_err faulty_open(mg_backend **out, const mg_backend_config *config, mg_ms until, mg_error *e) {
  atomic_fetch_add(&faulty.opens, 1);
  if (atomic_load(&faulty.refuse_open)) return mg_fail(e, MG_FATAL, "wrong password");
  if (atomic_load(&faulty.down)) return mg_fail(e, MG_CONN, "connection refused");
  return REAL->open(out, config, until, e);
}

static void all(mg_publish *p, mg_settle *s, size_t count, mg_err err) {
  for (size_t i = 0; i < count; i++) {
    if (p != NULL)
      p[i].err = err;
    else
      s[i].err = err;
  }
}

typedef mg_err (*publish_call)(mg_backend *, mg_publish *, size_t, mg_ms, mg_error *);
typedef mg_err (*settle_call)(mg_backend *, mg_settle *, size_t, mg_ms, mg_error *);

static mg_err publish(publish_call call, mg_backend *b, mg_publish *items, size_t count, mg_ms until, mg_error *e) {
  fate f = draw();
  if (atomic_fetch_sub(&faulty.again, 1) > 0) {
    all(items, NULL, count, MG_AGAIN);
    (void)mg_fail(e, MG_AGAIN, "the broker is out of memory");
    return MG_OK;
  }
  atomic_store(&faulty.again, 0);
  mg_err err = f == BEFORE ? MG_OK : call(b, items, count, until, e);
  if (f == FINE) return err;
  all(items, NULL, count, MG_CONN);
  return broken(e);
}

static mg_err settle(settle_call call, mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  fate f = draw();
  mg_err err = f == BEFORE ? MG_OK : call(b, items, count, until, e);
  if (f == FINE) return err;
  all(NULL, items, count, MG_CONN);
  return broken(e);
}

static mg_err publish_tasks(mg_backend *b, mg_publish *i, size_t n, mg_ms until, mg_error *e) {
  atomic_fetch_add(&faulty.publishes, 1);
  return publish(REAL->publish_tasks, b, i, n, until, e);
}
static mg_err publish_results(mg_backend *b, mg_publish *i, size_t n, mg_ms until, mg_error *e) { return publish(REAL->publish_results, b, i, n, until, e); }
static mg_err publish_dead(mg_backend *b, mg_publish *i, size_t n, mg_ms until, mg_error *e) { return publish(REAL->publish_dead, b, i, n, until, e); }
static mg_err extend(mg_backend *b, mg_settle *i, size_t n, mg_ms until, mg_error *e) { return settle(REAL->extend, b, i, n, until, e); }
static mg_err ack(mg_backend *b, mg_settle *i, size_t n, mg_ms until, mg_error *e) { return settle(REAL->ack, b, i, n, until, e); }
static mg_err nack(mg_backend *b, mg_settle *i, size_t n, mg_ms until, mg_error *e) { return settle(REAL->nack, b, i, n, until, e); }
static mg_err dead_letter(mg_backend *b, mg_settle *i, size_t n, mg_ms until, mg_error *e) { return settle(REAL->dead_letter, b, i, n, until, e); }
static mg_err ack_results(mg_backend *b, mg_settle *i, size_t n, mg_ms until, mg_error *e) { return settle(REAL->ack_results, b, i, n, until, e); }

static void hang(void) {
  int ms = atomic_exchange(&faulty.hang_ms, 0);
  if (ms > 0) mg_test_pause(ms);
}

static mg_err fetch_tasks(mg_backend *b, const mg_fetch *how, mg_batch *out, mg_error *e) {
  fate f = draw();
  hang();
  mg_err err = f == BEFORE ? MG_OK : REAL->fetch_tasks(b, how, out, e);
  return f == FINE ? err : broken(e);
}

static mg_err fetch_results(mg_backend *b, size_t max, mg_ms until, mg_batch *out, mg_error *e) {
  fate f = draw();
  hang();
  mg_err err = f == BEFORE ? MG_OK : REAL->fetch_results(b, max, until, out, e);
  return f == FINE ? err : broken(e);
}

static mg_err beat(mg_backend *b, mg_slice body, mg_ms ttl, mg_ms until, mg_error *e) {
  return draw() != FINE ? broken(e) : REAL->beat(b, body, ttl, until, e);
}
static mg_err read_beats(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e) { return draw() != FINE ? broken(e) : REAL->read_beats(b, until, out, e); }
static mg_err control(mg_backend *b, const char *subject, mg_slice body, mg_ms ttl, mg_ms until, mg_error *e) {
  return draw() != FINE ? broken(e) : REAL->control(b, subject, body, ttl, until, e);
}
static mg_err read_controls(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e) {
  return draw() != FINE ? broken(e) : REAL->read_controls(b, until, out, e);
}

static mg_err reclaim(mg_backend *b, const char *run, const char *worker, const char *const *tasks, size_t count, mg_ms until, mg_batch *out, mg_error *e) {
  fate f = draw();
  mg_err err = f == BEFORE ? MG_OK : REAL->reclaim(b, run, worker, tasks, count, until, out, e);
  if (f == AFTER) mg_batch_clear(out); /* the reply was lost: they are off the queue and nobody was told */
  return f == FINE ? err : broken(e);
}

static mg_err probe(mg_backend *b, const char *run, mg_probe *items, size_t count, mg_ms until, mg_error *e) {
  return draw() != FINE ? broken(e) : REAL->probe(b, run, items, count, until, e);
}
static mg_err depth(mg_backend *b, const char *run, mg_ms until, mg_depth *out, mg_error *e) {
  return draw() != FINE ? broken(e) : REAL->depth(b, run, until, out, e);
}
static mg_err purge_run(mg_backend *b, const char *run, mg_ms until, size_t *removed, mg_error *e) {
  return draw() != FINE ? broken(e) : REAL->purge_run(b, run, until, removed, e);
}
static mg_err quarantine(mg_backend *b, const char *worker, bool on, mg_ms ttl, mg_ms until, mg_error *e) {
  return draw() != FINE ? broken(e) : REAL->quarantine(b, worker, on, ttl, until, e);
}
static mg_err service(mg_backend *b, mg_ms until, mg_error *e) {
  if (draw() != FINE) return broken(e);
  hang();
  return REAL->service(b, until, e);
}
static mg_err stats(mg_backend *b, mg_ms until, mg_broker_stats *out, mg_error *e) {
  (void)b;
  (void)until;
  if (draw() != FINE) return broken(e);
  if (atomic_load(&faulty.throttled) == 0) return mg_fail(e, MG_FATAL, "this user may not ask");
  out->throttled = atomic_load(&faulty.throttled);
  out->lag = 7;
  return MG_OK;
}
static void faulty_close(mg_backend *b) { REAL->close(b); }
static void forget(mg_backend *b, mg_lease *lease) { REAL->forget(b, lease); }

enum { CAPABILITIES = MG_CAP_EXACT_DEPTH | MG_CAP_SKIP_RUNS | MG_CAP_NACK_DELAY | MG_CAP_DEDUPE | MG_CAP_EXTEND };

#define CALLS                                                                                                                                                  \
  .name = "memory", .open = faulty_open, .close = faulty_close, .publish_tasks = publish_tasks, .fetch_tasks = fetch_tasks, .extend = extend, .ack = ack,      \
  .nack = nack, .dead_letter = dead_letter, .forget = forget, .publish_results = publish_results, .fetch_results = fetch_results, .ack_results = ack_results,  \
  .beat = beat, .read_beats = read_beats, .control = control, .read_controls = read_controls, .reclaim = reclaim, .probe = probe, .depth = depth,              \
  .purge_run = purge_run, .quarantine = quarantine, .service = service, .publish_dead = publish_dead,    \
  .stats = stats

const mg_backend_ops faulty_backend = {.capabilities = CAPABILITIES | MG_CAP_RECLAIM, CALLS};
const mg_backend_ops resuming_backend = {.capabilities = CAPABILITIES | MG_CAP_RECLAIM | MG_CAP_RESUMES, CALLS};
const mg_backend_ops plain_backend = {.capabilities = CAPABILITIES, CALLS};
const mg_backend_ops unordered_backend = {.capabilities = CAPABILITIES | MG_CAP_UNORDERED, CALLS};
