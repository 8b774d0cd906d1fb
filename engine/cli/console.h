/* console.h - one connection to a queue for commands that look at it from outside: status, dlq, queue. Main thread. */
#ifndef MG_CLI_CONSOLE_H
#define MG_CLI_CONSOLE_H

#include "base/ident.h"
#include "base/options.h"
#include "cli/args.h"
#include "dispatch/backend.h"
#include "script/plan.h"
#include "wire/frame.h"
#include "wire/message.h"
#include <jansson.h>

/* Flags every such command has. */
#define MG_CONSOLE_FLAGS                                                                                                                                       \
  {"backend", "NAME", "name of the backend; wins over the plan's queue", "backend"},                                                                           \
      {"queue-config", "FILE|JSON", "queue configuration, a file or JSON text", "queue_config"},                                                               \
      {"timeout", "S", "give up after so many seconds without an answer of the broker (default 10)", NULL}, {                                                  \
    "json", NULL, "one JSON object on standard output", NULL                                                                                                   \
  }

typedef struct mg_console {
  const mg_command *command;
  const mg_backend_ops *ops;
  mg_backend *backend;
  mg_backend *listener; /* hears beats where only coordinators do; NULL: backend does */
  char listener_run[MG_RUN_ID_BYTES];
  mg_plan *plan;     /* NULL where none was named */
  mg_options *queue; /* owned where plan is NULL */
  mg_keyring *keys;
  mg_codec codec;
  mg_buf scratch;
  char identity[MG_NAME_MAX + 1];
  mg_ms timeout_ms;
  bool json;
} mg_console;

/* script: a plan or checks whose queue it is, or NULL: --backend and --queue-config say it. needs: capabilities. Returns -1 to go on, else the exit code
 * after a message. mg_console_close in both cases. */
int mg_console_open(mg_console *c, const mg_command *command, const mg_args *a, const char *script, uint32_t needs);
void mg_console_close(mg_console *c);
mg_ms mg_console_until(const mg_console *c);
void mg_console_pause(mg_ms ms); /* between two looks at the broker */
/* The message of e and its exit code. */
int mg_console_fail(const mg_console *c, const mg_error *e);

/* Every worker's last beat that the broker still has, or that was heard since the first call. */
mg_err mg_console_read_beats(mg_console *c, mg_batch *out, mg_error *e);
/* Opens the frame of a beat or control and decodes it; false where it is none (or signed with a key that is not known). */
bool mg_console_beat(mg_console *c, mg_slice framed, mg_beat *out); /* mg_beat_fini afterwards, on failure too */
bool mg_console_control(mg_console *c, mg_slice framed, mg_control *out);
/* Payload borrows until the next call. e says why not. */
mg_err mg_console_task(mg_console *c, mg_slice framed, mg_task *out, mg_error *e);
/* Number of the task's first case, whether it carries its inputs or not. */
uint64_t mg_task_first_case(const mg_task *t);

/* How a run ended by what its coordinator told the workers: MG_RUN_CLOSED, MG_RUN_CANCELLED; 0: it told nothing (lately). */
typedef struct mg_endings {
  struct {
    char run[MG_NAME_MAX + 1];
    mg_control_kind kind;
  } * items;
  size_t count;
} mg_endings;
mg_err mg_console_endings(mg_console *c, mg_endings *out, mg_error *e);
void mg_endings_fini(mg_endings *n);
mg_control_kind mg_endings_of(const mg_endings *n, const char *run);

/* Text that others wrote, safe to print: control bytes and what is no UTF-8 become '?'. out has room for len + 1. */
void mg_console_plain(char *out, const char *text, size_t len);
json_t *mg_json_plain(const char *text); /* as a JSON string */
/* Prints the object and frees it; the exit code. */
int mg_console_print(const mg_console *c, json_t *object);

#endif
