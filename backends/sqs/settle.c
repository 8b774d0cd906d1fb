/* What becomes of messages that were received: deleted, kept longer, given back, moved to the dead letters. */
#include "backends/sqs/parts.h"

#include "base/hash.h"
#include "base/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 80, ROUNDS = 6, VISIBLE_MAX_S = 43200, HOLD_MARGIN_MS = 5000 };

/* --- batches of changes --- */

typedef struct piece { /* entries of one call */
  mg_sqs_change *items[MG_SQS_BATCH];
  size_t count;
  const char *queue;
} piece;

static void fill(void *owner, size_t index, mg_buf *body) {
  const piece *p = &((piece *)owner)[index];
  mg_buf_puts(body, ",\"Entries\":[");
  for (size_t i = 0; i < p->count; i++) {
    mg_buf_putf(body, "%s{\"Id\":\"%zu\",\"ReceiptHandle\":", i > 0 ? "," : "", i);
    mg_sqs_put_string(body, p->items[i]->receipt);
    if (p->items[i]->visible_s >= 0) mg_buf_putf(body, ",\"VisibilityTimeout\":%d", p->items[i]->visible_s);
    mg_buf_puts(body, "}");
  }
  mg_buf_puts(body, "]");
}

/* A receipt that means nothing any more, in the words that SQS has for it. */
static mg_err entry_fault(const char *code, const char *message, bool sender) {
  if (strstr(code, "ReceiptHandleIsInvalid") != NULL || strstr(code, "MessageNotInflight") != NULL) return MG_LOST;
  if (strstr(code, "InvalidParameterValue") != NULL && (strcasestr(message, "receipt") != NULL || strcasestr(message, "VisibilityTimeout") != NULL))
    return MG_LOST;
  return sender ? MG_ARG : MG_AGAIN;
}

static size_t entry_of(json_t *entry, size_t count) {
  const char *id = json_string_value(json_object_get(entry, "Id"));
  size_t i = id == NULL ? count : (size_t)strtoul(id, NULL, 10);
  return i < count ? i : count;
}

/* Entries that the reply does not name stay to be asked again. */
static void read_reply(piece *p, const mg_sqs_job *j, mg_error *e) {
  size_t k;
  json_t *entry;
  for (size_t i = 0; i < p->count; i++) p->items[i]->err = j->err == MG_OK ? MG_AGAIN : j->err;
  if (j->err == MG_ARG) { /* the call as a whole: SQS names no entry */
    for (size_t i = 0; i < p->count; i++) p->items[i]->err = entry_fault(j->code, e->text, true);
  }
  json_array_foreach(json_object_get(j->reply, "Successful"), k, entry) {
    size_t i = entry_of(entry, p->count);
    if (i < p->count) p->items[i]->err = MG_OK;
  }
  json_array_foreach(json_object_get(j->reply, "Failed"), k, entry) {
    size_t i = entry_of(entry, p->count);
    const char *code = json_string_value(json_object_get(entry, "Code")), *message = json_string_value(json_object_get(entry, "Message"));
    if (i == p->count) continue;
    if (code == NULL) code = "";
    if (message == NULL) message = "";
    p->items[i]->err = entry_fault(code, message, json_is_true(json_object_get(entry, "SenderFault")));
    if (p->items[i]->err != MG_LOST) (void)mg_fail(e, p->items[i]->err, "%s: SQS refused an entry: %s %.200s", j->action, code, message);
  }
}

/* One round over what is not settled; true where something is left for another. */
static bool change_round(mg_sqs *s, mg_sqs_change *items, size_t count, mg_ms until, mg_error *e) {
  piece pieces[CHUNK];
  mg_sqs_job jobs[CHUNK];
  size_t n = 0;
  bool left = false;
  for (size_t i = 0; i < count; i++) {
    if (items[i].err != MG_AGAIN) continue;
    if (n == 0 || pieces[n - 1].count == MG_SQS_BATCH || strcmp(pieces[n - 1].queue, items[i].queue) != 0) {
      if (n == CHUNK) break;
      pieces[n++] = (piece){.queue = items[i].queue};
    }
    pieces[n - 1].items[pieces[n - 1].count++] = &items[i];
  }
  for (size_t i = 0; i < n; i++) {
    jobs[i] = (mg_sqs_job){.action = pieces[i].items[0]->visible_s < 0 ? "DeleteMessageBatch" : "ChangeMessageVisibilityBatch",
                           .queue = pieces[i].queue,
                           .fill = fill,
                           .owner = pieces,
                           .index = i};
  }
  (void)mg_sqs_run(&s->client, jobs, n, until, e);
  for (size_t i = 0; i < n; i++) read_reply(&pieces[i], &jobs[i], e);
  mg_sqs_jobs_fini(jobs, n);
  for (size_t i = 0; i < count; i++) left = left || items[i].err == MG_AGAIN;
  return left;
}

/* What a call as a whole is to say: entries that fail alone have their own err. */
static mg_err overall(mg_err worst) { return worst == MG_CONN || worst == MG_FATAL || worst == MG_NOMEM ? worst : MG_OK; }

mg_err mg_sqs_change_all(mg_sqs *s, mg_sqs_change *items, size_t count, mg_ms until, mg_error *e) {
  mg_error own = {0};
  for (size_t i = 0; i < count; i++) items[i].err = MG_AGAIN;
  for (unsigned round = 0; count > 0 && change_round(s, items, count, until, &own) && round < ROUNDS; round++) {
    mg_ms again = mg_now_ms() + mg_sqs_back_off(round);
    if (again >= until) break;
    while (mg_sqs_http_wait(s->client.http, again, -1) != MG_TIMEOUT) continue;
  }
  mg_err worst = MG_OK;
  for (size_t i = 0; i < count; i++) {
    mg_err err = overall(items[i].err);
    if (err > worst) worst = err;
  }
  if (e != NULL && own.text[0] != '\0') *e = own;
  return worst;
}

/* --- what may go some time --- */

void mg_sqs_discard(mg_sqs *s, const char *queue, const char *receipt) {
  if (s->trash_count == MG_SQS_TRASH) return; /* it comes again, and goes then */
  mg_sqs_receipt r = {strdup(queue), strdup(receipt)};
  if (r.queue == NULL || r.receipt == NULL) {
    free(r.queue);
    free(r.receipt);
    return;
  }
  if (s->trash_count == 0) s->trash_ms = mg_now_ms();
  s->trash[s->trash_count++] = r;
}

void mg_sqs_empty_trash(mg_sqs *s, mg_ms until) {
  mg_sqs_change changes[MG_SQS_TRASH];
  mg_error ignored = {0};
  size_t n = s->trash_count;
  for (size_t i = 0; i < n; i++) changes[i] = (mg_sqs_change){s->trash[i].queue, s->trash[i].receipt, -1, MG_OK};
  (void)mg_sqs_change_all(s, changes, n, until, &ignored);
  for (size_t i = 0; i < n; i++) {
    free(s->trash[i].queue);
    free(s->trash[i].receipt);
  }
  s->trash_count = 0;
}

/* --- leases --- */

bool mg_sqs_is_held(const mg_lease *l, const mg_sqs_feed *f) { return l != NULL && l->feed == f && l->state == MG_SQS_HELD; }

static void settled(mg_lease *l) {
  if (l->state == MG_SQS_HELD) l->feed->held--;
  l->state = MG_SQS_SETTLED;
}

static int seconds_of(mg_ms ms) {
  mg_ms s = (ms + 999) / 1000;
  return s < 0 ? 0 : s > VISIBLE_MAX_S ? VISIBLE_MAX_S : (int)s;
}

/* Calls of delete and change with a receipt each; late: a lease that has ended may be tried all the same. */
static mg_err settle(mg_sqs *s, mg_sqs_feed *f, mg_settle *items, size_t count, bool late, int (*visible)(mg_sqs *, const mg_settle *, mg_ms), mg_ms until,
                     mg_error *e) {
  mg_ms now = mg_now_ms();
  mg_sqs_change *changes = calloc(count + 1, sizeof *changes);
  size_t *at = calloc(count + 1, sizeof *at), n = 0;
  mg_err err = MG_OK;
  if (changes == NULL || at == NULL) {
    err = mg_fail(e, MG_NOMEM, "no memory to settle %zu messages", count);
    for (size_t i = 0; i < count; i++) items[i].err = MG_NOMEM;
    goto out;
  }
  for (size_t i = 0; i < count; i++) {
    const mg_lease *l = items[i].lease;
    items[i].err = MG_LOST;
    if (!mg_sqs_is_held(l, f) || (!late && now >= l->ends_ms)) continue;
    changes[n] = (mg_sqs_change){f->queue, l->receipt, visible == NULL ? -1 : visible(s, &items[i], now), MG_OK};
    at[n++] = i;
  }
  err = mg_sqs_change_all(s, changes, n, until, e);
  for (size_t k = 0; k < n; k++) items[at[k]].err = changes[k].err;
out:
  free(changes);
  free(at);
  return err;
}

/* No longer than SQS lets a message be held in all. */
static int extension(mg_sqs *s, const mg_settle *item, mg_ms now) {
  mg_ms last = item->lease->came_ms + s->settings.hold_ms - HOLD_MARGIN_MS;
  mg_ms ms = item->ms < last - now ? item->ms : last - now;
  return seconds_of(ms < 0 ? 0 : ms);
}

mg_err mg_sqs_extend(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  mg_sqs *s = mg_sqs_of(b);
  mg_sqs_upkeep(s, until);
  mg_ms now = mg_now_ms();
  mg_err err = settle(s, &s->tasks, items, count, false, extension, until, e);
  for (size_t i = 0; i < count; i++) {
    mg_lease *l = items[i].lease;
    if (items[i].err == MG_LOST && mg_sqs_is_held(l, &s->tasks)) settled(l);
    if (items[i].err != MG_OK) continue;
    int visible = extension(s, &items[i], now);
    l->ends_ms = now + 1000 * (mg_ms)visible;
    if (visible > 0) continue;
    /* It was given back: as long as this SQS lets nobody hold a message. */
    static mg_log_limit limit;
    mg_log_rarely(&limit, 60000, MG_LOG_WARN, "hold_limit", MG_NO_FIELDS,
                  "a task was held as long as SQS allows and goes back to the queue; smaller tasks end earlier");
    items[i].err = MG_LOST;
    settled(l);
  }
  return err;
}

static mg_err ack_from(mg_sqs *s, mg_sqs_feed *f, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  mg_sqs_envelope v;
  mg_err err = settle(s, f, items, count, true, NULL, until, e);
  for (size_t i = 0; i < count; i++) {
    mg_lease *l = items[i].lease;
    if ((items[i].err != MG_OK && items[i].err != MG_LOST) || !mg_sqs_is_held(l, f)) continue;
    settled(l);
    if (items[i].err == MG_OK && mg_sqs_envelope_read(&v, (mg_slice){(const uint8_t *)l->text, l->len}, NULL) && v.object[0] != '\0')
      mg_sqs_drop_object(s, &v, until);
  }
  return err;
}

mg_err mg_sqs_ack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  return ack_from(mg_sqs_of(b), &mg_sqs_of(b)->tasks, items, count, until, e);
}

mg_err mg_sqs_ack_results(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  mg_sqs *s = mg_sqs_of(b);
  if (s->run == NULL) return mg_fail(e, MG_ARG, "only a coordinator settles results: this backend was opened without a run");
  return ack_from(s, &s->results, items, count, until, e);
}

static int delay(mg_sqs *s, const mg_settle *item, mg_ms now) {
  (void)s, (void)now;
  return seconds_of(item->ms);
}

/* Sends a held message once more, with another reason or as a new one, to be deleted then. */
static mg_err send_again(mg_sqs *s, mg_settle *items, size_t count, bool dead, mg_ms until, mg_error *e) {
  mg_sqs_out *outs = calloc(count + 1, sizeof *outs);
  mg_err err = MG_OK;
  if (outs == NULL) return mg_fail(e, MG_NOMEM, "no memory to move %zu messages", count);
  mg_buf_clear(&s->texts);
  for (size_t i = 0; i < count; i++) {
    const mg_lease *l = items[i].lease;
    mg_sqs_envelope v;
    mg_slice text = {(const uint8_t *)l->text, l->len};
    (void)mg_sqs_envelope_read(&v, text, NULL);
    v.kind = 't';
    (void)snprintf(v.why, sizeof v.why, "%s", dead && items[i].why != NULL ? items[i].why : "");
    v.not_before_ms = !dead && s->settings.fifo && items[i].ms > 0 ? mg_sqs_server_ms(&s->client) + items[i].ms : 0;
    outs[i] = (mg_sqs_out){.queue = dead ? s->dead : s->settings.queue,
                           .fifo = s->settings.fifo,
                           .at = s->texts.len,
                           .delay_s = (uint32_t)(dead || s->settings.fifo ? 0 : seconds_of(items[i].ms))};
    if (outs[i].delay_s > 900) outs[i].delay_s = 900;
    (void)snprintf(outs[i].id, sizeof outs[i].id, "%016llx%016llx", (unsigned long long)mg_random64(), (unsigned long long)mg_random64());
    mg_sqs_envelope_again(&s->texts, &v, text);
    outs[i].len = s->texts.len - outs[i].at;
  }
  err = dead ? mg_sqs_send_dead(s, outs, count, until, e) : mg_sqs_send(s, outs, count, until, e);
  for (size_t i = 0; i < count; i++) items[i].err = outs[i].err;
  free(outs);
  return err;
}

/* Sends the held ones again and deletes what came. A delete that fails leaves the old one to come again: then the task is twice on the queue, and
 * its second result is dropped. */
static mg_err move(mg_sqs *s, mg_settle *items, size_t count, bool dead, mg_ms until, mg_error *e) {
  mg_ms now = mg_now_ms();
  size_t n = 0, sent = 0, *at = calloc(count + 1, sizeof *at);
  mg_settle *held = calloc(count + 1, sizeof *held);
  mg_sqs_change *changes = calloc(count + 1, sizeof *changes);
  mg_err err = MG_OK;
  if (at == NULL || held == NULL || changes == NULL) {
    err = mg_fail(e, MG_NOMEM, "no memory to move %zu messages", count);
    goto out;
  }
  for (size_t i = 0; i < count; i++) {
    items[i].err = MG_LOST;
    if (!mg_sqs_is_held(items[i].lease, &s->tasks) || now >= items[i].lease->ends_ms) continue;
    held[n] = items[i];
    at[n++] = i;
  }
  if (n == 0) goto out;
  err = send_again(s, held, n, dead, until, e);
  for (size_t k = 0; k < n; k++) {
    items[at[k]].err = held[k].err;
    if (held[k].err == MG_OK) changes[sent++] = (mg_sqs_change){s->tasks.queue, held[k].lease->receipt, -1, MG_OK};
  }
  (void)mg_sqs_change_all(s, changes, sent, until, e);
  for (size_t k = 0; k < n; k++) {
    if (held[k].err == MG_OK) settled(held[k].lease);
  }
out:
  free(at);
  free(held);
  free(changes);
  return err;
}

mg_err mg_sqs_dead_letter(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) { return move(mg_sqs_of(b), items, count, true, until, e); }

/* Giving back counts as a receive for the queue's redrive policy: the last that it allows is used up by a new message instead. */
static bool at_the_limit(const mg_sqs *s, const mg_settle *item) {
  return s->redrive_after > 0 && mg_sqs_is_held(item->lease, &s->tasks) && item->lease->receives >= s->redrive_after;
}

mg_err mg_sqs_nack(mg_backend *b, mg_settle *items, size_t count, mg_ms until, mg_error *e) {
  mg_sqs *s = mg_sqs_of(b);
  mg_err err = MG_OK;
  size_t from = 0;
  while (from < count && err == MG_OK) { /* runs of items of one kind */
    bool anew = at_the_limit(s, &items[from]);
    size_t n = 1;
    while (from + n < count && at_the_limit(s, &items[from + n]) == anew) n++;
    err = anew ? move(s, items + from, n, false, until, e) : settle(s, &s->tasks, items + from, n, false, delay, until, e);
    for (size_t i = from; !anew && i < from + n; i++) {
      if ((items[i].err == MG_OK || items[i].err == MG_LOST) && mg_sqs_is_held(items[i].lease, &s->tasks)) settled(items[i].lease);
    }
    from += n;
  }
  for (; from < count; from++) items[from].err = err;
  return err;
}
