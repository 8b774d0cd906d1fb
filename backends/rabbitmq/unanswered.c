/* Messages that were sent and not answered within their call: what is published again is looked for here first. */
#include "backends/rabbitmq/parts.h"
#include "base/hash.h"

#include <stdio.h>
#include <stdlib.h>

/* False where the message has no identity (beats, controls): those may well be there twice. */
static bool name_of(const mg_rabbit_out *m, uint64_t name[2]) {
  char text[1200];
  if (m->task == NULL) return false;
  int len = snprintf(text, sizeof text, "%s\n%s\n%s\n%s\n%u", m->exchange, m->key, m->run != NULL ? m->run : "", m->task, (unsigned)m->attempt);
  if (len < 0 || (size_t)len >= sizeof text) return false;
  mg_xxh3_128(text, (size_t)len, &name[0], &name[1]);
  return true;
}

static void forget(mg_rabbit *r, size_t i) { r->unanswered[i] = r->unanswered[--r->unanswered_count]; }

void mg_rabbit_left_behind(mg_rabbit *r, const mg_rabbit_out *m, uint64_t tag) {
  mg_rabbit_unanswered u = {.tag = tag, .since = mg_now_ms()};
  if (!name_of(m, u.name)) return;
  if (r->unanswered == NULL) r->unanswered = calloc(MG_RABBIT_UNANSWERED, sizeof *r->unanswered);
  if (r->unanswered == NULL || r->unanswered_count == MG_RABBIT_UNANSWERED) return; /* then it may be there twice */
  r->unanswered[r->unanswered_count++] = u;
}

void mg_rabbit_late_answer(mg_rabbit *r, uint64_t tag, bool multiple, mg_err err) {
  for (size_t i = 0; i < r->unanswered_count; i++) {
    mg_rabbit_unanswered *u = &r->unanswered[i];
    if (u->answered || (multiple ? u->tag > tag : u->tag != tag)) continue;
    u->answered = true;
    u->answer = u->returned ? MG_LOST : err;
  }
}

void mg_rabbit_late_return(mg_rabbit *r, uint64_t tag) {
  for (size_t i = 0; i < r->unanswered_count; i++) {
    if (r->unanswered[i].tag == tag) r->unanswered[i].returned = true;
  }
}

mg_err mg_rabbit_sent_before(mg_rabbit *r, const mg_rabbit_out *m) {
  uint64_t name[2];
  if (r->unanswered_count == 0 || !name_of(m, name)) return MG_LOST;
  mg_ms now = mg_now_ms();
  for (size_t i = 0; i < r->unanswered_count;) {
    const mg_rabbit_unanswered *u = &r->unanswered[i];
    bool old = now - u->since >= MG_RABBIT_UNANSWERED_MS; /* no answer will come, or nobody asks */
    bool same = u->name[0] == name[0] && u->name[1] == name[1];
    if (same && !old && !u->answered) return MG_TIMEOUT;
    mg_err answer = u->answer;
    if (old || same)
      forget(r, i);
    else
      i++;
    if (same) return !old && answer == MG_OK ? MG_OK : MG_LOST;
  }
  return MG_LOST;
}
