/* Who is there and who has what: beats, silence, leases that ended, tasks the broker no longer has. */
#include "dispatch/coordinator_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PROBES_MAX = 512, QUARANTINE_MIN_MS = 600000 };

static mg_ms larger(mg_ms a, mg_ms b) { return a > b ? a : b; }

static mg_entry_out *entry_of(const mg_coordinator *c, const char *id) {
  uint32_t epoch;
  uint64_t seq;
  return mg_task_id_parse(id, &epoch, &seq) ? mg_coord_entry(c, epoch, seq) : NULL;
}

/* --- beats --- */

static void pardon(mg_coordinator *c, int worker) {
  mg_control control = {.kind = MG_PARDON};
  memcpy(control.subject, c->breaker.seen[worker].name, sizeof control.subject);
  mg_link_control(c->link, &control, larger(QUARANTINE_MIN_MS, 4 * c->silence_ms));
  mg_link_quarantine(c->link, control.subject, false, 0);
  c->workers_recovered++;
  mg_coord_log(c, MG_SAY_EVENT, MG_LOG_INFO, "worker_recovered", MG_FIELDS(MG_LT("worker_id", control.subject)), "worker %s beats steadily and may work again",
               control.subject);
}

void mg_coord_taken(mg_coordinator *c, const mg_entry_out *e) { c->taken_ms = larger(c->taken_ms, e->sent_ms); }

/* A broker with MG_CAP_RECLAIM has one message of a task, the last; elsewhere earlier ones may be about and are as good. */
static bool same_message(const mg_coordinator *c, const mg_entry_out *e, uint32_t attempt) {
  return attempt == e->attempt || ((c->capabilities & MG_CAP_RECLAIM) == 0 && attempt < e->attempt);
}

static void read_tasks(mg_coordinator *c, int worker, mg_ms at) {
  const mg_peer *p = &c->breaker.peers[worker];
  for (size_t i = 0; i < p->task_count; i++) {
    const mg_beat_task *t = &p->tasks[i];
    mg_entry_out *e = strcmp(t->run, c->run) == 0 ? entry_of(c, t->id) : NULL;
    if (e == NULL || !same_message(c, e, t->attempt)) continue;
    mg_coord_taken(c, e);
    e->holder = worker;
    e->beat = p->counter;
    e->begun = t->running;
    e->at_case = t->case_number;
    e->candidate_at = t->running && t->role == MG_CANDIDATE;
    e->sign_ms = at;
    e->suspect = false;
  }
}

void mg_coord_beat(mg_coordinator *c, const mg_link_event *ev) {
  mg_beat beat;
  mg_error e = {0};
  int worker = -1;
  if (!mg_coord_live(c)) return;
  if (mg_beat_decode(&beat, ev->body, &e) != MG_OK) {
    if (mg_coord_bad(c)) mg_coord_event(c, "beat_dropped", "a beat was dropped: %s", e.text);
    mg_beat_fini(&beat);
    return;
  }
  mg_beat_news news = mg_breaker_beat(&c->breaker, &beat, ev->at_ms, &worker);
  if (news != MG_BEAT_OLD && news != MG_BEAT_NOMEM) read_tasks(c, worker, ev->at_ms);
  switch (news) {
  case MG_BEAT_FIRST:
    mg_coord_log(c, MG_SAY_EVENT, MG_LOG_INFO, "worker_joined", MG_FIELDS(MG_LT("worker_id", beat.worker), MG_LI("executors", beat.executors)),
                 "worker %s, %u executors", beat.worker, beat.executors);
    break;
  case MG_BEAT_BACK:
    c->workers_recovered++;
    mg_coord_log(c, MG_SAY_EVENT, MG_LOG_INFO, "worker_recovered", MG_FIELDS(MG_LT("worker_id", beat.worker)), "worker %s beats again", beat.worker);
    break;
  case MG_BEAT_PARDONED: pardon(c, worker); break;
  case MG_BEAT_LEAVING:
    mg_coord_log(c, MG_SAY_EVENT, MG_LOG_INFO, "worker_left", MG_FIELDS(MG_LT("worker_id", beat.worker), MG_LI("cases_done", beat.cases_done)),
                 "worker %s has left", beat.worker);
    break;
  default: break;
  }
  mg_beat_fini(&beat);
}

/* --- silence --- */

static void say_lost(mg_coordinator *c, int worker) {
  const mg_worker_seen *s = &c->breaker.seen[worker];
  c->workers_lost++;
  mg_coord_log(c, MG_SAY_NOTE, MG_LOG_WARN, "worker_lost", MG_FIELDS(MG_LT("worker_id", s->name), MG_LI("tasks_done", s->tasks_done)),
               "worker %s was lost after %" PRIu64 " tasks", s->name, s->tasks_done);
}

/* What the last beat named. The broker hands it out again by itself, at once where it saw the connection go, else when a time is over: what nobody alive
 * has been seen with does not wait for that. What was done elsewhere meanwhile still was handed out twice. */
static void lose_tasks(mg_coordinator *c, int worker) {
  const mg_peer *p = &c->breaker.peers[worker];
  for (size_t i = 0; i < p->task_count && mg_coord_live(c); i++) {
    const mg_beat_task *t = &p->tasks[i];
    uint32_t epoch;
    uint64_t seq;
    if (strcmp(t->run, c->run) != 0 || !mg_task_id_parse(t->id, &epoch, &seq)) continue;
    mg_entry_out *e = mg_coord_entry(c, epoch, seq);
    if (e == NULL) {
      const mg_answered *a = mg_ledger_answered(&c->ledger, epoch, seq);
      if (a != NULL && a->answerer >= 0 && a->answerer != worker) {
        mg_coord_count_requeue(c, t->id, a->count, t->attempt, "its worker vanished, and another one has done it since");
      }
      continue;
    }
    if (t->attempt > e->attempt) continue;
    bool elsewhere = e->holder != worker && mg_breaker_is_alive(&c->breaker, e->holder);
    if (!elsewhere) e->holder = -1;
    if (t->attempt < e->attempt && e->care == MG_CARE_ALONE) e->care = MG_CARE_TELL; /* an older message of it, which was handed out with less care */
    e->begun = t->running;
    e->at_case = t->case_number;
    if (t->running) e->candidate_ran = e->candidate_ran && t->role == MG_CANDIDATE;
    mg_coord_vanished(c, e, t->running, elsewhere, "its worker vanished");
  }
}

static void lose(mg_coordinator *c, int worker) {
  const mg_worker_seen *s = &c->breaker.seen[worker];
  double silent = (double)(c->beats_ms - s->last_beat_ms) / 1000;
  bool was_here = mg_breaker_was_here(&c->breaker, worker);
  bool quarantine = mg_breaker_lose(&c->breaker, worker, c->beats_ms) && was_here;
  if (was_here) {
    char last[32];
    mg_wall_text(mg_wall_ms() - (mg_now_ms() - s->last_beat_ms), last, sizeof last);
    mg_coord_log(c, MG_SAY_EVENT, MG_LOG_WARN, "heartbeat_timeout",
                 MG_FIELDS(MG_LT("worker_id", s->name), MG_LT("last_heartbeat", last), MG_LR("silent_seconds", silent)), "worker %s has been silent for %.1f s",
                 s->name, silent);
    say_lost(c, worker);
  }
  if (quarantine) {
    mg_ms ttl = larger(QUARANTINE_MIN_MS, 4 * c->silence_ms);
    mg_control control = {.kind = MG_QUARANTINE};
    memcpy(control.subject, s->name, sizeof control.subject);
    mg_link_control(c->link, &control, ttl);
    mg_link_quarantine(c->link, s->name, true, ttl);
  }
  if ((c->capabilities & MG_CAP_RECLAIM) != 0) {
    mg_link_reclaim(c->link, MG_TOKEN_WORKER | (uint64_t)worker, c->run, s->name, NULL, 0);
    return;
  }
  lose_tasks(c, worker);
}

void mg_coord_silence(mg_coordinator *c) {
  if (!mg_coord_live(c) || !c->connected || c->breaker.count == 0) return;
  int *lost = malloc(c->breaker.count * sizeof *lost);
  bool all;
  if (lost == NULL) return;
  size_t n = mg_breaker_silent(&c->breaker, c->beats_ms, lost, &all);
  if (n == 0) c->suspecting = false;
  if (all && !c->link_answered) {
    /* Nobody at all is heard: first the link must show that it hears anything. */
    if (!c->suspecting) mg_link_ask_depth(c->link, c->run);
    c->suspecting = true;
    n = 0;
  }
  for (size_t i = 0; i < n; i++) lose(c, lost[i]);
  if (n > 0) c->link_answered = c->suspecting = false;
  free(lost);
  int spared = mg_breaker_spare(&c->breaker);
  if (spared >= 0) pardon(c, spared);
}

void mg_coord_depth(mg_coordinator *c, const mg_link_event *ev) {
  if (c->suspecting) {
    c->link_answered = true;
    mg_coord_silence(c);
  }
  /* Without probes: nobody names it, and nothing waits at all, or a worker had what came to an ordered queue a lease after it. So the broker cannot have it.
   * Nor has it where workers get nothing for two leases, whatever waits: that may be what no worker here takes, as a message of a later version. */
  if ((c->capabilities & MG_CAP_RECLAIM) != 0 || !mg_coord_live(c)) return;
  /* What is held without an end, by somebody who does not name it, will not come back soon. */
  bool ends = (c->capabilities & MG_CAP_EXTEND) != 0;
  bool empty = ev->depth.pending == 0 && (ev->depth.in_flight <= 0 || !ends), ordered = (c->capabilities & MG_CAP_UNORDERED) == 0;
  mg_ms now = mg_now_ms();
  bool idle = now - c->idle_ms > 2 * c->lease_ms;
  for (mg_entry_out *e = c->ledger.oldest, *next; e != NULL; e = next) {
    next = e->next;
    if (!e->published || now - e->sign_ms <= c->lease_ms) continue;
    if (!empty && !idle && (!ordered || c->taken_ms - e->sign_ms <= c->lease_ms))
      e->suspect = false;
    else if (e->suspect)
      mg_coord_missing(c, e);
    else
      e->suspect = true; /* its answer may have passed the question */
  }
}

void mg_coord_restart_timers(mg_coordinator *c, mg_ms now) {
  mg_breaker_restart(&c->breaker, now);
  for (mg_entry_out *e = c->ledger.oldest; e != NULL; e = e->next) {
    if (e->sent_ms != 0) e->sign_ms = now;
  }
  c->able_ms = c->idle_ms = now;
  c->suspecting = c->link_answered = false;
}

/* --- tasks taken back --- */

/* Does the last beat of the worker name the entry? */
static bool names(int worker, const mg_entry_out *e) { return worker >= 0 && e->holder == worker; }

void mg_coord_reclaimed(mg_coordinator *c, const mg_link_event *ev) {
  mg_entry_out *e = entry_of(c, ev->text);
  if (e == NULL || !mg_coord_live(c) || ev->token == MG_TOKEN_CANCEL || ev->attempt != e->attempt) return;
  int worker = mg_breaker_find(&c->breaker, ev->from);
  bool alive = mg_breaker_is_alive(&c->breaker, worker);
  if (ev->token == MG_TOKEN_DRAIN) {
    if (alive) { /* fetched between the probe and this: its answer still counts */
      e->off_queue = true;
      e->holder = worker;
      e->beat = c->breaker.peers[worker].counter;
      e->sign_ms = mg_now_ms();
    } else {
      mg_coord_trace_end(c, e, NULL, "taken back: the run was interrupted");
      mg_ledger_remove(&c->ledger, e);
    }
    return;
  }
  if (alive && names(worker, e)) {
    /* Its lease ended but its worker lives and names it (it lost its connection, or runs long): the answer will come. */
    e->off_queue = true;
    return;
  }
  if (alive) {
    mg_coord_again(c, e, "its lease ended");
    return;
  }
  if (worker >= 0 && !mg_breaker_was_here(&c->breaker, worker)) say_lost(c, worker); /* it beat once and held a task: no stranger */
  /* What is out with care was begun if, and only if, the last beat says so. Of the rest it may have been begun since: that is not known, and no attempt. */
  bool begun = names(worker, e) && e->begun;
  if (begun) e->candidate_ran = e->candidate_ran && e->candidate_at;
  mg_coord_vanished(c, e, begun, false, "its worker vanished");
}

void mg_coord_reclaim_done(mg_coordinator *c, const mg_link_event *ev) {
  if ((ev->token & MG_TOKEN_WORKER) == 0 || !mg_coord_live(c)) return;
  int worker = (int)(ev->token & 0xffffffff);
  if ((size_t)worker >= c->breaker.count || mg_breaker_is_alive(&c->breaker, worker)) return;
  /* What it held without the broker knowing. */
  for (mg_entry_out *e = c->ledger.oldest, *next; e != NULL; e = next) {
    next = e->next;
    if (e->holder != worker || !e->off_queue) continue;
    if (e->begun) e->candidate_ran = e->candidate_ran && e->candidate_at;
    mg_coord_vanished(c, e, e->begun, false, "its worker vanished");
  }
}

void mg_coord_probed(mg_coordinator *c, const mg_link_event *ev) {
  mg_entry_out *e = entry_of(c, ev->text);
  mg_ms now = mg_now_ms();
  if (e == NULL || !mg_coord_live(c) || e->attempt != ev->attempt) return;
  switch (ev->state) {
  case MG_TASK_PENDING:
    e->suspect = false;
    e->sign_ms = now;
    if (c->phase == MG_PHASE_DRAINING) mg_coord_cancel(c, e);
    break;
  case MG_TASK_LEASED:
    e->suspect = false;
    e->sign_ms = now;
    break;
  case MG_TASK_ABSENT:
    if (e->suspect) {
      mg_coord_missing(c, e);
    } else { /* its answer may have passed the probe: look again when it must have come */
      e->suspect = true;
      e->sign_ms = now - c->lease_ms + 2 * c->check_ms;
    }
    break;
  case MG_TASK_DEAD:
    e->deaths++;
    e->attempt++;
    if (e->deaths > c->max_requeue || !c->enable_requeue)
      mg_coord_give_up(c, e, "workers could not read it and put it among the dead letters", false);
    else
      mg_coord_again(c, e, "a worker could not read it and put it among the dead letters");
    break;
  }
}

typedef struct mg_probe_list {
  char ids[PROBES_MAX][MG_TASK_MAX + 1];
  const char *names[PROBES_MAX];
  uint32_t attempts[PROBES_MAX];
  size_t count;
} mg_probe_list;

static void probe(mg_coordinator *c, mg_ms silent_ms, mg_ms now) {
  mg_probe_list *l = NULL;
  if ((c->capabilities & MG_CAP_RECLAIM) == 0) {
    bool silent = false;
    for (mg_entry_out *e = c->ledger.oldest; e != NULL && !silent; e = e->next) silent = e->published && now - e->sign_ms > silent_ms;
    if (silent) mg_link_ask_depth(c->link, c->run);
    return;
  }
  for (mg_entry_out *e = c->ledger.oldest; e != NULL; e = e->next) {
    if (!e->published || e->off_queue || now - e->sign_ms <= silent_ms) continue;
    if (l == NULL && (l = calloc(1, sizeof *l)) == NULL) return;
    mg_task_id_make(l->ids[l->count], e->epoch, e->seq);
    l->names[l->count] = l->ids[l->count];
    l->attempts[l->count++] = e->attempt;
    e->sign_ms = now; /* until the answer */
    if (l->count < PROBES_MAX) continue;
    mg_link_probe(c->link, c->run, l->names, l->attempts, l->count);
    l->count = 0;
  }
  if (l != NULL && l->count > 0) mg_link_probe(c->link, c->run, l->names, l->attempts, l->count);
  free(l);
}

/* Tasks that left the queue while a live worker named them, and that two of its beats since have not named. */
static void check_off_queue(mg_coordinator *c, mg_ms now) {
  for (mg_entry_out *e = c->ledger.oldest, *next; e != NULL; e = next) {
    next = e->next;
    if (!e->off_queue || now - e->sign_ms <= 2 * larger(c->beat_ms, c->check_ms)) continue;
    if (mg_breaker_is_alive(&c->breaker, e->holder) && c->breaker.peers[e->holder].counter < e->beat + 2) continue;
    mg_coord_again(c, e, "its worker dropped it");
  }
}

void mg_coord_take_back(mg_coordinator *c) { probe(c, -1, mg_now_ms()); }

/* Workers are there that may work, each was heard lately, and none has anything of whatever run. */
static bool idle_now(const mg_coordinator *c, mg_ms now) {
  for (size_t i = 0; i < c->breaker.count; i++) {
    if (!mg_breaker_is_alive(&c->breaker, (int)i)) continue;
    if (c->breaker.peers[i].task_count > 0 || now - c->breaker.seen[i].last_beat_ms > 2 * larger(c->beat_ms, c->check_ms)) return false;
  }
  return mg_breaker_executors(&c->breaker) > 0;
}

static void check_able(mg_coordinator *c, mg_ms now) {
  const char *who = NULL;
  for (size_t i = 0; i < c->breaker.count; i++) {
    if (!mg_breaker_is_alive(&c->breaker, (int)i)) continue;
    if (!c->breaker.seen[i].refused)
      c->able_ms = now;
    else
      who = c->breaker.seen[i].name;
  }
  if (now - c->able_ms < c->no_worker_ms) return;
  double seconds = (double)c->no_worker_ms / 1000;
  char text[400];
  if (who != NULL)
    (void)snprintf(text, sizeof text, "for %.0f s every worker refused its tasks, the last one %.128s", seconds, who);
  else
    (void)snprintf(text, sizeof text, "for %.0f s there was no worker; start one with mguard worker", seconds);
  free(c->no_worker);
  c->no_worker = strdup(text);
  mg_coord_over(c);
}

void mg_coord_check(mg_coordinator *c, mg_ms now) {
  if (!mg_coord_live(c) || !c->connected) return;
  if ((c->capabilities & MG_CAP_RECLAIM) != 0) mg_link_reclaim(c->link, MG_TOKEN_LEASES, c->run, NULL, NULL, 0);
  check_off_queue(c, now);
  if (!idle_now(c, now)) c->idle_ms = now;
  probe(c, c->phase == MG_PHASE_DRAINING ? c->check_ms : c->lease_ms, now);
  mg_coord_hedge(c, now);
  check_able(c, now);
}
