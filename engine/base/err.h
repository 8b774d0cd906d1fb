/* err.h - the one error convention of the project.
 *
 * Functions that can fail return mg_err and take mg_error *e as their last argument. On MG_OK *e is untouched; on
 * anything else it holds a text for people (what happened, where, what to do) and the code of the broker or the
 * system where there is one. e may be NULL. Any thread; an mg_error belongs to its caller. */
#ifndef MG_BASE_ERR_H
#define MG_BASE_ERR_H

typedef enum mg_err {
  MG_OK = 0,
  MG_TIMEOUT,     /* the deadline passed first */
  MG_AGAIN,       /* not now: nothing there, a queue is full, a task is still held */
  MG_LOST,        /* the lease, task or worker meant is no longer there */
  MG_CONN,        /* the connection failed; the call may be made again after a reconnect */
  MG_NOMEM,       /* memory ended */
  MG_ARG,         /* wrong argument, configuration or message */
  MG_UNSUPPORTED, /* this backend or build cannot do it */
  MG_FATAL        /* will not get better by trying again: access denied, corrupt data, a bug */
} mg_err;

typedef struct mg_error {
  mg_err code;
  int detail;     /* errno, or the broker's own code; 0 where there is none */
  char text[512]; /* NUL-terminated, one line, cut where too long */
} mg_error;

/* Fills *e (where not NULL) and returns code, so that a function can `return mg_fail(e, MG_ARG, ...)`. */
mg_err mg_fail(mg_error *e, mg_err code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same with ": strerror(errno_value)" added and detail = errno_value. */
mg_err mg_fail_errno(mg_error *e, mg_err code, int errno_value, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "prefix: " before the text of *e, keeps its code, and returns that code. */
mg_err mg_fail_in(mg_error *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* "timeout", "again", ... ; never NULL. */
const char *mg_err_name(mg_err code);

#endif
