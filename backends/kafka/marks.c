/* Which offsets of a partition are settled: in any order, but only the contiguous beginning may be committed. */
#include "backends/kafka/parts.h"

#include <string.h>

static bool is_done(const mg_kafka_marks *m, int64_t offset) {
  size_t bit = (size_t)(offset % MG_KAFKA_WINDOW);
  return (m->done[bit / 8] & (1u << bit % 8)) != 0;
}

static void set_done(mg_kafka_marks *m, int64_t offset, bool on) {
  size_t bit = (size_t)(offset % MG_KAFKA_WINDOW);
  uint8_t mask = (uint8_t)(1u << bit % 8);
  m->done[bit / 8] = (uint8_t)(on ? m->done[bit / 8] | mask : m->done[bit / 8] & ~mask);
}

static void rise(mg_kafka_marks *m) {
  while (m->low < m->next && is_done(m, m->low)) {
    set_done(m, m->low, false);
    m->low++;
  }
}

void mg_kafka_mark_fetched(mg_kafka_marks *m, int64_t offset) {
  if (m->low < 0 || offset < m->low || offset - m->low >= MG_KAFKA_WINDOW) { /* the first, or the log was cut: it begins here */
    memset(m->done, 0, sizeof m->done);
    m->low = m->next = m->committed = offset;
  }
  while (m->next < offset) set_done(m, m->next++, true); /* offsets that hold no message */
  m->next = offset + 1;
  rise(m);
}

bool mg_kafka_mark_done(mg_kafka_marks *m, int64_t offset) {
  if (offset < m->low || offset >= m->next || is_done(m, offset)) return false;
  set_done(m, offset, true);
  rise(m);
  return true;
}

bool mg_kafka_marks_full(const mg_kafka_marks *m) { return m->low >= 0 && m->next - m->low >= MG_KAFKA_WINDOW - 1; }
