/* What the link counts of its calls, and what the broker tells of itself. */
#include "dispatch/link_internal.h"

enum { ANSWER_MS = 1000, SHOW_EVERY_MS = 100 };

void mg_link_count_call(mg_timing *t, int64_t from_ns) { mg_timing_add(t, (double)(mg_now_ns() - from_ns) / 1e9, 1); }

/* The connection alone counts: a broker that will not tell, or a user who may not ask, costs no more than the numbers. */
static bool still_there(mg_link *l, mg_err err, mg_error *e) { return err != MG_CONN || mg_link_outcome(l, err, e) != MG_CONN; }

static bool ask_depth(mg_link *l) {
  mg_error e = {0};
  mg_depth d = {-1, -1, -1, -1, -1};
  mg_err err = l->config.backend->depth(l->backend, NULL, mg_now_ms() + ANSWER_MS, &d, &e);
  if (err == MG_OK) l->stats.depth = d;
  return still_there(l, err, &e);
}

static bool ask_broker(mg_link *l) {
  mg_error e = {0};
  mg_broker_stats s = {.lag = -1};
  if (l->config.backend->stats == NULL) return true;
  mg_err err = l->config.backend->stats(l->backend, mg_now_ms() + ANSWER_MS, &s, &e);
  if (err == MG_OK) {
    if (s.throttled > l->throttled_before) l->stats.throttled += s.throttled - l->throttled_before;
    l->throttled_before = s.throttled;
    l->stats.broker = s;
  }
  return still_there(l, err, &e);
}

bool mg_link_ask_stats(mg_link *l) {
  mg_ms now = mg_now_ms();
  if (l->config.stats_every_ms <= 0 || now < l->next_stats || l->stop_seen) return true;
  l->next_stats = now + l->config.stats_every_ms;
  return (l->config.worker || ask_depth(l)) && ask_broker(l);
}

void mg_link_show(mg_link *l) {
  mg_ms now = mg_now_ms();
  if (now < l->next_show) return;
  l->next_show = now + SHOW_EVERY_MS;
  l->shown = l->stats;
}

void mg_link_read_stats(mg_link *l, mg_link_stats *out) {
  uv_mutex_lock(&l->lock);
  *out = l->shown;
  uv_mutex_unlock(&l->lock);
}
