#include "journal/journal.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { DELAY_MS = 20, ROW_BYTES = 1 << 20 /* more than this waits for nothing */, BEGIN_BYTES = 32 << 20 };

struct mg_journal {
  char *dir, *run;
  mg_fact *facts; /* owned copies, until the file is made */
  size_t fact_count;
  mg_ms begin_ms, delay_ms;
  pthread_t thread;

  pthread_mutex_t files; /* guards the store; taken before lock, never inside it */
  mg_runfile *store;

  pthread_mutex_t lock; /* guards what follows */
  pthread_cond_t wanted, done;
  mg_buf waiting; /* put and not yet taken */
  uint64_t waiting_records, waiting_cases;
  mg_ms oldest_ms; /* when the first of them was put */
  mg_ms taken_ms;  /* when the first of those was put that are being written; 0: none are */
  bool hurry, stopping, ended;
  mg_error error;
  char *given_up;
  void (*wake)(void *owner);
  void *owner;
  mg_journal_lag lag;

  atomic_bool begun, failed;
  _Atomic uint64_t put, durable;
  const char *path; /* set before begun */
};

/* --- the writer --- */

static void wait_until(mg_journal *j, mg_ms until) {
  struct timespec t = {.tv_sec = (time_t)(until / 1000), .tv_nsec = (long)(until % 1000) * 1000000};
  (void)pthread_cond_timedwait(&j->wanted, &j->lock, &t);
}

/* Until there is something to write: true; false: the end, and nothing is left. */
static bool next_row(mg_journal *j, bool first) {
  for (;;) {
    bool any = j->waiting.len > 0, now = j->hurry || j->waiting.len >= ROW_BYTES;
    if (first) now = j->waiting.len >= BEGIN_BYTES; /* an end before the beginning is the end */
    if (first && j->stopping) return false;
    if (j->stopping && !any) return false;
    mg_ms due = first ? j->begin_ms : j->oldest_ms + j->delay_ms;
    if (first && mg_now_ms() >= due) return true;
    if (any && (now || j->stopping || (!first && mg_now_ms() >= due))) return true;
    if (!any && !first) j->hurry = false;
    if (!any && !first)
      (void)pthread_cond_wait(&j->wanted, &j->lock);
    else
      wait_until(j, due);
  }
}

static void tell(mg_journal *j) {
  if (j->wake != NULL) j->wake(j->owner);
  (void)pthread_cond_broadcast(&j->done);
}

static bool begin(mg_journal *j) {
  mg_error e = {0};
  mg_runfile *store = NULL;
  (void)pthread_mutex_lock(&j->files);
  mg_err err = mg_runfile_create(&store, j->dir, j->run, j->facts, j->fact_count, &e);
  j->store = store;
  (void)pthread_mutex_unlock(&j->files);
  (void)pthread_mutex_lock(&j->lock);
  if (err == MG_OK) {
    j->path = mg_runfile_path(store);
    atomic_store(&j->begun, true);
  } else {
    j->given_up = strdup(e.text);
    mg_buf_fini(&j->waiting);
    tell(j);
  }
  (void)pthread_mutex_unlock(&j->lock);
  return err == MG_OK;
}

/* Commits what was taken; `taken` is the number of its last record. */
static bool commit(mg_journal *j, const mg_buf *row, uint64_t records, uint64_t cases, uint64_t taken) {
  mg_error e = {0};
  int64_t before = mg_now_ns();
  (void)pthread_mutex_lock(&j->files);
  mg_err err = row->failed ? mg_fail(&e, MG_NOMEM, "no memory for the journal") : mg_runfile_append(j->store, mg_buf_slice(row), records, cases, &e);
  (void)pthread_mutex_unlock(&j->files);
  (void)pthread_mutex_lock(&j->lock);
  if (err == MG_OK) {
    j->lag.last_commit_seconds = (double)(mg_now_ns() - before) / 1e9;
    j->lag.commits++;
    j->lag.written_records += records;
    j->lag.written_bytes += row->len;
    atomic_store(&j->durable, taken);
    j->taken_ms = 0;
  } else {
    j->error = e;
    atomic_store(&j->failed, true);
  }
  tell(j);
  (void)pthread_mutex_unlock(&j->lock);
  return err == MG_OK;
}

static void *writer(void *data) {
  mg_journal *j = data;
  mg_buf row = {0};
  bool going = true;
  while (going) {
    (void)pthread_mutex_lock(&j->lock);
    bool first = !atomic_load(&j->begun);
    going = next_row(j, first);
    if (going && first) {
      (void)pthread_mutex_unlock(&j->lock);
      going = begin(j);
      continue;
    }
    mg_buf taken = j->waiting;
    uint64_t records = j->waiting_records, cases = j->waiting_cases, number = atomic_load(&j->put);
    if (going) {
      mg_buf_clear(&row);
      j->waiting = row;
      row = taken;
      j->waiting_records = j->waiting_cases = 0;
      j->taken_ms = j->oldest_ms;
      j->hurry = false;
    }
    (void)pthread_mutex_unlock(&j->lock);
    if (going) going = commit(j, &row, records, cases, number);
  }
  (void)pthread_mutex_lock(&j->lock);
  j->ended = true;
  (void)pthread_cond_broadcast(&j->done);
  (void)pthread_mutex_unlock(&j->lock);
  mg_buf_fini(&row);
  return NULL;
}

/* --- life --- */

static void free_facts(mg_journal *j) {
  for (size_t i = 0; i < j->fact_count; i++) {
    free((void *)(uintptr_t)j->facts[i].key);
    free((void *)(uintptr_t)j->facts[i].value.data);
  }
  free(j->facts);
}

static bool copy_facts(mg_journal *j, const mg_fact *facts, size_t count) {
  j->facts = calloc(count + 1, sizeof *j->facts);
  if (j->facts == NULL) return false;
  for (; j->fact_count < count; j->fact_count++) {
    mg_fact *f = &j->facts[j->fact_count];
    uint8_t *value = malloc(facts[j->fact_count].value.len + 1);
    f->key = strdup(facts[j->fact_count].key);
    f->value = (mg_slice){value, facts[j->fact_count].value.len};
    if (value != NULL && f->value.len > 0) memcpy(value, facts[j->fact_count].value.data, f->value.len);
    if (value == NULL || f->key == NULL) {
      j->fact_count++;
      return false;
    }
  }
  return true;
}

static void discard(mg_journal *j) {
  mg_runfile_close(j->store);
  free_facts(j);
  free(j->dir);
  free(j->run);
  free(j->given_up);
  mg_buf_fini(&j->waiting);
  (void)pthread_cond_destroy(&j->wanted);
  (void)pthread_cond_destroy(&j->done);
  (void)pthread_mutex_destroy(&j->lock);
  (void)pthread_mutex_destroy(&j->files);
  free(j);
}

static mg_journal *journal_new(void) {
  mg_journal *j = calloc(1, sizeof *j);
  if (j == NULL) return NULL;
  pthread_condattr_t attr;
  (void)pthread_condattr_init(&attr);
  (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC); /* as mg_now_ms */
  (void)pthread_cond_init(&j->wanted, &attr);
  (void)pthread_cond_init(&j->done, &attr);
  (void)pthread_condattr_destroy(&attr);
  (void)pthread_mutex_init(&j->lock, NULL);
  (void)pthread_mutex_init(&j->files, NULL);
  j->delay_ms = DELAY_MS;
  return j;
}

static mg_err set_going(mg_journal **out, mg_journal *j, mg_error *e) {
  int rc = pthread_create(&j->thread, NULL, writer, j);
  if (rc != 0) {
    discard(j);
    return mg_fail_errno(e, MG_FATAL, rc, "no thread for the journal");
  }
  *out = j;
  return MG_OK;
}

mg_err mg_journal_start(mg_journal **out, const mg_journal_config *config, mg_error *e) {
  *out = NULL;
  mg_journal *j = journal_new();
  if (j == NULL) return mg_fail(e, MG_NOMEM, "memory ended");
  mg_err err = MG_OK;
  if (config->begin_after_ms > 0) {
    j->begin_ms = mg_now_ms() + config->begin_after_ms;
    j->dir = strdup(config->dir);
    j->run = strdup(config->run);
    if (!copy_facts(j, config->facts, config->fact_count) || j->dir == NULL || j->run == NULL) err = mg_fail(e, MG_NOMEM, "memory ended");
  } else {
    err = mg_runfile_create(&j->store, config->dir, config->run, config->facts, config->fact_count, e);
    if (err == MG_OK) j->path = mg_runfile_path(j->store);
    atomic_store(&j->begun, err == MG_OK);
  }
  if (config->delay_ms > 0) j->delay_ms = config->delay_ms;
  if (err == MG_OK) return set_going(out, j, e);
  discard(j);
  return err;
}

mg_err mg_journal_resume(mg_journal **out, mg_runfile *store, mg_error *e) {
  *out = NULL;
  mg_journal *j = journal_new();
  if (j == NULL) {
    mg_runfile_close(store);
    return mg_fail(e, MG_NOMEM, "memory ended");
  }
  j->store = store;
  j->path = mg_runfile_path(store);
  atomic_store(&j->begun, true);
  return set_going(out, j, e);
}

void mg_journal_free(mg_journal *j) {
  if (j == NULL) return;
  (void)pthread_mutex_lock(&j->lock);
  j->stopping = true;
  j->wake = NULL;
  (void)pthread_cond_signal(&j->wanted);
  (void)pthread_mutex_unlock(&j->lock);
  (void)pthread_join(j->thread, NULL);
  discard(j);
}

/* --- the owner --- */

void mg_journal_wake(mg_journal *j, void (*wake)(void *owner), void *owner) {
  (void)pthread_mutex_lock(&j->lock);
  j->wake = wake;
  j->owner = owner;
  (void)pthread_mutex_unlock(&j->lock);
}

mg_err mg_journal_read(mg_journal *j, mg_runfile_each *each, void *owner, mg_error *e) {
  (void)pthread_mutex_lock(&j->files);
  mg_err err = mg_runfile_read(j->store, each, owner, e);
  (void)pthread_mutex_unlock(&j->files);
  return err;
}

uint64_t mg_journal_put(mg_journal *j, const mg_record *r, uint64_t cases) {
  (void)pthread_mutex_lock(&j->lock);
  uint64_t number = atomic_load(&j->put) + 1;
  atomic_store(&j->put, number);
  bool first = j->waiting.len == 0;
  if (j->given_up == NULL && !atomic_load(&j->failed)) {
    if (first) j->oldest_ms = mg_now_ms();
    mg_record_put(&j->waiting, r);
    j->waiting_records++;
    j->waiting_cases += cases;
    if (first || j->waiting.len >= ROW_BYTES) (void)pthread_cond_signal(&j->wanted);
  }
  (void)pthread_mutex_unlock(&j->lock);
  return number;
}

uint64_t mg_journal_durable(const mg_journal *j) {
  /* Before there is a file nothing of the run would outlive its process anyway. */
  return atomic_load(&j->begun) ? atomic_load(&j->durable) : UINT64_MAX;
}

bool mg_journal_failed(const mg_journal *j, mg_error *e) {
  if (!atomic_load(&j->failed)) return false;
  if (e != NULL) *e = j->error; /* written once, before failed */
  return true;
}

mg_err mg_journal_sync(mg_journal *j, mg_error *e) {
  (void)pthread_mutex_lock(&j->lock);
  uint64_t number = atomic_load(&j->put);
  while (atomic_load(&j->begun) && !atomic_load(&j->failed) && !j->ended && atomic_load(&j->durable) < number) {
    j->hurry = true;
    (void)pthread_cond_signal(&j->wanted);
    (void)pthread_cond_wait(&j->done, &j->lock);
  }
  mg_err err = atomic_load(&j->failed) ? j->error.code : MG_OK;
  if (err != MG_OK && e != NULL) *e = j->error;
  (void)pthread_mutex_unlock(&j->lock);
  return err;
}

mg_err mg_journal_set(mg_journal *j, const mg_fact *facts, size_t count, mg_error *e) {
  mg_err err = mg_journal_sync(j, e);
  if (err != MG_OK || !atomic_load(&j->begun)) return err;
  (void)pthread_mutex_lock(&j->files);
  err = mg_runfile_set(j->store, facts, count, e);
  (void)pthread_mutex_unlock(&j->files);
  return err;
}

const char *mg_journal_given_up(const mg_journal *j) {
  mg_journal *m = (mg_journal *)(uintptr_t)j;
  (void)pthread_mutex_lock(&m->lock);
  const char *why = j->given_up; /* set once */
  (void)pthread_mutex_unlock(&m->lock);
  return why;
}

const char *mg_journal_path(const mg_journal *j) { return atomic_load(&j->begun) ? j->path : NULL; }

void mg_journal_lag_of(const mg_journal *j, mg_journal_lag *out) {
  mg_journal *m = (mg_journal *)(uintptr_t)j;
  (void)pthread_mutex_lock(&m->lock);
  *out = j->lag;
  out->waiting_records = j->waiting_records;
  out->waiting_bytes = j->waiting.len;
  if (atomic_load(&j->begun)) {
    out->unwritten_records = atomic_load(&j->put) - atomic_load(&j->durable);
    out->oldest_ms = j->taken_ms > 0 ? j->taken_ms : j->waiting.len > 0 ? j->oldest_ms : 0;
  }
  (void)pthread_mutex_unlock(&m->lock);
}
