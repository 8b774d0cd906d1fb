/* The tasks that wait: who goes next, what goes together, what goes with care, what is taken back. */
#include "execute/pool_internal.h"

#define PACK_NS 20e6 /* estimated work of several tasks in one RUN */
#define PACK_BYTES (16u << 20)

void mg_pool_put_first(mg_pool *p, mg_job *j) {
  j->next = p->waiting;
  if (p->waiting == NULL) p->last_waiting = j;
  p->waiting = j;
  p->waiting_count++;
}

static void put_last(mg_pool *p, mg_job *j) {
  j->next = NULL;
  if (p->waiting == NULL) {
    p->waiting = j;
  } else {
    p->last_waiting->next = j;
  }
  p->last_waiting = j;
  p->waiting_count++;
}

/* The one behind `before`; NULL: the first. */
static mg_job *behind(const mg_pool *p, const mg_job *before) { return before == NULL ? p->waiting : before->next; }

static void take(mg_pool *p, mg_job *before) {
  mg_job *j = behind(p, before);
  if (before == NULL) {
    p->waiting = j->next;
  } else {
    before->next = j->next;
  }
  if (p->last_waiting == j) p->last_waiting = before;
  j->next = NULL;
  p->waiting_count--;
}

/* The jobs behind `before` that go together, the first whatever its size. NULL: memory ended, and all wait on. */
static mg_bundle *pack(mg_pool *p, mg_job *before, size_t idle) {
  mg_bundle *b = mg_bundle_new();
  if (b == NULL) return NULL;
  size_t share = (p->waiting_count + idle - 1) / idle, bytes = 0;
  double ns = 0;
  for (mg_job *j; (j = behind(p, before)) != NULL;) {
    double more_ns = p->case_ns * (j->task.count - j->done);
    if (b->count > 0 && (p->case_ns <= 0 || ns + more_ns > PACK_NS || (size_t)b->count >= share || bytes + j->bytes.len > PACK_BYTES ||
                         b->cases + j->task.count > MG_SLOT_CASES || !mg_job_goes_with(b->jobs[0], j))) {
      break;
    }
    if (!mg_bundle_add(b, j)) break;
    take(p, before);
    ns += more_ns;
    bytes += j->bytes.len;
  }
  if (b->count > 0) return b;
  mg_bundle_free(b);
  return NULL;
}

static uint64_t watch_period_ms(uint32_t timeout_ms) { return timeout_ms >= 1000 ? 50 : timeout_ms >= 200 ? 20 : 5; }

static void start(mg_seat *s, mg_bundle *b) {
  mg_pool *p = s->pool;
  mg_buf run = {0};
  mg_bundle_start(b, mg_proc_slot(s->proc), &run);
  s->bundle = b;
  s->state = MG_SEAT_BUSY;
  b->started_ns = mg_now_ns();
  mg_pool_watch_begin(s);
  mg_pool_watch(p, watch_period_ms(b->jobs[0]->task.case_timeout_ms));
  if (run.failed || mg_proc_send(s->proc, MG_FRAME_RUN, mg_buf_slice(&run), NULL) != MG_OK) {
    s->killed = true; /* memory ended: the bundle comes back when its executor is gone */
    s->kill_kind = MG_DEATH_INNOCENT;
    mg_proc_kill(s->proc);
  }
  mg_buf_fini(&run);
}

typedef struct mg_room { /* of the executors */
  size_t idle, busy, kept; /* kept: of the idle ones, for jobs that were announced */
  bool alone;              /* one that is to be alone runs */
} mg_room;

static mg_room look(const mg_pool *p) {
  mg_room r = {0};
  for (int i = 0; i < p->config.executors; i++) {
    const mg_seat *s = &p->seats[i];
    r.idle += s->state == MG_SEAT_IDLE;
    r.busy += s->state == MG_SEAT_BUSY;
    r.alone = r.alone || (s->bundle != NULL && s->bundle->jobs[0]->task.care == MG_CARE_ALONE);
  }
  for (const mg_job *j = p->waiting; j != NULL; j = j->next) r.kept += j->told == MG_TOLD_ASKED;
  return r;
}

/* May the job begin? Where only the announcement is missing, that is made. */
static bool may_begin(mg_pool *p, mg_job *j, mg_room *r) {
  if (j->task.care == MG_CARE_NONE || p->config.events.announce == NULL) return r->idle > r->kept;
  bool room = j->task.care == MG_CARE_ALONE ? r->busy == 0 && r->kept == 0 && r->idle > 0 : r->idle > r->kept;
  if (j->told == MG_TOLD_YES) return j->task.care == MG_CARE_ALONE ? r->busy == 0 && r->idle > 0 : r->idle > 0;
  if (j->told == MG_TOLD_NO && room) {
    j->told = MG_TOLD_ASKED;
    r->kept++;
    p->config.events.announce(p->config.owner, j->owner);
  }
  return false;
}

void mg_pool_dispatch(mg_pool *p) {
  mg_room r = look(p);
  mg_job *before = NULL;
  while (!p->closing && !r.alone && r.idle > 0) {
    mg_job *j = behind(p, before);
    if (j == NULL) return;
    bool alone = j->task.care == MG_CARE_ALONE && p->config.events.announce != NULL;
    if (!may_begin(p, j, &r)) {
      if (alone) return; /* nothing overtakes it, or it might wait for ever */
      before = j;
      continue;
    }
    mg_seat *s = p->seats;
    while (s->state != MG_SEAT_IDLE) s++;
    mg_bundle *b = pack(p, before, r.idle);
    if (b == NULL) return;
    start(s, b);
    r = look(p);
    r.alone = r.alone || alone;
  }
}

mg_err mg_pool_submit(mg_pool *p, const mg_task *task, mg_slice task_bytes, void *task_owner, mg_error *e) {
  mg_job *j;
  mg_err rc = mg_job_new(&j, task, task_bytes, task_owner, e);
  if (rc != MG_OK) return rc;
  put_last(p, j);
  mg_pool_dispatch(p);
  return MG_OK;
}

void mg_pool_begin(mg_pool *p, const void *task_owner) {
  for (mg_job *j = p->waiting; j != NULL; j = j->next) {
    if (j->owner == task_owner && j->told == MG_TOLD_ASKED) j->told = MG_TOLD_YES;
  }
  mg_pool_dispatch(p);
}

/* Takes the jobs that are chosen out of those that wait. */
static mg_job *take_chosen(mg_pool *p, bool (*wanted)(void *owner, void *task_owner, bool begun)) {
  mg_job *taken = NULL, **end = &taken, *all = p->waiting;
  p->waiting = NULL;
  p->waiting_count = 0;
  for (mg_job *next; all != NULL; all = next) {
    next = all->next;
    bool halfway = all->done > 0 || all->half != 0;
    if (wanted == NULL ? halfway : !wanted(p->config.owner, all->owner, halfway)) {
      put_last(p, all);
    } else {
      all->next = NULL;
      *end = all;
      end = &all->next;
    }
  }
  return taken;
}

static void drop(mg_pool *p, mg_job *taken, void (*dropped)(void *owner, void *task_owner)) {
  while (taken != NULL) {
    mg_job *next = taken->next;
    void *task_owner = taken->owner;
    mg_job_free(taken);
    dropped(p->config.owner, task_owner);
    taken = next;
  }
}

void mg_pool_withdraw(mg_pool *p, void (*dropped)(void *owner, void *task_owner)) { drop(p, take_chosen(p, NULL), dropped); }

void mg_pool_cancel(mg_pool *p, bool (*wanted)(void *owner, void *task_owner, bool begun), void (*dropped)(void *owner, void *task_owner)) {
  drop(p, take_chosen(p, wanted), dropped);
  for (int i = 0; i < p->config.executors; i++) {
    mg_seat *s = &p->seats[i];
    int left = 0;
    for (int k = 0; s->bundle != NULL && k < s->bundle->count; k++) {
      mg_job *j = s->bundle->jobs[k];
      if (!j->dropped && wanted(p->config.owner, j->owner, true)) {
        j->dropped = true;
        dropped(p->config.owner, j->owner);
        j->owner = NULL;
      }
      left += !j->dropped;
    }
    if (s->bundle == NULL || left > 0 || s->killed) continue;
    s->killed = true;
    s->kill_kind = MG_DEATH_INNOCENT;
    mg_proc_kill(s->proc);
  }
  mg_pool_dispatch(p); /* an executor that was kept for one of these is free */
}
