#include "execute/executor.h"

#include "execute/executor_case.h"
#include "execute/executor_record.h"
#include <errno.h>
#include <lua.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <unistd.h>

#define PREFLIGHT_CASES 20
#define FRAME_MAX_BYTES (256u << 20)

static mg_runner runner; /* one a process: the signal handler must reach it */

static void on_interrupt(int sig) {
  (void)sig;
  mg_slot *s = runner.slot;
  /* The parent may have decided just before the phase ended: its signal is void then. */
  if (s != NULL && atomic_load_explicit(&s->kill_seq, memory_order_acquire) == atomic_load_explicit(&s->seq, memory_order_relaxed)) {
    mg_runner_interrupt(&runner);
  }
}

static bool read_all(int fd, void *out, size_t len) {
  uint8_t *p = out;
  while (len > 0) {
    ssize_t n = read(fd, p, len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    len -= (size_t)n;
  }
  return true;
}

static bool write_all(int fd, const void *data, size_t len) {
  const uint8_t *p = data;
  while (len > 0) {
    ssize_t n = write(fd, p, len);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return false;
    p += n;
    len -= (size_t)n;
  }
  return true;
}

static uint32_t get_u32(const uint8_t *p) {
  return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static void put_u32(uint8_t *p, uint32_t v) {
  for (int i = 0; i < 4; i++) p[i] = (uint8_t)(v >> (8 * i));
}

/* A whole frame into b; its type is b->data[0]. false at the end of the socket. */
static bool read_frame(int fd, mg_buf *b) {
  uint8_t head[4];
  if (!read_all(fd, head, sizeof head)) return false;
  uint32_t len = get_u32(head);
  mg_buf_clear(b);
  if (len < 1 || len > FRAME_MAX_BYTES || !mg_buf_reserve(b, len)) return false;
  if (!read_all(fd, b->data, len)) return false;
  b->len = len;
  return true;
}

static bool send_frame(int fd, mg_frame_type type, const void *body, size_t len) {
  uint8_t head[5];
  put_u32(head, (uint32_t)len + 1);
  head[4] = (uint8_t)type;
  return write_all(fd, head, sizeof head) && write_all(fd, body, len);
}

static bool send_fault(int fd, const char *text) { return send_frame(fd, MG_FRAME_FAULT, text, strlen(text)); }

static void set_phase(mg_phase phase) {
  atomic_store_explicit(&runner.slot->phase, phase, memory_order_relaxed);
  atomic_fetch_add_explicit(&runner.slot->seq, 1, memory_order_release);
}

/* ---- SETUP ---- */

/* Text field of the spec on top of the stack, "" where it is absent. */
static void spec_text(lua_State *L, const char *name, char *out, size_t size) {
  lua_getfield(L, -1, name);
  const char *text = lua_tostring(L, -1);
  (void)snprintf(out, size, "%s", text != NULL ? text : "");
  lua_pop(L, 1);
}

static lua_Integer spec_integer(lua_State *L, const char *name, lua_Integer otherwise) {
  lua_getfield(L, -1, name);
  lua_Integer v = lua_isinteger(L, -1) ? lua_tointeger(L, -1) : otherwise;
  lua_pop(L, 1);
  return v;
}

static void on_alarm(int sig) {
  (void)sig;
  mg_runner_interrupt(&runner);
}

/* The parent's watchdog has no task yet whose limit it could apply: this process sets itself an alarm. 0 takes it away. */
static void set_alarm(uint32_t ms) {
  struct itimerval t = {{0, 0}, {ms / 1000, (suseconds_t)(ms % 1000) * 1000}};
  (void)setitimer(ITIMER_REAL, &t, NULL);
}

/* Before the first task: a plan's implementations load, and the first cases generate. */
static mg_err check_script(mg_runner *r, uint32_t *done, mg_error *e) {
  lua_State *L = mg_script_lua(r->script);
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->checks.spec);
  mg_task t = {.memory_mb = 512};
  uint32_t limit_ms = 10000;
  spec_text(L, "baseline", t.baseline, sizeof t.baseline);
  spec_text(L, "candidate", t.candidate, sizeof t.candidate);
  t.seed = (uint64_t)spec_integer(L, "seed", 0);
  lua_Integer cases = spec_integer(L, "cases", PREFLIGHT_CASES);
  if (lua_getfield(L, -1, "limits") == LUA_TTABLE) {
    t.memory_mb = (uint32_t)spec_integer(L, "memory_mb", 512);
    limit_ms = (uint32_t)spec_integer(L, "case_timeout_ms", limit_ms);
  }
  lua_pop(L, 2);
  mg_err err = t.candidate[0] != '\0' ? mg_runner_prepare(r, &t, false, e) : MG_OK;
  for (lua_Integer i = 0; err == MG_OK && i < PREFLIGHT_CASES && i < cases; i++) {
    set_alarm(limit_ms);
    err = mg_runner_preflight(r, t.seed, (uint64_t)i, e);
    set_alarm(0);
    if (err == MG_OK) (*done)++;
  }
  return err;
}

static bool setup(int fd, mg_slice body, char **path, uint8_t **overrides) {
  mg_tape tape = {0};
  mg_error e;
  mg_err err = mg_tape_unpack(&tape, body, true, &e);
  if (err == MG_OK && (tape.values != 2 || tape.cells[0].kind != MG_CELL_STRING)) err = mg_fail(&e, MG_ARG, "SETUP frame not understood");
  uint32_t preflight = 0;
  if (err == MG_OK) {
    const mg_cell *p = &tape.cells[0], *o = &tape.cells[1];
    *path = strndup(p->u.text, p->length);
    if (o->kind == MG_CELL_STRING && o->length > 0) {
      *overrides = malloc(o->length);
      if (*overrides != NULL) memcpy(*overrides, o->u.text, o->length);
      runner.overrides = (mg_slice){*overrides, *overrides != NULL ? o->length : 0};
    }
    runner.path = *path;
    set_phase(MG_PHASE_LOAD);
    err = *path != NULL ? mg_runner_open(&runner, &e) : mg_fail(&e, MG_NOMEM, "memory ended");
    if (err == MG_OK) err = check_script(&runner, &preflight, &e);
    set_phase(MG_PHASE_IDLE);
  }
  mg_tape_fini(&tape);
  if (err != MG_OK) {
    (void)send_fault(fd, e.text);
    return false;
  }
  uint8_t ready[36];
  memcpy(ready, runner.checks.fingerprint, 32);
  put_u32(ready + 32, preflight);
  return send_frame(fd, MG_FRAME_READY, ready, sizeof ready);
}

/* ---- RUN ---- */

typedef struct run_order {
  uint32_t resume_index;
  unsigned half; /* 1 + the role of the first case whose outcome stands, else 0 */
  mg_outcome half_outcome;
  uint32_t index; /* of the next case */
  bool stop;      /* the arena is full, or the checks are at fault */
} run_order;

static bool arena_full(void) {
  return atomic_load_explicit(&runner.slot->arena_used, memory_order_relaxed) > MG_SLOT_ARENA_BYTES - MG_SLOT_RECORD_MAX;
}

static void run_one(run_order *o, uint64_t case_number, mg_slice input) {
  mg_error e;
  if (mg_runner_case(&runner, o->index, case_number, input, o->index == o->resume_index ? o->half : 0, o->half_outcome, &e) != MG_OK) o->stop = true;
}

/* The cases of one task from o->index on. Explicit payloads are unpacked once a task. */
static mg_err run_task(run_order *o, const mg_task *t, mg_error *e) {
  uint32_t first = o->index, end = first + t->count;
  if (end <= o->resume_index) { /* all of it was done before the resume */
    o->index = end;
    return MG_OK;
  }
  bool whole = first > o->resume_index || (first == o->resume_index && o->half == 0);
  runner.sum = (mg_digest){0, 0};
  mg_tape tape = {0};
  mg_err err = MG_OK;
  const mg_cell *entry = NULL;
  if (t->payload.len > 0) {
    err = mg_tape_unpack(&tape, t->payload, true, e);
    if (err == MG_OK && tape.values != t->count) err = mg_fail(e, MG_ARG, "the task's payload has %zu cases, not %u", tape.values, t->count);
    entry = tape.cells;
  }
  if (err == MG_OK && t->kind == MG_TASK_COUNT) {
    set_phase(MG_PHASE_LOAD);
    err = mg_runner_prepare(&runner, t, false, e);
    set_phase(MG_PHASE_IDLE);
  }
  for (; err == MG_OK && o->index < end && !o->stop; o->index++) {
    uint64_t case_number = t->first + (o->index - first);
    mg_slice input = {NULL, 0};
    if (entry != NULL) {
      if (entry->kind != MG_CELL_ARRAY || entry->count != 2 || entry[1].kind != MG_CELL_INT) {
        err = mg_fail(e, MG_ARG, "the task's payload is not understood");
        break;
      }
      case_number = (uint64_t)entry[1].u.integer;
      if (entry[2].kind == MG_CELL_STRING) input = (mg_slice){(const uint8_t *)entry[2].u.text, entry[2].length};
      entry = mg_cell_next(entry);
    }
    if (o->index < o->resume_index) continue;
    if (arena_full()) {
      o->stop = true;
      break;
    }
    if (t->kind != MG_TASK_COUNT) {
      set_phase(MG_PHASE_LOAD);
      err = mg_runner_prepare(&runner, t, true, e);
      set_phase(MG_PHASE_IDLE);
      if (err != MG_OK) break;
    }
    if (input.len == 0 && runner.checks.generate <= 0) {
      err = mg_fail(e, MG_ARG, "the checks have no generate, and the task brings no inputs");
      break;
    }
    run_one(o, case_number, input);
  }
  if (err == MG_OK && whole && o->index == end && !o->stop) mg_record_digest(&runner, end - 1);
  mg_tape_fini(&tape);
  return err;
}

static bool run(int fd, mg_slice body) {
  if (body.len < 10) return send_fault(fd, "RUN frame not understood");
  mg_slot *s = runner.slot;
  run_order o = {.resume_index = get_u32(body.data), .half = body.data[4], .half_outcome = (mg_outcome)body.data[5]};
  uint32_t tasks = get_u32(body.data + 6);
  size_t at = 10;
  mg_error e;
  mg_err err = MG_OK;
  atomic_store_explicit(&s->arena_used, 0, memory_order_relaxed);
  atomic_store_explicit(&s->half_done, 0, memory_order_relaxed);
  atomic_store_explicit(&s->done, o.resume_index, memory_order_release);
  for (uint32_t i = 0; i < tasks && err == MG_OK && !o.stop; i++) {
    uint32_t len = body.len - at >= 4 ? get_u32(body.data + at) : UINT32_MAX;
    if (len > body.len - at - 4) {
      err = mg_fail(&e, MG_ARG, "RUN frame not understood");
      break;
    }
    mg_task t;
    err = mg_task_decode(&t, (mg_slice){body.data + at + 4, len}, &e);
    if (err == MG_OK && (uint64_t)o.index + t.count > MG_SLOT_CASES) err = mg_fail(&e, MG_ARG, "more than %u cases at once", MG_SLOT_CASES);
    if (err == MG_OK) err = run_task(&o, &t, &e);
    at += 4 + (size_t)len;
  }
  set_phase(MG_PHASE_IDLE);
  uint32_t cases_done = atomic_load_explicit(&s->done, memory_order_relaxed);
  /* What cannot be run here goes back with the reason; what was done before it is reported first. */
  if (err != MG_OK && cases_done == o.resume_index) return send_frame(fd, MG_FRAME_REFUSED, e.text, strlen(e.text));
  uint8_t done[4];
  put_u32(done, cases_done);
  return send_frame(fd, MG_FRAME_DONE, done, sizeof done);
}

int mg_executor_main(int socket_fd, int slot_fd) {
  mg_error e;
  (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
  (void)signal(SIGPIPE, SIG_IGN);
  (void)signal(SIGINT, SIG_IGN); /* Ctrl-C goes to the whole group: the parent decides when executors end */
  struct sigaction sa = {.sa_handler = on_interrupt, .sa_flags = SA_RESTART};
  struct sigaction on_time = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  (void)sigemptyset(&sa.sa_mask);
  (void)sigemptyset(&on_time.sa_mask);
  if (mg_slot_map(&runner.slot, slot_fd, &e) != MG_OK || sigaction(SIGUSR1, &sa, NULL) != 0 ||
      sigaction(SIGALRM, &on_time, NULL) != 0) {
    (void)send_fault(socket_fd, "the executor cannot map its shared memory");
    return 5;
  }
  mg_buf frame = {0};
  char *path = NULL;
  uint8_t *overrides = NULL;
  int code = 0;
  while (read_frame(socket_fd, &frame)) {
    mg_slice body = {frame.data + 1, frame.len - 1};
    bool good = frame.data[0] == MG_FRAME_SETUP && path == NULL ? setup(socket_fd, body, &path, &overrides)
                : frame.data[0] == MG_FRAME_RUN && path != NULL ? run(socket_fd, body)
                                                                : send_fault(socket_fd, "unexpected frame") && false;
    if (!good) {
      code = 4;
      break;
    }
  }
  mg_runner_close(&runner);
  for (int i = 0; i <= MG_MAX_CLAUSES; i++) {
    mg_tape_fini(&runner.args2[i].tape);
    mg_tape_fini(&runner.out2[i].tape);
  }
  mg_tape_fini(&runner.args.tape);
  mg_tape_fini(&runner.out.tape);
  mg_buf_fini(&runner.record);
  mg_buf_fini(&runner.text);
  mg_buf_fini(&frame);
  free(path);
  free(overrides);
  mg_slot_unmap(runner.slot);
  return code;
}
