/* What is read without a group: the results of our run, and the notes of everybody. */
#include "backends/kafka/parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HELLO "hello"
enum { COMMIT_EVERY_MS = 100, READ_MOST = 1000, EARLIER_MS = 3600 * 1000, OPEN_STEP_MS = 2000 };

/* Wall time at which a run's name says that it began; 0 where it says nothing. Its results cannot be older. */
static int64_t began_ms(const char *run) {
  struct tm tm = {0};
  const char *end = strptime(run, "%Y%m%d-%H%M%S", &tm);
  if (end == NULL || *end != '-') return 0;
  time_t t = timegm(&tm);
  return t > 0 ? (int64_t)t * 1000 : 0;
}

/* Where the results of our run begin: behind what an earlier coordinator of it has settled. */
static mg_err first_result(mg_kafka *k, int64_t *offset, mg_ms until, mg_error *e) {
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  if (list == NULL) return mg_fail(e, MG_NOMEM, "no memory for offsets");
  rd_kafka_topic_partition_list_add(list, k->settings.results_topic, k->results_partition);
  mg_err err = mg_kafka_committed_offsets(k, k->reader, list, until, e);
  *offset = list->elems[0].offset;
  rd_kafka_topic_partition_list_destroy(list);
  if (err != MG_OK || *offset >= 0) return err;
  int64_t began = began_ms(k->run);
  err = mg_kafka_offsets(k, k->settings.results_topic, k->results_partition, 1, began > EARLIER_MS ? began - EARLIER_MS : RD_KAFKA_OFFSET_BEGINNING, offset,
                         until, e);
  if (err == MG_OK && *offset < 0) err = mg_kafka_offsets(k, k->settings.results_topic, k->results_partition, 1, RD_KAFKA_OFFSET_END, offset, until, e);
  return err;
}

/* Those of the partitions that find room, as text. */
static void what_is_ours(const mg_kafka *k, char *out, size_t cap) {
  size_t len = 0;
  out[0] = '\0';
  for (size_t i = 0; i < k->partition_count && len + 16 < cap; i++) {
    const mg_kafka_partition *p = &k->partitions[i];
    if (p->assigned && !p->leaving) len += (size_t)snprintf(out + len, cap - len, "%d,", (int)p->number);
  }
}

static mg_err say(mg_kafka *k, const char *kind, const char *subject, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  char has[512];
  what_is_ours(k, has, sizeof has);
  mg_kafka_out out = {.topic = k->settings.results_topic,
                      .partition = MG_KAFKA_NOTES_PARTITION,
                      .has = has[0] != '\0' ? has : NULL,
                      .kind = kind,
                      .run = k->run != NULL ? k->run : "",
                      .from = subject,
                      .ttl_ms = ttl_ms,
                      .body = body};
  mg_err err = mg_kafka_produce(k, &out, 1, until, e);
  return err == MG_OK ? out.err : err;
}

mg_err mg_kafka_reader_open(mg_kafka *k, mg_ms until, mg_error *e) {
  char group[512];
  (void)snprintf(group, sizeof group, "%s.%s", k->settings.group, k->run != NULL ? k->run : "notes");
  k->reader = mg_kafka_handle(k, MG_KAFKA_READER, group, e);
  if (k->reader == NULL) return MG_ARG;
  int64_t notes = 0, results = 0;
  mg_err err = mg_kafka_offsets(k, k->settings.results_topic, MG_KAFKA_NOTES_PARTITION, 1, RD_KAFKA_OFFSET_END, &notes, until, e);
  if (err == MG_OK && k->run != NULL) err = first_result(k, &results, until, e);
  if (err != MG_OK) return err;
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(2);
  if (list == NULL) return mg_fail(e, MG_NOMEM, "no memory for offsets");
  bool one = k->run != NULL && k->results_partition == MG_KAFKA_NOTES_PARTITION; /* a topic of one partition holds both */
  rd_kafka_topic_partition_list_add(list, k->settings.results_topic, MG_KAFKA_NOTES_PARTITION)->offset = one ? results : notes;
  if (k->run != NULL && !one) rd_kafka_topic_partition_list_add(list, k->settings.results_topic, k->results_partition)->offset = results;
  rd_kafka_resp_err_t code = rd_kafka_assign(k->reader, list);
  rd_kafka_topic_partition_list_destroy(list);
  if (code != RD_KAFKA_RESP_ERR_NO_ERROR) return mg_kafka_fault(k, code, "results cannot be read", e);
  return say(k, HELLO, k->identity, (mg_slice){0}, 0, until, e);
}

static void hear(mg_kafka *k, const char *has, mg_ms ttl_ms) {
  mg_kafka_heard now = {.at = mg_now_ms(), .silent_ms = ttl_ms / 3}; /* a beat lives for three times the silence that is suffered */
  for (char *end; k->heard != NULL && has != NULL && *has != '\0'; has = end) {
    long number = strtol(has, &end, 10);
    if (end == has) return;
    if (number >= 0 && number < k->task_partitions) k->heard[number] = now;
    if (*end == ',') end++;
  }
}

static void take_note(mg_kafka *k, const rd_kafka_message_t *m, const char *kind) {
  const char *from = mg_kafka_header(m, "from"), *ttl = mg_kafka_header(m, "ttl"), *run = mg_kafka_header(m, "run");
  if (from == NULL || run == NULL) return;
  bool of_coordinator = run[0] != '\0';
  if (strcmp(kind, HELLO) == 0) { /* whoever is new hears what was said before: workers the controls, coordinators the beats */
    if (of_coordinator != (k->run != NULL)) k->say_again = true;
    return;
  }
  bool beat = strcmp(kind, "beat") == 0;
  if ((!beat && strcmp(kind, "control") != 0) || ttl == NULL || beat != (k->run != NULL)) return;
  if (beat) hear(k, mg_kafka_header(m, "has"), strtoll(ttl, NULL, 10));
  (void)mg_newest_put(&k->notes, from, (mg_slice){m->payload, m->len}, mg_now_ms() + strtoll(ttl, NULL, 10), NULL);
}

static bool keep_result(mg_kafka *k, rd_kafka_message_t *m) {
  if (k->stash_count == k->stash_cap) {
    size_t cap = k->stash_cap == 0 ? 64 : 2 * k->stash_cap;
    rd_kafka_message_t **grown = realloc(k->stash, cap * sizeof(rd_kafka_message_t *));
    if (grown == NULL) return false;
    k->stash = grown;
    k->stash_cap = cap;
  }
  k->stash[k->stash_count++] = m;
  return true;
}

static void say_again(mg_kafka *k) {
  mg_ms now = mg_now_ms();
  k->say_again = false;
  mg_newest_expire(&k->said, now);
  for (size_t i = 0; i < k->said.count; i++) {
    const mg_newest_item *n = &k->said.items[i];
    if (say(k, k->run != NULL ? "control" : "beat", n->subject, (mg_slice){n->body, n->len}, n->expires - now, now + OPEN_STEP_MS, NULL) != MG_OK) return;
  }
}

/* Notes are taken in at once, results wait for fetch_results; that many at a time that memory stays bounded. */
mg_err mg_kafka_read(mg_kafka *k, mg_error *e) {
  mg_err err = MG_OK;
  for (int i = 0; i < READ_MOST && k->stash_count < READ_MOST && err == MG_OK; i++) {
    rd_kafka_message_t *m = rd_kafka_consumer_poll(k->reader, 0);
    if (m == NULL) break;
    if (m->err == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART) err = mg_fail(e, MG_CONN, "the topic %s is gone; it is made again", k->settings.results_topic);
    if (m->err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED) err = mg_kafka_fault(k, m->err, "results cannot be read", e);
    const char *kind = m->err == RD_KAFKA_RESP_ERR_NO_ERROR ? mg_kafka_header(m, "kind") : NULL;
    bool result = kind != NULL && strcmp(kind, "result") == 0;
    bool ours = k->run != NULL && m->err == RD_KAFKA_RESP_ERR_NO_ERROR && m->partition == k->results_partition;
    if (ours) mg_kafka_mark_fetched(&k->results, m->offset);
    const char *run = result ? mg_kafka_header(m, "run") : NULL;
    bool wanted = ours && (kind == NULL || (run != NULL && strcmp(run, k->run) == 0)); /* what has no kind is garbage: the link names it */
    if (wanted && keep_result(k, m)) continue;
    if (ours) (void)mg_kafka_mark_done(&k->results, m->offset);
    if (kind != NULL && !result) take_note(k, m, kind);
    rd_kafka_message_destroy(m);
  }
  if (err == MG_OK && k->say_again) say_again(k);
  return err;
}

/* ---- results ---- */

void mg_kafka_commit_results(mg_kafka *k, bool wait) {
  static const mg_ms every = COMMIT_EVERY_MS;
  mg_ms now = mg_now_ms();
  if (k->reader == NULL || k->run == NULL || k->results.low < 0) return;
  if (!wait && (k->results.low == k->results.committed || now - k->committed_ms < every)) return; /* the last one may be under way still */
  k->committed_ms = now;
  rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(1);
  if (list == NULL) return;
  rd_kafka_topic_partition_list_add(list, k->settings.results_topic, k->results_partition)->offset = k->results.low;
  rd_kafka_resp_err_t code = wait ? mg_kafka_commit_and_wait(k->reader, list) : rd_kafka_commit(k->reader, list, 1);
  if (code == RD_KAFKA_RESP_ERR_NO_ERROR) k->results.committed = k->results.low;
  rd_kafka_topic_partition_list_destroy(list);
}

static mg_err give(mg_kafka *k, size_t max, mg_batch *out, mg_error *e) {
  size_t n = 0;
  mg_err err = MG_OK;
  for (; n < k->stash_count && n < max && err == MG_OK; n++) {
    rd_kafka_message_t *m = k->stash[n];
    mg_lease *l = mg_kafka_lease_new(k, m, true);
    mg_delivery d = {.run = l != NULL ? l->run : "",
                     .task = l != NULL ? l->task : "",
                     .attempt = l != NULL ? l->attempt : 0,
                     .from = "",
                     .body = {m->payload, m->len},
                     .lease = l};
    if (l == NULL || !mg_batch_add(out, &d)) {
      mg_kafka_lease_free(k, l);
      err = mg_fail(e, MG_NOMEM, "no memory for results");
      break;
    }
    rd_kafka_message_destroy(m);
  }
  memmove(k->stash, k->stash + n, (k->stash_count - n) * sizeof *k->stash);
  k->stash_count -= n;
  return err;
}

mg_err mg_kafka_fetch_results(mg_backend *b, size_t max, mg_ms until, mg_batch *out, mg_error *e) {
  mg_kafka *k = mg_kafka_of(b);
  if (k->run == NULL) return mg_fail(e, MG_ARG, "only a coordinator fetches results: this backend was opened without a run");
  for (;;) {
    mg_err err = mg_kafka_serve(k, e);
    if (err == MG_OK) err = mg_kafka_read(k, e);
    mg_kafka_commit_results(k, false);
    if (err == MG_OK && k->stash_count > 0) return max > 0 ? give(k, max, out, e) : MG_OK;
    if (err != MG_OK || mg_now_ms() >= until || !mg_kafka_wait(k, until)) return err;
  }
}

mg_err mg_kafka_ack_results(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  mg_kafka *k = mg_kafka_of(b);
  (void)until;
  mg_err err = mg_kafka_serve(k, e);
  for (size_t i = 0; i < count; i++) {
    mg_lease *l = items[i].lease;
    items[i].err = err;
    if (err != MG_OK) continue;
    items[i].err = l != NULL && l->result && !l->settled && mg_kafka_mark_done(&k->results, l->offset) ? MG_OK : MG_LOST;
    if (l != NULL && l->result) l->settled = true;
  }
  if (err == MG_OK) mg_kafka_commit_results(k, false);
  return err;
}

/* ---- notes ---- */

mg_err mg_kafka_beat(mg_backend *b, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  mg_kafka *k = mg_kafka_of(b);
  mg_err err = mg_kafka_serve(k, e);
  (void)mg_newest_put(&k->said, k->identity, body, mg_now_ms() + ttl_ms, NULL);
  return err == MG_OK ? say(k, "beat", k->identity, body, ttl_ms, until, e) : err;
}

mg_err mg_kafka_control(mg_backend *b, const char *subject, mg_slice body, mg_ms ttl_ms, mg_ms until, mg_error *e) {
  mg_kafka *k = mg_kafka_of(b);
  mg_err err = mg_kafka_serve(k, e);
  (void)mg_newest_put(&k->said, subject, body, mg_now_ms() + ttl_ms, NULL);
  return err == MG_OK ? say(k, "control", subject, body, ttl_ms, until, e) : err;
}

mg_err mg_kafka_read_beats(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e) {
  mg_kafka *k = mg_kafka_of(b);
  (void)until;
  if (k->run == NULL) return mg_fail(e, MG_ARG, "only a coordinator reads beats: this backend was opened without a run");
  mg_err err = mg_kafka_serve(k, e);
  if (err == MG_OK) err = mg_kafka_read(k, e);
  return err == MG_OK ? mg_newest_give(&k->notes, true, out, e) : err;
}

mg_err mg_kafka_read_controls(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e) {
  mg_kafka *k = mg_kafka_of(b);
  (void)until;
  mg_err err = mg_kafka_serve(k, e);
  if (err == MG_OK) err = mg_kafka_read(k, e);
  return err == MG_OK ? mg_newest_give(&k->notes, false, out, e) : err;
}
