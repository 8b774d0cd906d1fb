#include "journal/runfile.h"

#include "base/clock.h"
#include "base/hash.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <lz4.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_MS = 5000, APPLICATION_ID = 0x6d677264 /* "mgrd" */, ROW_BYTES_MAX = 256 << 20 };

struct mg_runfile {
  char *path;
  int fd; /* write: holds the lock; -1 */
  sqlite3 *db;
  sqlite3_stmt *append;
  char *packed;
  size_t packed_cap;
};

/* --- words --- */

static mg_err complain(const mg_runfile *s, int rc, const char *what, mg_error *e) {
  bool ours = rc != SQLITE_CORRUPT && rc != SQLITE_NOTADB && s->db != NULL;
  int system = ours ? sqlite3_system_errno(s->db) : 0;
  const char *why = s->db != NULL ? sqlite3_errmsg(s->db) : sqlite3_errstr(rc);
  if (system == ENOSPC || system == EDQUOT) rc = SQLITE_FULL; /* while it makes its own files it says I/O error */
  switch (rc & 0xff) {
  case SQLITE_FULL: return mg_fail(e, MG_FATAL, "the journal %s cannot be %s: the disk is full; make room there", s->path, what);
  case SQLITE_NOTADB:
  case SQLITE_CORRUPT: return mg_fail(e, MG_FATAL, "the journal %s is damaged (%s)", s->path, why);
  case SQLITE_BUSY:
  case SQLITE_LOCKED: return mg_fail(e, MG_AGAIN, "the journal %s is in use by another process", s->path);
  case SQLITE_NOMEM: return mg_fail(e, MG_NOMEM, "no memory for the journal %s", s->path);
  case SQLITE_READONLY:
  case SQLITE_CANTOPEN:
  case SQLITE_PERM: return mg_fail(e, MG_ARG, "the journal %s cannot be %s: %s", s->path, what, system != 0 ? strerror(system) : why);
  default: return mg_fail(e, MG_FATAL, "the journal %s cannot be %s: %s%s%s", s->path, what, why, system != 0 ? ", " : "", system != 0 ? strerror(system) : "");
  }
}

static mg_err run_sql(mg_runfile *s, const char *sql, const char *what, mg_error *e) {
  int rc = sqlite3_exec(s->db, sql, NULL, NULL, NULL);
  return rc == SQLITE_OK ? MG_OK : complain(s, rc, what, e);
}

/* --- the file --- */

static char *path_of(const char *dir, const char *run, const char *end) {
  size_t n = strlen(dir) + strlen(run) + strlen(end) + 2;
  char *path = malloc(n);
  if (path != NULL) (void)snprintf(path, n, "%s/%s%s", dir, run, end);
  return path;
}

static mg_err make_dirs(const char *dir, mg_error *e) {
  char *path = strdup(dir);
  mg_err err = path == NULL ? mg_fail(e, MG_NOMEM, "memory ended") : MG_OK;
  for (char *at = path == NULL ? NULL : path + 1; err == MG_OK; at++) {
    if (*at != '/' && *at != '\0') continue;
    bool end = *at == '\0';
    *at = '\0';
    if (mkdir(path, 0777) != 0 && errno != EEXIST) {
      err = mg_fail_errno(e, MG_ARG, errno, "the journal's folder %s cannot be made; --state-dir names another one, --no-journal does without", path);
    }
    if (end) break;
    *at = '/';
  }
  free(path);
  return err;
}

/* The lock ends with the descriptor. flock and SQLite's own locks (fcntl) do not know each other; but closing any descriptor of a file ends the fcntl locks
 * of the whole process, so this one is closed after the database. */
static mg_err lock(mg_runfile *s, int flags, mg_error *e) {
  s->fd = open(s->path, flags | O_RDWR | O_CLOEXEC, 0600);
  if (s->fd < 0 && errno == ENOENT && (flags & O_CREAT) == 0) return mg_fail(e, MG_ARG, "there is no journal %s", s->path);
  if (s->fd < 0)
    return mg_fail_errno(e, MG_ARG, errno, "the journal %s cannot be written; --state-dir names another folder, --no-journal does without", s->path);
  if (flock(s->fd, LOCK_EX | LOCK_NB) == 0) return MG_OK;
  return errno == EWOULDBLOCK ? mg_fail(e, MG_AGAIN, "another coordinator is on this run: it holds the journal %s", s->path)
                              : mg_fail_errno(e, MG_FATAL, errno, "the journal %s cannot be locked", s->path);
}

static mg_err open_db(mg_runfile *s, bool create, mg_error *e) {
  int rc = sqlite3_open_v2(s->path, &s->db, SQLITE_OPEN_READWRITE | (create ? SQLITE_OPEN_CREATE : 0), NULL);
  if (rc != SQLITE_OK) return complain(s, rc, "opened", e);
  (void)sqlite3_extended_result_codes(s->db, 1);
  (void)sqlite3_busy_timeout(s->db, BUSY_MS);
  return MG_OK;
}

static mg_runfile *store_new(const char *dir, const char *run) {
  mg_runfile *s = calloc(1, sizeof *s);
  if (s == NULL) return NULL;
  s->fd = -1;
  s->path = path_of(dir, run, ".db");
  if (s->path != NULL) return s;
  free(s);
  return NULL;
}

void mg_runfile_close(mg_runfile *s) {
  if (s == NULL) return;
  (void)sqlite3_finalize(s->append);
  (void)sqlite3_close(s->db);
  if (s->fd >= 0) (void)close(s->fd);
  free(s->packed);
  free(s->path);
  free(s);
}

const char *mg_runfile_path(const mg_runfile *s) { return s->path; }

/* A new name in a folder outlives a power cut only once the folder is written too. */
static mg_err sync_dir(const char *dir, mg_error *e) {
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int rc = fd < 0 ? -1 : fsync(fd);
  int why = errno;
  if (fd >= 0) (void)close(fd);
  return rc == 0 ? MG_OK : mg_fail_errno(e, MG_FATAL, why, "the journal's folder %s cannot be written to disk", dir);
}

static const char schema[] = "CREATE TABLE facts(key TEXT PRIMARY KEY, value BLOB NOT NULL, hash INTEGER NOT NULL) WITHOUT ROWID;"
                             "CREATE TABLE rows(id INTEGER PRIMARY KEY, written_ms INTEGER NOT NULL, records INTEGER NOT NULL, cases INTEGER NOT NULL,"
                             " bytes INTEGER NOT NULL, hash INTEGER NOT NULL, data BLOB NOT NULL);";

static mg_err fill(mg_runfile *s, const mg_fact *facts, size_t count, mg_error *e) {
  char sql[128];
  mg_err err = run_sql(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; BEGIN IMMEDIATE;", "made", e);
  if (err == MG_OK) err = run_sql(s, schema, "made", e);
  (void)snprintf(sql, sizeof sql, "PRAGMA application_id=%d; PRAGMA user_version=%d;", APPLICATION_ID, MG_RUNFILE_FORMAT);
  if (err == MG_OK) err = run_sql(s, sql, "made", e);
  if (err == MG_OK) err = mg_runfile_set(s, facts, count, e);
  if (err == MG_OK) err = run_sql(s, "COMMIT", "made", e);
  return err;
}

mg_err mg_runfile_create(mg_runfile **out, const char *dir, const char *run, const mg_fact *facts, size_t count, mg_error *e) {
  *out = NULL;
  mg_err err = make_dirs(dir, e);
  if (err != MG_OK) return err;
  mg_runfile *s = store_new(dir, run);
  if (s == NULL) return mg_fail(e, MG_NOMEM, "memory ended");
  err = lock(s, O_CREAT | O_EXCL, e);
  bool made = err == MG_OK;
  if (err == MG_OK) err = open_db(s, true, e);
  if (err == MG_OK) err = fill(s, facts, count, e);
  if (err == MG_OK) err = sync_dir(dir, e);
  if (err == MG_OK) {
    *out = s;
    return MG_OK;
  }
  if (made) (void)unlink(s->path);
  mg_runfile_close(s);
  return err;
}

/* Is it one of ours, of a format that is known, and was its making finished? */
static mg_err recognise(mg_runfile *s, mg_error *e) {
  sqlite3_stmt *q = NULL;
  int rc = sqlite3_prepare_v2(s->db, "SELECT (SELECT application_id FROM pragma_application_id), (SELECT user_version FROM pragma_user_version)", -1, &q, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(q);
  int64_t application = rc == SQLITE_ROW ? sqlite3_column_int64(q, 0) : 0, format = rc == SQLITE_ROW ? sqlite3_column_int64(q, 1) : 0;
  (void)sqlite3_finalize(q);
  if (rc != SQLITE_ROW) return complain(s, rc, "read", e);
  if (application == 0 && format == 0)
    return mg_fail(e, MG_LOST, "the journal %s is empty: its run ended before anything was recorded; start the run again", s->path);
  if (application != APPLICATION_ID) return mg_fail(e, MG_FATAL, "%s is no journal of mguard", s->path);
  if (format > MG_RUNFILE_FORMAT) return mg_fail(e, MG_UNSUPPORTED, "the journal %s was written by a newer mguard (format %" PRId64 ")", s->path, format);
  return MG_OK;
}

mg_err mg_runfile_open(mg_runfile **out, const char *dir, const char *run, bool write, mg_error *e) {
  *out = NULL;
  mg_runfile *s = store_new(dir, run);
  if (s == NULL) return mg_fail(e, MG_NOMEM, "memory ended");
  mg_err err = MG_OK;
  if (write)
    err = lock(s, 0, e);
  else if (access(s->path, R_OK) != 0)
    err = errno == ENOENT ? mg_fail(e, MG_ARG, "there is no journal %s", s->path) : mg_fail_errno(e, MG_ARG, errno, "the journal %s cannot be read", s->path);
  if (err == MG_OK) err = open_db(s, false, e);
  if (err == MG_OK) err = recognise(s, e);
  if (err == MG_OK && write) err = run_sql(s, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", "opened", e);
  if (err == MG_OK)
    *out = s;
  else
    mg_runfile_close(s);
  return err;
}

/* --- facts --- */

static int64_t hash_of(mg_slice data) {
  uint64_t low, high;
  mg_xxh3_128(data.data, data.len, &low, &high);
  return (int64_t)low;
}

mg_err mg_runfile_set(mg_runfile *s, const mg_fact *facts, size_t count, mg_error *e) {
  sqlite3_stmt *q = NULL;
  bool own = sqlite3_get_autocommit(s->db) != 0;
  mg_err err = own ? run_sql(s, "BEGIN IMMEDIATE", "written", e) : MG_OK;
  if (err != MG_OK) return err;
  int rc = sqlite3_prepare_v2(s->db, "INSERT OR REPLACE INTO facts VALUES(?, ?, ?)", -1, &q, NULL);
  for (size_t i = 0; i < count && rc == SQLITE_OK; i++) {
    (void)sqlite3_bind_text(q, 1, facts[i].key, -1, SQLITE_STATIC);
    (void)sqlite3_bind_blob64(q, 2, facts[i].value.len > 0 ? (const void *)facts[i].value.data : "", facts[i].value.len, SQLITE_STATIC);
    (void)sqlite3_bind_int64(q, 3, hash_of(facts[i].value));
    rc = sqlite3_step(q);
    if (rc == SQLITE_DONE) rc = sqlite3_reset(q);
  }
  if (rc != SQLITE_OK) err = complain(s, rc, "written", e);
  (void)sqlite3_finalize(q);
  if (err == MG_OK && own) err = run_sql(s, "COMMIT", "written", e);
  if (err != MG_OK && own && sqlite3_get_autocommit(s->db) == 0) (void)sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
  return err;
}

mg_err mg_runfile_get(mg_runfile *s, const char *key, mg_buf *out, mg_error *e) {
  sqlite3_stmt *q = NULL;
  int rc = sqlite3_prepare_v2(s->db, "SELECT value, hash FROM facts WHERE key = ?", -1, &q, NULL);
  if (rc == SQLITE_OK) {
    (void)sqlite3_bind_text(q, 1, key, -1, SQLITE_STATIC);
    rc = sqlite3_step(q);
  }
  mg_err err = MG_OK;
  mg_slice value = {rc == SQLITE_ROW ? sqlite3_column_blob(q, 0) : NULL, rc == SQLITE_ROW ? (size_t)sqlite3_column_bytes(q, 0) : 0};
  if (rc == SQLITE_ROW && hash_of(value) != sqlite3_column_int64(q, 1))
    err = mg_fail(e, MG_FATAL, "the journal %s is damaged: %s does not match its hash", s->path, key);
  else if (rc == SQLITE_ROW)
    mg_buf_put(out, value.data, value.len);
  else if (rc != SQLITE_DONE)
    err = complain(s, rc, "read", e);
  if (out->failed) err = mg_fail(e, MG_NOMEM, "memory ended");
  (void)sqlite3_finalize(q);
  return err;
}

/* --- rows --- */

/* The block, packed where that is shorter; what does not shrink stays as it is, and its length says so. */
static mg_slice pack(mg_runfile *s, mg_slice records) {
  if (records.len > LZ4_MAX_INPUT_SIZE) return records;
  size_t bound = (size_t)LZ4_compressBound((int)records.len);
  if (bound > s->packed_cap) {
    char *grown = realloc(s->packed, bound);
    if (grown == NULL) return records;
    s->packed = grown;
    s->packed_cap = bound;
  }
  int n = LZ4_compress_default((const char *)records.data, s->packed, (int)records.len, (int)bound);
  return n <= 0 || (size_t)n >= records.len ? records : (mg_slice){(const uint8_t *)s->packed, (size_t)n};
}

mg_err mg_runfile_append(mg_runfile *s, mg_slice records, uint64_t record_count, uint64_t cases, mg_error *e) {
  static const char sql[] =
      "INSERT INTO rows(id, written_ms, records, cases, bytes, hash, data) VALUES((SELECT coalesce(max(id), 0) + 1 FROM rows), ?, ?, ?, ?, ?, ?)";
  int rc = s->append != NULL ? SQLITE_OK : sqlite3_prepare_v3(s->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &s->append, NULL);
  if (rc == SQLITE_OK) {
    mg_slice data = pack(s, records);
    (void)sqlite3_bind_int64(s->append, 1, mg_wall_ms());
    (void)sqlite3_bind_int64(s->append, 2, (int64_t)record_count);
    (void)sqlite3_bind_int64(s->append, 3, (int64_t)cases);
    (void)sqlite3_bind_int64(s->append, 4, (int64_t)records.len);
    (void)sqlite3_bind_int64(s->append, 5, hash_of(records));
    (void)sqlite3_bind_blob64(s->append, 6, data.data, data.len, SQLITE_STATIC);
    rc = sqlite3_step(s->append);
    int again = sqlite3_reset(s->append);
    if (rc == SQLITE_DONE) rc = again;
    (void)sqlite3_clear_bindings(s->append);
  }
  return rc == SQLITE_OK ? MG_OK : complain(s, rc, "written", e);
}

static mg_err damaged(const mg_runfile *s, int64_t row, const char *what, mg_error *e) {
  return mg_fail(e, MG_FATAL, "the journal %s is damaged: row %" PRId64 " %s", s->path, row, what);
}

/* The records of the row q stands at, in scratch where they were packed. */
static mg_err unpack(const mg_runfile *s, sqlite3_stmt *q, int64_t row, mg_buf *scratch, mg_slice *records, mg_error *e) {
  int64_t bytes = sqlite3_column_int64(q, 1), hash = sqlite3_column_int64(q, 2);
  mg_slice data = {sqlite3_column_blob(q, 3), (size_t)sqlite3_column_bytes(q, 3)};
  if (bytes < 0 || bytes > ROW_BYTES_MAX || (data.len > 0 && data.data == NULL)) return damaged(s, row, "has no length that can be", e);
  *records = data;
  if ((size_t)bytes != data.len) {
    mg_buf_clear(scratch);
    if (!mg_buf_reserve(scratch, (size_t)bytes)) return mg_fail(e, MG_NOMEM, "no memory for a row of the journal %s", s->path);
    if (LZ4_decompress_safe((const char *)data.data, (char *)scratch->data, (int)data.len, (int)bytes) != (int)bytes)
      return damaged(s, row, "cannot be unpacked", e);
    *records = (mg_slice){scratch->data, (size_t)bytes};
  }
  return hash_of(*records) == hash ? MG_OK : damaged(s, row, "does not match its hash", e);
}

static mg_err read_row(const mg_runfile *s, int64_t row, mg_record_reader *in, mg_runfile_each *each, void *owner, mg_error *e) {
  mg_record r;
  int more = 0;
  mg_err err = MG_OK;
  while (err == MG_OK && (more = mg_record_take(in, &r)) > 0) err = each(owner, &r, e);
  if (err != MG_OK) (void)mg_fail_in(e, "the journal %s, row %" PRId64, s->path, row);
  return err == MG_OK && more < 0 ? damaged(s, row, "holds what is no record", e) : err;
}

mg_err mg_runfile_read(mg_runfile *s, mg_runfile_each *each, void *owner, mg_error *e) {
  sqlite3_stmt *q = NULL;
  mg_record_reader in = {0};
  mg_buf scratch = {0};
  mg_err err = MG_OK;
  int64_t expected = 1;
  int rc = sqlite3_prepare_v2(s->db, "SELECT id, bytes, hash, data FROM rows ORDER BY id", -1, &q, NULL);
  if (rc == SQLITE_OK) {
    while (err == MG_OK && (rc = sqlite3_step(q)) == SQLITE_ROW) {
      int64_t row = sqlite3_column_int64(q, 0);
      if (row != expected++) err = damaged(s, expected - 1, "is missing", e);
      if (err == MG_OK) err = unpack(s, q, row, &scratch, &in.rest, e);
      if (err == MG_OK) err = read_row(s, row, &in, each, owner, e);
    }
  }
  if (err == MG_OK && rc != SQLITE_DONE) err = complain(s, rc, "read", e);
  (void)sqlite3_finalize(q);
  mg_record_reader_fini(&in);
  mg_buf_fini(&scratch);
  return err;
}

mg_err mg_runfile_cases(mg_runfile *s, uint64_t *cases, mg_error *e) {
  sqlite3_stmt *q = NULL;
  int rc = sqlite3_prepare_v2(s->db, "SELECT coalesce(sum(cases), 0) FROM rows", -1, &q, NULL);
  if (rc == SQLITE_OK) rc = sqlite3_step(q);
  *cases = rc == SQLITE_ROW ? (uint64_t)sqlite3_column_int64(q, 0) : 0;
  mg_err err = rc == SQLITE_ROW ? MG_OK : complain(s, rc, "read", e);
  (void)sqlite3_finalize(q);
  return err;
}
