/* Results, beats and control messages. */
#include "tests/backend_contract_env.h"
#include "tests/wall_clock.h"

#include <stdio.h>
#include <string.h>

static void results_reach_their_run(mg_env *v) {
  mg_batch mine = {0}, others = {0};
  mg_backend *other = mg_env_open(v, "other-coordinator", v->other_run, -1);
  mg_publish_result_of(v, v->worker, v->run, 0, 3);
  mg_publish_result_of(v, v->worker, v->other_run, 10, 2);
  mg_publish_result_of(v, v->worker, v->run, 3, 1);
  mg_fetch_results(v, v->coordinator, &mine, 4);
  mg_fetch_results(v, other, &others, 2);
  for (int i = 0; i < 4; i++) mg_expect_item(mg_find_item(&mine, v->run, i, 1), v->run, i, 1);
  for (int i = 10; i < 12; i++) mg_expect_item(mg_find_item(&others, v->other_run, i, 1), v->other_run, i, 1);
  mg_expect_no_result(v, v->coordinator);
  mg_expect_no_result(v, other);
  mg_settle_all(v, v->coordinator, v->ops->ack_results, &mine, 0);
  mg_settle_all(v, other, v->ops->ack_results, &others, 0);
  mg_forget_all(v->coordinator, &mine);
  mg_forget_all(other, &others);
}

static void result_bodies_are_bytes(mg_env *v) {
  uint8_t bytes[256];
  for (int i = 0; i < 256; i++) bytes[i] = (uint8_t)i;
  const mg_slice bodies[] = {{bytes, sizeof bytes}, {NULL, 0}};
  for (int i = 0; i < 2; i++) {
    mg_batch batch = {0};
    mg_error e = {0};
    mg_publish item = {.run = v->run, .task = "t0", .attempt = 1, .body = bodies[i], .err = MG_FATAL};
    mg_ok(v->ops->publish_results(v->worker, &item, 1, mg_soon(v), &e), &e);
    assert_int_equal(item.err, MG_OK);
    mg_fetch_results(v, v->coordinator, &batch, 1);
    assert_int_equal(batch.items[0].body.len, bodies[i].len);
    if (bodies[i].len > 0) assert_memory_equal(batch.items[0].body.data, bodies[i].data, bodies[i].len);
    mg_settle_all(v, v->coordinator, v->ops->ack_results, &batch, 0);
    mg_forget_all(v->coordinator, &batch);
  }
}

/* A coordinator that died before it wrote them down gets its results again; what it acked stays away. */
static void unacked_results_come_again_after_a_reopen(mg_env *v) {
  mg_batch batch = {0};
  mg_publish_result_of(v, v->worker, v->run, 0, 4);
  mg_fetch_results(v, v->coordinator, &batch, 4);
  mg_expect_no_result(v, v->coordinator); /* leased: not given twice */
  for (int i = 0; i < 2; i++) {
    mg_lease *lease = mg_find_item(&batch, v->run, i, 1)->lease;
    assert_int_equal(mg_settle_one(v, v->coordinator, v->ops->ack_results, lease, 0), MG_OK);
  }
  mg_batch_clear(&batch);
  mg_env_close(v, v->coordinator);
  v->coordinator = mg_env_open(v, "coordinator", v->run, -1);
  mg_fetch_results(v, v->coordinator, &batch, 2);
  for (int i = 2; i < 4; i++) mg_expect_item(mg_find_item(&batch, v->run, i, 1), v->run, i, 1);
  mg_settle_all(v, v->coordinator, v->ops->ack_results, &batch, 0);
  mg_forget_all(v->coordinator, &batch);
  mg_env_close(v, v->coordinator);
  v->coordinator = mg_env_open(v, "coordinator", v->run, -1);
  mg_expect_no_result(v, v->coordinator);
}

/* Results that arrive while no coordinator is there wait for it. */
static void results_wait_for_their_coordinator(mg_env *v) {
  mg_batch batch = {0};
  mg_env_close(v, v->coordinator);
  mg_publish_result_of(v, v->worker, v->run, 0, 3);
  v->coordinator = mg_env_open(v, "coordinator", v->run, -1);
  mg_fetch_results(v, v->coordinator, &batch, 3);
  mg_settle_all(v, v->coordinator, v->ops->ack_results, &batch, 0);
  mg_forget_all(v->coordinator, &batch);
}

static void acked_results_are_void(mg_env *v) {
  mg_batch batch = {0};
  mg_publish_result_of(v, v->worker, v->run, 0, 2);
  mg_fetch_results(v, v->coordinator, &batch, 2);
  mg_settle_all(v, v->coordinator, v->ops->ack_results, &batch, 0);
  mg_err err = mg_settle_one(v, v->coordinator, v->ops->ack_results, batch.items[0].lease, 0);
  assert_true(err == MG_OK || err == MG_LOST); /* a repeat after a lost reply: harmless */
  mg_expect_no_result(v, v->coordinator);
  mg_forget_all(v->coordinator, &batch);
}

/* What one read of beats or controls brings. */
typedef mg_err (*read_call)(mg_backend *b, mg_ms until, mg_batch *out, mg_error *e);

/* Reads until the newest note of that sender is text. Brokers that hand each note out once show the older ones first.
 */
static void expect_note(mg_env *v, mg_backend *b, read_call call, const char *from, const char *text) {
  mg_ms end = mg_soon(v);
  char newest[64] = "";
  while (strcmp(newest, text) != 0) {
    if (mg_now_ms() >= end) fail_msg("\"%s\" from \"%s\" did not come, but \"%s\"", text, from, newest);
    mg_batch batch = {0};
    mg_error e = {0};
    mg_err err = call(b, mg_now_ms() + 200, &batch, &e);
    if (err != MG_TIMEOUT) mg_ok(err, &e); /* a slow server may need more than one call */
    for (size_t i = 0; i < batch.count; i++) {
      const mg_delivery *d = &batch.items[i];
      assert_non_null(d->from);
      assert_null(d->lease);
      if (strcmp(d->from, from) != 0 || d->body.len >= sizeof newest) continue;
      if (from[0] == '\0' && d->body.len > 0 && d->body.data[0] != text[0]) continue; /* another control */
      (void)snprintf(newest, sizeof newest, "%.*s", (int)d->body.len, (const char *)d->body.data);
    }
    mg_batch_clear(&batch);
  }
}

/* Once the newer note was seen, the older one must not come: it was replaced, or handed out before. */
static void expect_replaced(mg_env *v, mg_backend *b, read_call call, const char *text) {
  mg_batch batch = {0};
  mg_error e = {0};
  mg_ok(call(b, mg_soon(v), &batch, &e), &e);
  for (size_t i = 0; i < batch.count; i++) {
    mg_slice body = batch.items[i].body;
    assert_false(body.len == strlen(text) && memcmp(body.data, text, body.len) == 0);
  }
  mg_batch_clear(&batch);
}

/* Reads until nothing comes that begins with letter. */
static void expect_gone(mg_env *v, mg_backend *b, read_call call, char letter) {
  mg_ms end = mg_soon(v);
  for (bool there = true; there;) {
    if (mg_now_ms() >= end) fail_msg("a note that begins with %c does not go", letter);
    mg_batch batch = {0};
    mg_error e = {0};
    mg_err err = call(b, mg_now_ms() + 100, &batch, &e);
    if (err != MG_TIMEOUT) mg_ok(err, &e);
    there = err == MG_TIMEOUT;
    for (size_t i = 0; i < batch.count; i++)
      there = there || (batch.items[i].body.len > 0 && batch.items[i].body.data[0] == (uint8_t)letter);
    mg_batch_clear(&batch);
  }
}

static void beat(mg_env *v, mg_backend *b, const char *text, mg_ms ttl_ms) {
  mg_error e = {0};
  mg_ok(v->ops->beat(b, mg_slice_of(text), ttl_ms, mg_soon(v), &e), &e);
}

static void beats_tell_their_worker(mg_env *v) {
  mg_backend *other = mg_env_open(v, v->other_name, NULL, -1);
  mg_batch first = {0};
  mg_error e = {0};
  mg_ok(v->ops->read_beats(v->coordinator, mg_soon(v), &first, &e), &e); /* subscribed, where that takes a call */
  mg_batch_clear(&first);
  beat(v, v->worker, "1", 60000);
  beat(v, other, "2", 60000);
  expect_note(v, v->coordinator, v->ops->read_beats, v->worker_name, "1");
  beat(v, v->worker, "3", 60000);
  beat(v, v->worker, "4", 60000);
  expect_note(v, v->coordinator, v->ops->read_beats, v->worker_name, "4");
  expect_replaced(v, v->coordinator, v->ops->read_beats, "3");
  expect_replaced(v, v->coordinator, v->ops->read_beats, "1");
  beat(v, other, "5", 60000);
  expect_note(v, v->coordinator, v->ops->read_beats, v->other_name, "5");
  beat(v, v->worker, "", 60000); /* an empty one is one too */
}

static void beats_expire(mg_env *v) {
  beat(v, v->worker, "x", v->c->lease_ms);
  expect_gone(v, v->coordinator, v->ops->read_beats, 'x');
  beat(v, v->worker, "y", 60000); /* and the worker may come again */
  expect_note(v, v->coordinator, v->ops->read_beats, v->worker_name, "y");
}

static void every_coordinator_reads_beats(mg_env *v) {
  mg_backend *other = mg_env_open(v, "other-coordinator", v->other_run, -1);
  mg_ms end = mg_soon(v);
  bool seen[2] = {false, false};
  mg_backend *readers[2] = {v->coordinator, other};
  for (int counter = 1; !(seen[0] && seen[1]); counter++) { /* beats go on, as a worker's do */
    if (mg_now_ms() >= end) fail_msg("coordinator 1 sees beats: %d, coordinator 2: %d", seen[0], seen[1]);
    char text[16];
    (void)snprintf(text, sizeof text, "%d", counter);
    beat(v, v->worker, text, 60000);
    for (int i = 0; i < 2; i++) {
      mg_batch batch = {0};
      mg_error e = {0};
      mg_ok(v->ops->read_beats(readers[i], mg_soon(v), &batch, &e), &e);
      for (size_t j = 0; j < batch.count; j++) seen[i] = seen[i] || strcmp(batch.items[j].from, v->worker_name) == 0;
      mg_batch_clear(&batch);
    }
  }
}

static void control(mg_env *v, const char *subject, const char *text, mg_ms ttl_ms) {
  mg_error e = {0};
  mg_ok(v->ops->control(v->coordinator, subject, mg_slice_of(text), ttl_ms, mg_soon(v), &e), &e);
}

static void controls_reach_every_worker(mg_env *v) {
  mg_backend *other = mg_env_open(v, v->other_name, NULL, -1);
  mg_batch first = {0};
  mg_error e = {0};
  mg_ok(v->ops->read_controls(v->worker, mg_now_ms(), &first, &e), &e);
  mg_ok(v->ops->read_controls(other, mg_now_ms(), &first, &e), &e);
  assert_int_equal(first.count, 0);
  mg_batch_clear(&first);
  control(v, v->run, "a1", 60000);
  control(v, v->other_run, "b1", 60000);
  expect_note(v, v->worker, v->ops->read_controls, "", "a1");
  control(v, v->run, "a2", 60000); /* the newer one on a subject replaces the older */
  expect_note(v, v->worker, v->ops->read_controls, "", "a2");
  expect_replaced(v, v->worker, v->ops->read_controls, "a1");
  expect_note(v, other, v->ops->read_controls, "", "a2");
}

/* The coordinator that resumes a run has a wall clock of its own, which may be behind that of the one before. */
static void a_successor_is_heard(mg_env *v) {
  mg_test_wall_ahead(3600);
  control(v, v->run, "a1", 60000);
  expect_note(v, v->worker, v->ops->read_controls, "", "a1");
  mg_env_close(v, v->coordinator);
  mg_test_wall_ahead(0);
  v->coordinator = mg_env_open(v, "coordinator", v->run, -1);
  control(v, v->run, "a2", 60000);
  expect_note(v, v->worker, v->ops->read_controls, "", "a2");
  expect_replaced(v, v->worker, v->ops->read_controls, "a1");
}

/* A worker that comes back under the name of one that was lost, on a machine whose wall clock is behind. */
static void a_worker_of_the_same_name_is_heard(mg_env *v) {
  mg_test_wall_ahead(3600);
  beat(v, v->worker, "1", 60000);
  expect_note(v, v->coordinator, v->ops->read_beats, v->worker_name, "1");
  mg_env_close(v, v->worker);
  mg_test_wall_ahead(0);
  v->worker = mg_env_open(v, v->worker_name, NULL, -1);
  beat(v, v->worker, "2", 60000);
  expect_note(v, v->coordinator, v->ops->read_beats, v->worker_name, "2");
}

static void controls_expire(mg_env *v) {
  control(v, v->run, "c", v->c->lease_ms);
  control(v, v->other_run, "d", 60000);
  expect_gone(v, v->worker, v->ops->read_controls, 'c');
  control(v, v->other_run, "d2", 60000);
  expect_note(v, v->worker, v->ops->read_controls, "", "d2");
}

#define CASE(f)                                                                                                        \
  { #f, f }
const mg_contract_case mg_contract_results[] = {
    CASE(results_reach_their_run),
    CASE(result_bodies_are_bytes),
    CASE(unacked_results_come_again_after_a_reopen),
    CASE(results_wait_for_their_coordinator),
    CASE(acked_results_are_void),
    CASE(beats_tell_their_worker),
    CASE(beats_expire),
    CASE(every_coordinator_reads_beats),
    CASE(controls_reach_every_worker),
    CASE(a_successor_is_heard),
    CASE(a_worker_of_the_same_name_is_heard),
    CASE(controls_expire),
    {0},
};
