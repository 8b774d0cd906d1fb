/* Beats, controls, and who coordinates what.
 *
 * A coordinator announces its run on the board and again every ANNOUNCE_MS. Workers look at the board and send their beats to the results queues of
 * the runs that they found there, or whose tasks they got. Controls stand on the board too. A look receives messages without hiding them, so
 * everybody sees them; what has ended, or was replaced by a newer message, is deleted by whoever sees it. */
#include "backends/sqs/parts.h"

#include "base/hash.h"
#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
  ANNOUNCE_MS = 20000,
  LIVE_MS = 70000,
  LOOK_WORKER_MS = 2000,
  LOOK_COORDINATOR_MS = 20000,
  LOOK_TIMEOUT_MS = 5000,
  BEAT_FIND_MS = 1000,
  TRASH_EVERY_MS = 1000,
  INSTANCE_BITS = 20,
  INSTANCE_MASK = (1 << INSTANCE_BITS) - 1
};

/* --- the newest of each --- */

static void drop_note(mg_sqs_notes *n, size_t i) {
  free(n->items[i].subject);
  free(n->items[i].body);
  n->items[i] = n->items[--n->count];
}

static void expire(mg_sqs_notes *n, mg_ms now) {
  for (size_t i = n->count; i > 0; i--) {
    if (n->items[i - 1].expires <= now) drop_note(n, i - 1);
  }
}

void mg_sqs_notes_fini(mg_sqs_notes *n) {
  while (n->count > 0) drop_note(n, n->count - 1);
  free(n->items);
  *n = (mg_sqs_notes){0};
}

/* A serial grows with each message of its instance, whose number is its low bits. */
static int64_t next_serial(mg_sqs *s) {
  int64_t wall = mg_wall_ms();
  s->serial = wall > s->serial ? wall : s->serial + 1;
  return s->serial << INSTANCE_BITS | s->instance;
}

int64_t mg_sqs_instance(void) { return (int64_t)(mg_random64() & INSTANCE_MASK); }

/* Of one instance the serial says which came first, however long one was under way; of two the service's clock, since theirs may differ. */
static bool is_newer(int64_t serial, int64_t sent_ms, const mg_sqs_note *than) {
  bool one = ((serial ^ than->serial) & INSTANCE_MASK) == 0;
  if (one || sent_ms == 0 || than->sent_ms == 0 || sent_ms == than->sent_ms) return serial > than->serial;
  return sent_ms > than->sent_ms;
}

static mg_sqs_note *find_note(const mg_sqs_notes *n, char kind, const char *subject) {
  for (size_t i = 0; i < n->count; i++) {
    if (n->items[i].kind == kind && strcmp(n->items[i].subject, subject) == 0) return &n->items[i];
  }
  return NULL;
}

/* 1: it is the newest now · 0: it was known · -1: a newer one was. */
static int put_note(mg_sqs_notes *n, char kind, const char *subject, int64_t serial, int64_t sent_ms, mg_slice body, mg_ms expires) {
  mg_sqs_note *known = find_note(n, kind, subject);
  if (known != NULL && !is_newer(serial, sent_ms, known)) return known->serial == serial ? 0 : -1;
  size_t i = known == NULL ? n->count : (size_t)(known - n->items);
  uint8_t *copy = malloc(body.len + 1);
  char *name = i == n->count ? strdup(subject) : NULL;
  if (copy == NULL || (i == n->count && name == NULL)) goto no_memory;
  if (i == n->count && n->count == n->cap) {
    size_t cap = n->cap == 0 ? 16 : 2 * n->cap;
    mg_sqs_note *grown = realloc(n->items, cap * sizeof *grown);
    if (grown == NULL) goto no_memory;
    n->items = grown;
    n->cap = cap;
  }
  if (i == n->count)
    n->items[n->count++] = (mg_sqs_note){.kind = kind, .subject = name};
  else
    free(n->items[i].body);
  if (body.len > 0) memcpy(copy, body.data, body.len);
  n->items[i].body = copy;
  n->items[i].len = body.len;
  n->items[i].serial = serial;
  n->items[i].sent_ms = sent_ms;
  n->items[i].expires = expires;
  return 1;
no_memory: /* lost like one that the network lost: the next one comes */
  free(copy);
  free(name);
  return 0;
}

/* When a message of that age ends, by our clock; now or before where it has. */
static mg_ms end_of(const mg_sqs *s, const mg_sqs_envelope *v, int64_t sent_ms) {
  int64_t age = sent_ms == 0 ? 0 : mg_sqs_server_ms(&s->client) - sent_ms;
  return mg_now_ms() + v->ttl_ms - (age > 0 ? age : 0);
}

void mg_sqs_take_beat(mg_sqs *s, const mg_sqs_envelope *v, mg_slice body, int64_t sent_ms) {
  mg_ms expires = end_of(s, v, sent_ms);
  if (expires > mg_now_ms()) (void)put_note(&s->notes, 'b', v->from, v->serial, sent_ms, body, expires);
}

/* --- peers --- */

static mg_sqs_peer *peer_of(mg_sqs *s, const char *run) {
  for (size_t i = 0; i < s->peer_count; i++) {
    if (strcmp(s->peers[i].run, run) == 0) return &s->peers[i];
  }
  return NULL;
}

void mg_sqs_peer_seen(mg_sqs *s, const char *run, mg_ms for_ms, bool announced) {
  mg_ms now = mg_now_ms();
  mg_sqs_peer *p = peer_of(s, run);
  for (size_t i = s->peer_count; p == NULL && i > 0; i--) {
    if (s->peers[i - 1].expires <= now) s->peers[i - 1] = s->peers[--s->peer_count];
  }
  if (p == NULL && s->peer_count < MG_SQS_PEERS) {
    p = &s->peers[s->peer_count++];
    *p = (mg_sqs_peer){0};
    (void)snprintf(p->run, sizeof p->run, "%s", run);
  }
  if (p == NULL) return;
  if (p->expires <= now) p->greeted = false;
  if (announced) p->announced = for_ms > 0;
  if (announced || (!p->announced && now + for_ms > p->expires)) p->expires = now + for_ms;
}

bool mg_sqs_peer_announced(const mg_sqs *s, const char *run) {
  mg_ms now = mg_now_ms();
  const mg_sqs_note *control = find_note(&s->notes, 'c', run), *live = find_note(&s->notes, 'l', run);
  if (control != NULL && (live == NULL || is_newer(control->serial, control->sent_ms, live))) return false;
  for (size_t i = 0; i < s->peer_count; i++) {
    if (strcmp(s->peers[i].run, run) == 0) return s->peers[i].announced && s->peers[i].expires > now;
  }
  return false;
}

/* --- the board --- */

static void take_from_board(mg_sqs *s, json_t *message) {
  mg_sqs_envelope v;
  json_t *body = json_object_get(message, "Body");
  const char *text = json_string_value(body), *receipt = json_string_value(json_object_get(message, "ReceiptHandle"));
  const char *sent = json_string_value(json_object_get(json_object_get(message, "Attributes"), "SentTimestamp"));
  if (text == NULL || receipt == NULL) return;
  bool ours = mg_sqs_envelope_read(&v, (mg_slice){(const uint8_t *)text, json_string_length(body)}, &s->scratch);
  int64_t sent_ms = sent == NULL ? 0 : strtoll(sent, NULL, 10);
  mg_ms now = mg_now_ms(), expires = end_of(s, &v, sent_ms);
  if (!ours || (v.kind != 'c' && v.kind != 'l') || expires <= now) {
    mg_sqs_discard(s, s->board, receipt);
    return;
  }
  const char *subject = v.kind == 'l' ? v.run : v.task;
  int news = put_note(&s->notes, v.kind, subject, v.serial, sent_ms, mg_buf_slice(&s->scratch), v.kind == 'l' ? now + 2 * LIVE_MS : expires);
  if (news < 0)
    mg_sqs_discard(s, s->board, receipt);
  else if (v.kind == 'l' && news > 0) /* with a reason: it said its end, which stays here as long as what it said before might */
    mg_sqs_peer_seen(s, v.run, v.why[0] != '\0' ? 0 : expires - now, true);
}

static void fill_look(void *owner, size_t index, mg_buf *body) {
  (void)owner, (void)index;
  mg_buf_puts(body, ",\"MaxNumberOfMessages\":10,\"VisibilityTimeout\":0,\"WaitTimeSeconds\":0,\"MessageSystemAttributeNames\":[\"SentTimestamp\"]}");
}

static void start_look(mg_sqs *s, mg_ms until) {
  mg_error why = {0};
  s->board_x = mg_sqs_exchange_new(s->client.http);
  if (s->board_x == NULL) return;
  mg_buf_puts(&s->board_x->body, "{\"QueueUrl\":");
  mg_sqs_put_string(&s->board_x->body, s->board);
  fill_look(NULL, 0, &s->board_x->body);
  if (mg_sqs_start(&s->client, s->board_x, "ReceiveMessage", LOOK_TIMEOUT_MS, until, &why) == MG_OK) return;
  mg_sqs_exchange_end(s->client.http, s->board_x);
  s->board_x = NULL;
}

/* Workers do without a board that they may not read: they learn of runs by their tasks. */
static void no_board(mg_sqs *s, mg_err err, const mg_error *why) {
  s->board_failures++;
  if (err == MG_LOST || err == MG_AGAIN || s->board_said) return;
  s->board_said = true;
  mg_log(MG_LOG_WARN, "board_unreadable", MG_FIELDS(MG_LT("queue_name", s->board)),
         "%s; until then workers learn of runs by their tasks alone, and of quarantines and ends of runs not at all", why->text);
}

static void end_look(mg_sqs *s) {
  json_t *reply = NULL;
  mg_error why = {0};
  mg_err err = mg_sqs_judge(&s->client, s->board_x, "ReceiveMessage", s->board, &reply, NULL, &why);
  mg_sqs_exchange_end(s->client.http, s->board_x);
  s->board_x = NULL;
  s->board_next = mg_now_ms() + (s->run == NULL ? LOOK_WORKER_MS : LOOK_COORDINATOR_MS) + mg_sqs_back_off(0);
  if (err != MG_OK) {
    no_board(s, err, &why);
    return;
  }
  s->board_seen = true;
  const json_t *messages = json_object_get(reply, "Messages");
  for (size_t i = 0; i < json_array_size(messages); i++) take_from_board(s, json_array_get(messages, i));
  json_decref(reply);
}

/* Looks now, and waits for what it brings. */
static void look(mg_sqs *s, mg_ms until) {
  mg_sqs_exchange *x = s->board_x;
  if (x == NULL) start_look(s, until);
  x = s->board_x;
  while (x != NULL && !x->done && mg_sqs_http_wait(s->client.http, until, -1) != MG_TIMEOUT) continue;
  if (x != NULL && x->done) end_look(s);
}

static mg_err post(mg_sqs *s, mg_sqs_envelope *v, mg_slice body, mg_ms until, mg_error *e) {
  mg_sqs_out out;
  char url[MG_SQS_URL_BYTES];
  v->serial = next_serial(s);
  for (int i = 0; i < 2; i++) {
    mg_buf_clear(&s->texts);
    mg_err err = mg_sqs_pack(s, &out, s->board, false, v, body, until, e);
    if (err == MG_OK) err = mg_sqs_send(s, &out, 1, until, e);
    if (err != MG_OK || out.err != MG_LOST) return err == MG_OK ? out.err : err;
    err = mg_sqs_make_queue(s, strrchr(s->board, '/') + 1, false, until, url, e);
    if (err != MG_OK) return err;
  }
  return MG_AGAIN;
}

mg_err mg_sqs_announce(mg_sqs *s, bool over, mg_ms until, mg_error *e) {
  mg_sqs_envelope v = {.kind = 'l', .ttl_ms = LIVE_MS};
  if (over) (void)snprintf(v.why, sizeof v.why, "over");
  (void)snprintf(v.run, sizeof v.run, "%s", s->run);
  (void)snprintf(v.from, sizeof v.from, "%.200s", s->identity);
  s->announce_next = mg_now_ms() + ANNOUNCE_MS;
  return post(s, &v, (mg_slice){0}, until, e);
}

mg_err mg_sqs_check_alone(mg_sqs *s, mg_ms until, mg_error *e) {
  if (s->settings.results == NULL) return MG_OK;
  mg_sqs_call(&s->client, "GetQueueAttributes", s->settings.queue, NULL, NULL, until, NULL, NULL, NULL); /* for the service's clock */
  look(s, until);
  for (size_t i = 0; i < s->peer_count; i++) {
    if (!mg_sqs_peer_announced(s, s->peers[i].run) || strcmp(s->peers[i].run, s->run) == 0) continue;
    return mg_fail(e, MG_FATAL,
                   "run %.100s uses the results queue %.300s: it serves one coordinator at a time; wait for its end (a run that was killed counts for %d s), "
                   "or leave results_queue_url out",
                   s->peers[i].run, s->settings.results, LIVE_MS / 1000);
  }
  return MG_OK;
}

void mg_sqs_upkeep(mg_sqs *s, mg_ms until) {
  mg_ms now = mg_now_ms();
  (void)mg_sqs_http_wait(s->client.http, now, -1); /* what is under way goes on, whatever is called */
  if (s->board_x != NULL && s->board_x->done) end_look(s);
  if (s->board_x == NULL && now >= s->board_next) {
    s->board_next = now + LOOK_WORKER_MS;
    start_look(s, until);
  }
  if (s->run != NULL && !s->results.closed && now >= s->announce_next) (void)mg_sqs_announce(s, false, until, NULL);
  if (s->trash_count >= MG_SQS_BATCH || (s->trash_count > 0 && now - s->trash_ms >= TRASH_EVERY_MS)) mg_sqs_empty_trash(s, until);
}

/* --- beats and controls --- */

static mg_err send_beat(mg_sqs *s, bool to_new_ones, mg_ms until, mg_error *e) {
  mg_sqs_out outs[MG_SQS_PEERS];
  char queues[MG_SQS_PEERS][MG_SQS_URL_BYTES];
  mg_sqs_peer *to[MG_SQS_PEERS];
  size_t n = 0;
  mg_ms now = mg_now_ms();
  mg_err err = MG_OK;
  int64_t serial = next_serial(s);
  mg_buf_clear(&s->texts);
  for (size_t i = 0; i < s->peer_count && err == MG_OK; i++) {
    mg_sqs_peer *p = &s->peers[i];
    if (p->expires <= now || (to_new_ones && p->greeted)) continue;
    mg_sqs_envelope v = {.kind = 'b', .serial = serial, .ttl_ms = s->beat_expires - now};
    (void)snprintf(v.run, sizeof v.run, "%s", p->run);
    (void)snprintf(v.from, sizeof v.from, "%.250s", s->identity);
    mg_sqs_results_queue(s, p->run, queues[n]);
    err = mg_sqs_pack(s, &outs[n], queues[n], false, &v, mg_buf_slice(&s->beat), until, e);
    to[n++] = p;
  }
  if (err == MG_OK && n > 0) err = mg_sqs_send(s, outs, n, until, e);
  for (size_t i = 0; i < n && err == MG_OK; i++) {
    to[i]->greeted = outs[i].err == MG_OK;
    if (outs[i].err == MG_LOST && !to[i]->announced) to[i]->expires = 0; /* the run is over */
    if (outs[i].err == MG_AGAIN) err = MG_AGAIN;
  }
  return err;
}

/* Runs that came since the last beat hear of us at once. */
static void greet(mg_sqs *s, mg_ms until) {
  mg_ms now = mg_now_ms();
  bool fresh = false;
  if (s->run != NULL || s->beat.len == 0 || s->beat_expires <= now) return;
  for (size_t i = 0; i < s->peer_count; i++) fresh = fresh || (s->peers[i].expires > now && !s->peers[i].greeted);
  if (fresh) (void)send_beat(s, true, until, NULL);
}

mg_err mg_sqs_beat(mg_backend *b, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  mg_sqs *s = mg_sqs_of(b);
  mg_ms now = mg_now_ms();
  mg_buf_clear(&s->beat);
  mg_buf_put(&s->beat, body.data, body.len);
  if (s->beat.failed) return mg_fail(e, MG_NOMEM, "no memory for a beat");
  s->beat_expires = now + ttl_ms;
  mg_sqs_upkeep(s, until);
  if (s->peer_count == 0) look(s, now + BEAT_FIND_MS < until ? now + BEAT_FIND_MS : until);
  return send_beat(s, false, until, e);
}

static mg_err give(mg_sqs *s, char kind, mg_batch *out, mg_error *e) {
  expire(&s->notes, mg_now_ms());
  for (size_t i = 0; i < s->notes.count; i++) {
    const mg_sqs_note *n = &s->notes.items[i];
    mg_delivery d = {.run = "", .task = "", .from = kind == 'b' ? n->subject : "", .body = {n->body, n->len}};
    if (n->kind == kind && !mg_batch_add(out, &d)) return mg_fail(e, MG_NOMEM, "no memory left to read beats or controls");
  }
  return MG_OK;
}

mg_err mg_sqs_read_beats(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e) {
  mg_sqs *s = mg_sqs_of(b);
  mg_sqs_feed *f = &s->results;
  if (s->run == NULL) return mg_fail(e, MG_ARG, "only a coordinator reads beats: this backend was opened without a run");
  mg_sqs_upkeep(s, until);
  mg_sqs_feed_take(s, f);
  if (f->open == 0 && !f->closed) { /* else the open one brings them */
    mg_ms end = mg_now_ms() + BEAT_FIND_MS < until ? mg_now_ms() + BEAT_FIND_MS : until;
    (void)mg_sqs_feed_poll(s, f, f->stashed + MG_SQS_BATCH, s->settings.results_lease_ms, false, end);
    while (f->open > 0 && mg_sqs_http_wait(s->client.http, end, -1) != MG_TIMEOUT) mg_sqs_feed_take(s, f);
  }
  if (f->fault != MG_OK && f->fault != MG_AGAIN && !f->closed) {
    if (e != NULL) *e = f->why;
    return f->fault == MG_LOST ? MG_CONN : f->fault;
  }
  if (f->fault == MG_AGAIN) { /* nothing was heard, which is no silence of workers */
    if (e != NULL) *e = f->why;
    return MG_AGAIN;
  }
  return give(s, 'b', out, e);
}

mg_err mg_sqs_control(mg_backend *b, const char *subject, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  mg_sqs *s = mg_sqs_of(b);
  mg_sqs_envelope v = {.kind = 'c', .ttl_ms = ttl_ms};
  if (strlen(subject) >= sizeof v.task) return mg_fail(e, MG_ARG, "the subject of a control must have at most %zu bytes", sizeof v.task - 1);
  (void)snprintf(v.task, sizeof v.task, "%s", subject);
  return post(s, &v, body, until, e);
}

mg_err mg_sqs_read_controls(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e) {
  mg_sqs *s = mg_sqs_of(b);
  mg_sqs_upkeep(s, until);
  greet(s, until);
  return give(s, 'c', out, e);
}
