/* The link's worker side over the memory backend: what is fetched, kept, extended, beaten, given back, and what outlives a lost connection. */
#include "dispatch/link.h"
#include "tests/brokers/brokers.h"
#include "tests/dispatch/link_bench.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { WAIT_MS = 5000, SEEN_MAX = 256 };

typedef struct seen_event {
  mg_link_event_kind kind;
  uint64_t token;
  mg_err err;
  char text[200];
  char task[64];
  mg_control control;
} seen_event;

typedef struct bench {
  mg_link_bench at;
  seen_event seen[SEEN_MAX];
  size_t count, drains;
} bench;

static void on_event(void *owner, const mg_link_event *ev) {
  bench *b = owner;
  if (ev->kind == MG_EV_STOPPED) b->at.stopped = true;
  if (b->count == SEEN_MAX) return;
  seen_event *s = &b->seen[b->count++];
  *s = (seen_event){.kind = ev->kind, .token = ev->token, .err = ev->err, .control = ev->control};
  (void)snprintf(s->text, sizeof s->text, "%s", ev->text);
  if (ev->kind == MG_EV_TASK) {
    mg_task t;
    assert_int_equal(mg_task_decode(&t, ev->body, NULL), MG_OK);
    (void)snprintf(s->task, sizeof s->task, "%s", t.id);
  }
}

static void on_drained(void *owner) { ((bench *)owner)->drains++; }

static void set_up(bench *b, bool worker) {
  memset(b, 0, sizeof *b);
  mg_link_bench_open(&b->at, worker);
  mg_link_config *c = &b->at.config;
  c->backend = &faulty_backend;
  c->lease_ms = 300;
  c->beat_every_ms = 50;
  c->poll_ms = 200;
  c->tick_limit_ms = 1000;
  c->event = on_event;
  c->drained = on_drained;
  c->owner = b;
}

static void start(bench *b) { mg_link_bench_start(&b->at); }

static void tear_down(bench *b) { mg_link_bench_close(&b->at, WAIT_MS); }

static size_t count(const bench *b, mg_link_event_kind kind) {
  size_t n = 0;
  for (size_t i = 0; i < b->count; i++) n += b->seen[i].kind == kind;
  return n;
}

static const seen_event *last(const bench *b, mg_link_event_kind kind) {
  for (size_t i = b->count; i-- > 0;) {
    if (b->seen[i].kind == kind) return &b->seen[i];
  }
  fail_msg("no event of kind %d", (int)kind);
  return NULL;
}

static void wait_for(bench *b, mg_link_event_kind kind, size_t n) {
  for (mg_ms end = mg_now_ms() + WAIT_MS; count(b, kind) < n && mg_now_ms() < end;) (void)uv_run(&b->at.loop, UV_RUN_ONCE);
  if (count(b, kind) < n) fail_msg("only %zu of %zu events of kind %d came", count(b, kind), n, (int)kind);
}

static void run_for(bench *b, mg_ms ms) {
  for (mg_ms end = mg_now_ms() + ms; mg_now_ms() < end;) (void)uv_run(&b->at.loop, UV_RUN_ONCE);
}

static void publish_body(bench *b, const char *id, mg_slice body) {
  mg_publish p = {.run = "r1", .task = id, .attempt = 1, .body = body};
  assert_int_equal(mg_memory_backend.publish_tasks(b->at.other, &p, 1, mg_now_ms() + 1000, NULL), MG_OK);
}

static void publish(bench *b, const char *id, const mg_codec *codec) {
  static const mg_codec plain;
  mg_task t = {.run = "r1", .attempt = 1, .count = 1, .candidate = "v2"};
  mg_buf body = {0}, framed = {0};
  (void)snprintf(t.id, sizeof t.id, "%s", id);
  mg_task_encode(&body, &t);
  assert_int_equal(mg_frame_seal(codec == NULL ? &plain : codec, mg_buf_slice(&body), &framed, NULL), MG_OK);
  publish_body(b, id, mg_buf_slice(&framed));
  mg_buf_fini(&body);
  mg_buf_fini(&framed);
}

static size_t results(bench *b) {
  mg_batch batch = {0};
  (void)mg_memory_backend.fetch_results(b->at.other, 100, mg_now_ms() + 20, &batch, NULL);
  size_t n = batch.count;
  for (size_t i = 0; i < n; i++) {
    mg_settle s = {.lease = batch.items[i].lease};
    (void)mg_memory_backend.ack_results(b->at.other, &s, 1, mg_now_ms() + 1000, NULL);
    mg_memory_backend.forget(b->at.other, batch.items[i].lease);
  }
  mg_batch_clear(&batch);
  return n;
}

static mg_depth depth(bench *b) {
  mg_depth d;
  assert_int_equal(mg_memory_backend.depth(b->at.other, "r1", mg_now_ms() + 1000, &d, NULL), MG_OK);
  return d;
}

static size_t reclaim_ended(bench *b) {
  mg_batch batch = {0};
  assert_int_equal(mg_memory_backend.reclaim(b->at.other, "r1", NULL, NULL, 0, mg_now_ms() + 1000, &batch, NULL), MG_OK);
  size_t n = batch.count;
  mg_batch_clear(&batch);
  return n;
}

/* The counter of w1's newest beat. */
static uint64_t beats(bench *b) {
  mg_batch batch = {0};
  uint64_t counter = 0;
  (void)mg_memory_backend.read_beats(b->at.other, mg_now_ms() + 1000, &batch, NULL);
  for (size_t i = 0; i < batch.count; i++) {
    mg_slice body;
    mg_buf scratch = {0};
    mg_frame_fault fault;
    mg_beat beat = {0};
    mg_codec plain = {0};
    assert_int_equal(mg_frame_open(&plain, batch.items[i].body, &scratch, &body, &fault, NULL), MG_OK);
    assert_int_equal(mg_beat_decode(&beat, body, NULL), MG_OK);
    counter = beat.counter;
    mg_beat_fini(&beat);
    mg_buf_fini(&scratch);
  }
  mg_batch_clear(&batch);
  return counter;
}

static void set_beat(bench *b) {
  mg_beat beat = {.worker = "w1", .executors = 1};
  mg_buf body = {0};
  mg_beat_encode(&body, &beat);
  mg_link_set_beat(b->at.link, mg_buf_slice(&body), true);
  mg_buf_fini(&body);
}

/* --- tests --- */

static void fetch_finish_settle(void **state) {
  (void)state;
  bench b;
  set_up(&b, true);
  start(&b);
  publish(&b, "1.1", NULL);
  mg_link_want(b.at.link, 5);
  wait_for(&b, MG_EV_TASK, 1);
  assert_string_equal(last(&b, MG_EV_TASK)->task, "1.1");
  assert_int_equal(depth(&b).in_flight, 1);
  assert_int_equal(mg_link_finish(b.at.link, last(&b, MG_EV_TASK)->token, "r1", mg_slice_of("result")), MG_OK);
  wait_for(&b, MG_EV_SETTLED, 1);
  assert_int_equal(last(&b, MG_EV_SETTLED)->err, MG_OK);
  assert_int_equal(results(&b), 1);
  assert_int_equal(depth(&b).in_flight, 0);
  assert_int_equal(mg_link_backlog(b.at.link), 0);
  assert_true(b.drains > 0);
  tear_down(&b);
}

static void no_more_than_wanted(void **state) {
  (void)state;
  bench b;
  char id[16];
  set_up(&b, true);
  start(&b);
  for (int i = 1; i <= 10; i++) {
    (void)snprintf(id, sizeof id, "1.%d", i);
    publish(&b, id, NULL);
  }
  run_for(&b, 100);
  assert_int_equal(count(&b, MG_EV_TASK), 0);
  mg_link_want(b.at.link, 3);
  mg_link_want(b.at.link, 3); /* said again before the first came: still three in all */
  wait_for(&b, MG_EV_TASK, 3);
  run_for(&b, 100);
  assert_int_equal(count(&b, MG_EV_TASK), 3);
  mg_link_want(b.at.link, 2);
  wait_for(&b, MG_EV_TASK, 5);
  run_for(&b, 50);
  assert_int_equal(count(&b, MG_EV_TASK), 5);
  tear_down(&b);
  assert_int_equal(count(&b, MG_EV_TASK), 5);
}

/* What is held when the link stops goes back at once. */
static void stopping_gives_back(void **state) {
  (void)state;
  bench b;
  set_up(&b, true);
  start(&b);
  publish(&b, "1.1", NULL);
  publish(&b, "1.2", NULL);
  mg_link_want(b.at.link, 2);
  wait_for(&b, MG_EV_TASK, 2);
  (void)mg_link_give_back(b.at.link, b.seen[1].token, 0, (mg_slice){0}, "r1");
  mg_link_stop(b.at.link, mg_now_ms() + 1000);
  wait_for(&b, MG_EV_STOPPED, 1);
  assert_int_equal(depth(&b).pending, 2);
  tear_down(&b);
}

static void leases_are_extended(void **state) {
  (void)state;
  bench b;
  set_up(&b, true);
  start(&b);
  publish(&b, "1.1", NULL);
  mg_link_want(b.at.link, 1);
  wait_for(&b, MG_EV_TASK, 1);
  for (mg_ms end = mg_now_ms() + 900; mg_now_ms() < end;) { /* three leases long */
    run_for(&b, 20);
    assert_int_equal(reclaim_ended(&b), 0);
  }
  (void)mg_link_finish(b.at.link, last(&b, MG_EV_TASK)->token, "r1", mg_slice_of("result"));
  wait_for(&b, MG_EV_SETTLED, 1);
  assert_int_equal(last(&b, MG_EV_SETTLED)->err, MG_OK);
  tear_down(&b);
}

/* The main loop sleeps: beats and leases go on for tick_limit_ms, and no longer. */
static void while_main_sleeps(void **state) {
  (void)state;
  bench b;
  set_up(&b, true);
  start(&b);
  set_beat(&b);
  publish(&b, "1.1", NULL);
  mg_link_want(b.at.link, 1);
  wait_for(&b, MG_EV_TASK, 1);
  mg_link_tick(b.at.link);
  uint64_t before = beats(&b);
  for (mg_ms end = mg_now_ms() + 900; beats(&b) < before + 8 && mg_now_ms() < end;) mg_test_pause(10);
  assert_true(beats(&b) >= before + 8);
  assert_int_equal(reclaim_ended(&b), 0);
  mg_test_pause(1100); /* past the limit and one lease */
  uint64_t quiet = beats(&b);
  mg_test_pause(300);
  assert_int_equal(beats(&b), quiet);
  assert_int_equal(reclaim_ended(&b), 1);
  for (mg_ms end = mg_now_ms() + WAIT_MS; beats(&b) == quiet && mg_now_ms() < end;) run_for(&b, 10); /* awake again */
  assert_true(beats(&b) > quiet); /* it beats, and learns that the task is gone */
  wait_for(&b, MG_EV_LEASE_LOST, 1);
  (void)mg_link_finish(b.at.link, last(&b, MG_EV_TASK)->token, "r1", mg_slice_of("result"));
  wait_for(&b, MG_EV_SETTLED, 1);
  assert_int_equal(last(&b, MG_EV_SETTLED)->err, MG_LOST);
  assert_int_equal(results(&b), 1); /* it may still be the first */
  tear_down(&b);
}

static void not_beyond_max_task(void **state) {
  (void)state;
  bench b;
  set_up(&b, true);
  b.at.config.max_task_ms = 500;
  start(&b);
  mg_ms since = mg_now_ms();
  publish(&b, "1.1", NULL);
  mg_link_want(b.at.link, 1);
  wait_for(&b, MG_EV_TASK, 1);
  while (reclaim_ended(&b) == 0 && mg_now_ms() < since + WAIT_MS) run_for(&b, 10);
  mg_ms took = mg_now_ms() - since;
  assert_true(took >= 400 && took < WAIT_MS);
  tear_down(&b);
}

static void beats_count(void **state) {
  (void)state;
  bench b;
  set_up(&b, true);
  start(&b);
  run_for(&b, 100);
  assert_int_equal(beats(&b), 0); /* none was given */
  mg_ms since = mg_now_ms();
  set_beat(&b);
  while (beats(&b) < 6 && mg_now_ms() < since + WAIT_MS) run_for(&b, 10);
  mg_ms took = mg_now_ms() - since;
  assert_true(took >= 200 && took < WAIT_MS);
  tear_down(&b);
}

static void say(bench *b, mg_control_kind kind, const char *subject) {
  mg_control c = {.kind = kind};
  mg_buf body = {0}, framed = {0};
  mg_codec plain = {0};
  (void)snprintf(c.subject, sizeof c.subject, "%s", subject);
  mg_control_encode(&body, &c);
  assert_int_equal(mg_frame_seal(&plain, mg_buf_slice(&body), &framed, NULL), MG_OK);
  assert_int_equal(mg_memory_backend.control(b->at.other, subject, mg_buf_slice(&framed), 60000, mg_now_ms() + 1000, NULL), MG_OK);
  mg_buf_fini(&body);
  mg_buf_fini(&framed);
}

static void unreadable_tasks(void **state) {
  (void)state;
  bench b;
  mg_keyring *keys;
  assert_int_equal(mg_keyring_parse(&keys, "other:secret", NULL), MG_OK);
  mg_codec other_key = {.keys = keys};
  uint8_t newer[] = {99, 0, 1}, garbage[] = {1, 0, 0xff, 0x13};
  set_up(&b, true);
  start(&b);
  mg_link_want(b.at.link, 10);
  publish_body(&b, "1.1", (mg_slice){garbage, sizeof garbage});
  wait_for(&b, MG_EV_BAD_MESSAGE, 1);
  publish_body(&b, "1.2", (mg_slice){newer, sizeof newer});
  wait_for(&b, MG_EV_BAD_MESSAGE, 2);
  publish(&b, "1.3", &other_key);
  wait_for(&b, MG_EV_BAD_MESSAGE, 3);
  publish(&b, "1.4", NULL); /* the worker lives on */
  wait_for(&b, MG_EV_TASK, 1);
  assert_string_equal(last(&b, MG_EV_TASK)->task, "1.4");
  run_for(&b, 50);
  mg_depth d = depth(&b);
  assert_int_equal(d.dead, 1);
  assert_int_equal(d.pending, 2); /* with a delay of a second and more */
  assert_int_equal(d.in_flight, 1);
  assert_int_equal(count(&b, MG_EV_SETTLED), 0); /* main never knew of them */
  say(&b, MG_RUN_CLOSED, "r1");                  /* then nobody waits for a worker that can read them */
  for (mg_ms end = mg_now_ms() + 3 * WAIT_MS; d.pending > 0 && mg_now_ms() < end; d = depth(&b)) run_for(&b, 50);
  assert_int_equal(d.pending, 0);
  assert_int_equal(d.dead, 1);
  tear_down(&b);
  mg_keyring_free(keys);
}

static void across_an_outage(void **state) {
  (void)state;
  bench b;
  set_up(&b, true);
  start(&b);
  set_beat(&b);
  publish(&b, "1.1", NULL);
  publish(&b, "1.2", NULL);
  mg_link_want(b.at.link, 2);
  wait_for(&b, MG_EV_TASK, 2);
  uint64_t token = last(&b, MG_EV_TASK)->token;
  atomic_store(&faulty.down, true);
  wait_for(&b, MG_EV_DISCONNECTED, 1);
  wait_for(&b, MG_EV_LEASE_LOST, 2);
  (void)mg_link_finish(b.at.link, token, "r1", mg_slice_of("result"));
  run_for(&b, 200);
  assert_int_equal(mg_link_backlog(b.at.link), 1);
  assert_int_equal(count(&b, MG_EV_SETTLED), 0);
  atomic_store(&faulty.down, false);
  wait_for(&b, MG_EV_CONNECTED, 2);
  wait_for(&b, MG_EV_SETTLED, 1);
  assert_int_equal(last(&b, MG_EV_SETTLED)->err, MG_LOST); /* the receipt was of the old connection */
  assert_int_equal(results(&b), 1);
  assert_int_equal(mg_link_reconnects(b.at.link), 1);
  assert_int_equal(mg_link_backlog(b.at.link), 0);
  tear_down(&b);
}

/* Where receipts outlive a connection nothing is dropped: what was held is extended, and settled as if nothing had been. */
static void resumed_after_an_outage(void **state) {
  (void)state;
  bench b;
  set_up(&b, true);
  b.at.config.backend = &resuming_backend;
  b.at.config.lease_ms = 60000;
  start(&b);
  publish(&b, "1.1", NULL);
  publish(&b, "1.2", NULL);
  mg_link_want(b.at.link, 2);
  wait_for(&b, MG_EV_TASK, 2);
  uint64_t token = last(&b, MG_EV_TASK)->token;
  atomic_store(&faulty.down, true);
  wait_for(&b, MG_EV_DISCONNECTED, 1);
  (void)mg_link_finish(b.at.link, token, "r1", mg_slice_of("result"));
  run_for(&b, 200);
  assert_int_equal(count(&b, MG_EV_SETTLED), 0);
  atomic_store(&faulty.down, false);
  wait_for(&b, MG_EV_CONNECTED, 2);
  wait_for(&b, MG_EV_SETTLED, 1);
  assert_int_equal(last(&b, MG_EV_SETTLED)->err, MG_OK);
  assert_int_equal(results(&b), 1);
  /* The other one went elsewhere during the next outage: that is noticed at once, not at a third of the lease. */
  atomic_store(&faulty.down, true);
  wait_for(&b, MG_EV_DISCONNECTED, 2);
  const char *gone[] = {"1.1", "1.2"};
  mg_batch back = {0};
  assert_int_equal(mg_memory_backend.reclaim(b.at.other, "r1", NULL, gone, 2, mg_now_ms() + 1000, &back, NULL), MG_OK);
  assert_int_equal(back.count, 1);
  mg_batch_clear(&back);
  assert_int_equal(count(&b, MG_EV_LEASE_LOST), 0);
  atomic_store(&faulty.down, false);
  wait_for(&b, MG_EV_LEASE_LOST, 1);
  assert_int_equal(faulty.opens, 1);
  assert_int_equal(mg_link_reconnects(b.at.link), 2);
  tear_down(&b);
}

static void gives_up_in_the_end(void **state) {
  (void)state;
  bench b;
  set_up(&b, true);
  b.at.config.retry_for_ms = 300;
  atomic_store(&faulty.down, true);
  mg_ms since = mg_now_ms();
  start(&b);
  wait_for(&b, MG_EV_FAILED, 1);
  assert_true(mg_now_ms() - since >= 290);
  assert_non_null(strstr(last(&b, MG_EV_FAILED)->text, "connection refused"));
  assert_int_equal(count(&b, MG_EV_DISCONNECTED), 1); /* told once */
  atomic_store(&faulty.down, false);
  run_for(&b, 100);
  assert_int_equal(count(&b, MG_EV_CONNECTED), 0);
  tear_down(&b);
}

static void hopeless_at_once(void **state) {
  (void)state;
  bench b;
  set_up(&b, true);
  atomic_store(&faulty.refuse_open, true);
  start(&b);
  wait_for(&b, MG_EV_FAILED, 1);
  assert_string_equal(last(&b, MG_EV_FAILED)->text, "wrong password");
  assert_int_equal(faulty.opens, 1);
  tear_down(&b);
}

static void a_stop_while_down_ends(void **state) {
  (void)state;
  bench b;
  set_up(&b, true);
  atomic_store(&faulty.down, true);
  start(&b);
  wait_for(&b, MG_EV_DISCONNECTED, 1);
  (void)mg_link_finish(b.at.link, 12345, "r1", mg_slice_of("result"));
  mg_ms since = mg_now_ms();
  mg_link_stop(b.at.link, since + 300);
  wait_for(&b, MG_EV_STOPPED, 1);
  mg_ms took = mg_now_ms() - since;
  assert_true(took >= 250 && took < WAIT_MS);
  tear_down(&b);
}

static void controls_come_once(void **state) {
  (void)state;
  bench b;
  set_up(&b, true);
  start(&b);
  for (int k = 0; k < 2; k++) { /* the second replaces the first */
    mg_control_kind kind = k == 0 ? MG_QUARANTINE : MG_PARDON;
    say(&b, kind, "w1");
    wait_for(&b, MG_EV_CONTROL, (size_t)k + 1);
    assert_int_equal(last(&b, MG_EV_CONTROL)->control.kind, kind);
    assert_string_equal(last(&b, MG_EV_CONTROL)->control.subject, "w1");
    run_for(&b, 350); /* read again several times */
    assert_int_equal(count(&b, MG_EV_CONTROL), (size_t)k + 1);
  }
  tear_down(&b);
}

static void skipped_runs(void **state) {
  (void)state;
  bench b;
  set_up(&b, true);
  start(&b);
  mg_ms since = mg_now_ms();
  mg_link_skip_run(b.at.link, "r1", 300);
  publish(&b, "1.1", NULL);
  mg_link_want(b.at.link, 1);
  wait_for(&b, MG_EV_TASK, 1);
  assert_true(mg_now_ms() - since >= 300);
  tear_down(&b);
}

/* --- the coordinator's side: many jobs, few calls --- */

static void many_jobs_few_calls(void **state) {
  (void)state;
  enum { TASKS = 5000 };
  bench b;
  char id[16];
  set_up(&b, false);
  b.at.config.check_every_ms = 100;
  atomic_store(&faulty.down, true);
  start(&b);
  for (int i = 1; i <= TASKS; i++) {
    (void)snprintf(id, sizeof id, "1.%d", i);
    assert_int_equal(mg_link_publish(b.at.link, (uint64_t)i, "r1", id, 1, mg_slice_of("body")), MG_OK);
  }
  assert_int_equal(mg_link_backlog(b.at.link), TASKS);
  atomic_store(&faulty.down, false);
  for (mg_ms end = mg_now_ms() + WAIT_MS; mg_link_backlog(b.at.link) > 0 && mg_now_ms() < end;) (void)uv_run(&b.at.loop, UV_RUN_ONCE);
  assert_int_equal(mg_link_backlog(b.at.link), 0);
  assert_int_equal(depth(&b).pending, TASKS);
  assert_true(faulty.publishes <= 8);
  tear_down(&b);
}

/* A result that nobody can read is told once and settled: it would come for ever. */
static void unreadable_results(void **state) {
  (void)state;
  bench b;
  uint8_t garbage[] = {99, 0, 1};
  set_up(&b, false);
  b.at.config.check_every_ms = 100;
  start(&b);
  mg_publish p = {.run = "r1", .task = "1.1", .attempt = 1, .body = {garbage, sizeof garbage}};
  assert_int_equal(mg_memory_backend.publish_results(b.at.other, &p, 1, mg_now_ms() + 1000, NULL), MG_OK);
  wait_for(&b, MG_EV_BAD_MESSAGE, 1);
  for (mg_ms end = mg_now_ms() + WAIT_MS; depth(&b).results > 0 && mg_now_ms() < end;) run_for(&b, 10);
  assert_int_equal(depth(&b).results, 0);
  assert_int_equal(count(&b, MG_EV_BAD_MESSAGE), 1);
  assert_int_equal(mg_link_backlog(b.at.link), 0);
  tear_down(&b);
}

int main(int argc, char **argv) {
  if (argc > 1) cmocka_set_test_filter(argv[1]);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fetch_finish_settle), cmocka_unit_test(no_more_than_wanted), cmocka_unit_test(stopping_gives_back),
      cmocka_unit_test(leases_are_extended), cmocka_unit_test(while_main_sleeps),   cmocka_unit_test(not_beyond_max_task),
      cmocka_unit_test(beats_count),         cmocka_unit_test(unreadable_tasks),    cmocka_unit_test(across_an_outage),
      cmocka_unit_test(resumed_after_an_outage),
      cmocka_unit_test(gives_up_in_the_end), cmocka_unit_test(hopeless_at_once),    cmocka_unit_test(a_stop_while_down_ends),
      cmocka_unit_test(controls_come_once),  cmocka_unit_test(skipped_runs),        cmocka_unit_test(many_jobs_few_calls),
      cmocka_unit_test(unreadable_results),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
