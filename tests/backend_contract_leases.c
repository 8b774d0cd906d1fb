/* Leases: who may settle a task, when it comes back, and where it goes when nobody can run it. */
#include "tests/backend_contract_env.h"

#include "tests/brokers/brokers.h"

#include <stdio.h>
#include <string.h>

static bool can(const mg_env *v, uint32_t capability) { return (v->ops->capabilities & capability) != 0; }

/* Takes back by reclaim() until want tasks came; fails where patience ends. */
static void reclaim_some(mg_env *v, const char *worker, const char *const *tasks, size_t count, mg_batch *out, size_t want) {
  mg_ms end = mg_soon(v);
  mg_error e = {0};
  do {
    mg_ok(v->ops->reclaim(v->coordinator, v->run, worker, tasks, count, mg_soon(v), out, &e), &e);
    if (mg_now_ms() >= end) fail_msg("%zu of %zu tasks were taken back", out->count, want);
  } while (out->count < want);
  assert_int_equal(out->count, want);
}

static void nothing_to_reclaim(mg_env *v, const char *worker) {
  mg_batch back = {0};
  mg_error e = {0};
  mg_ok(v->ops->reclaim(v->coordinator, v->run, worker, NULL, 0, mg_soon(v), &back, &e), &e);
  assert_int_equal(back.count, 0);
  mg_batch_clear(&back);
}

static void a_nacked_task_comes_again(mg_env *v) {
  mg_batch first = {0}, again = {0};
  mg_publish_some(v, v->run, 0, 2, 1);
  mg_fetch_some(v, v->worker, &first, 2, 60000);
  const mg_delivery *back = mg_find_item(&first, v->run, 1, 1);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->nack, back->lease, 0), MG_OK);
  mg_fetch_some(v, v->worker, &again, 1, 60000);
  mg_expect_item(&again.items[0], v->run, 1, 1);
  mg_expect_no_task(v, v->worker);
  mg_settle_all(v, v->worker, v->ops->ack, &again, 0);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->ack, mg_find_item(&first, v->run, 0, 1)->lease, 0), MG_OK);
  mg_forget_all(v->worker, &first);
  mg_forget_all(v->worker, &again);
}

static void a_nack_delay_is_kept(mg_env *v) {
  mg_need(v, MG_CAP_NACK_DELAY, "delay a task");
  mg_batch batch = {0};
  mg_publish_some(v, v->run, 0, 1, 1);
  mg_fetch_some(v, v->worker, &batch, 1, 60000);
  mg_ms start = mg_now_ms();
  mg_settle_all(v, v->worker, v->ops->nack, &batch, v->c->lease_ms);
  mg_forget_all(v->worker, &batch);
  mg_fetch_some(v, v->worker, &batch, 1, 60000);
  assert_true(mg_now_ms() - start >= v->c->lease_ms - 50);
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_forget_all(v->worker, &batch);
}

/* Else a coordinator would take them for lost. */
static void delayed_tasks_are_counted(mg_env *v) {
  mg_need(v, MG_CAP_NACK_DELAY, "delay a task");
  mg_batch batch = {0};
  mg_depth d = {0};
  mg_error e = {0};
  mg_publish_some(v, v->run, 0, 3, 1);
  mg_fetch_some(v, v->worker, &batch, 3, 60000);
  mg_settle_all(v, v->worker, v->ops->nack, &batch, 60000);
  /* SQS keeps a delayed task as it keeps a held one. */
  bool together = v->c->delayed_counts_as_held;
  for (mg_ms end = mg_soon(v); d.pending + (together ? d.in_flight : 0) != 3;) {
    if (mg_now_ms() >= end) fail_msg("%lld of 3 delayed tasks are counted", (long long)d.pending);
    mg_ok(v->ops->service(v->worker, mg_now_ms() + 20, &e), &e); /* Kafka: settling is told when it next polls */
    mg_ok(v->ops->depth(v->coordinator, v->run, mg_soon(v), &d, &e), &e);
  }
  mg_forget_all(v->worker, &batch);
  size_t removed = 0;
  mg_err purged = v->ops->purge_run(v->coordinator, v->run, mg_soon(v), &removed, &e);
  if (purged == MG_UNSUPPORTED) return;
  mg_ok(purged, &e);
  assert_int_equal(removed, 3);
  mg_ok(v->ops->depth(v->coordinator, v->run, mg_soon(v), &d, &e), &e);
  assert_int_equal(d.pending, 0);
}

/* Without MG_CAP_RECLAIM a worker is told that somebody may have had the task: it says so before it runs it. */
static void what_somebody_had_is_marked(mg_env *v) {
  mg_batch first = {0}, again = {0};
  bool reclaims = (v->ops->capabilities & MG_CAP_RECLAIM) != 0;
  mg_publish_some(v, v->run, 0, 2, 1);
  mg_fetch_some(v, v->worker, &first, 2, 60000);
  mg_settle_all(v, v->worker, v->ops->nack, &first, 0);
  mg_forget_all(v->worker, &first);
  mg_fetch_some(v, v->worker, &again, 2, 60000);
  for (size_t i = 0; i < 2; i++) assert_int_equal(again.items[i].again, !reclaims);
  mg_settle_all(v, v->worker, v->ops->ack, &again, 0);
  mg_forget_all(v->worker, &again);
}

static void each_entry_has_its_own_error(mg_env *v) {
  mg_batch batch = {0}, again = {0};
  mg_error e = {0};
  mg_publish_some(v, v->run, 0, 3, 1);
  mg_fetch_some(v, v->worker, &batch, 3, 60000);
  mg_lease *leases[3];
  for (int i = 0; i < 3; i++) leases[i] = mg_find_item(&batch, v->run, i, 1)->lease;
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->ack, leases[1], 0), MG_OK);
  mg_settle items[3];
  for (int i = 0; i < 3; i++) items[i] = (mg_settle){.lease = leases[i], .err = MG_FATAL};
  mg_ok(v->ops->nack(v->worker, items, 3, mg_soon(v), &e), &e);
  assert_int_equal(items[0].err, MG_OK);
  assert_int_equal(items[1].err, MG_LOST); /* settled before */
  assert_int_equal(items[2].err, MG_OK);
  mg_fetch_some(v, v->worker, &again, 2, 60000);
  mg_expect_item(mg_find_item(&again, v->run, 0, 1), v->run, 0, 1);
  mg_expect_item(mg_find_item(&again, v->run, 2, 1), v->run, 2, 1);
  mg_expect_no_task(v, v->worker);
  mg_settle_all(v, v->worker, v->ops->ack, &again, 0);
  mg_forget_all(v->worker, &batch);
  mg_forget_all(v->worker, &again);
}

/* After any settle the receipt is void: nothing it is used for has an effect. */
static void a_settled_receipt_is_void(mg_env *v) {
  mg_batch batch = {0}, again = {0};
  mg_publish_some(v, v->run, 0, 1, 1);
  mg_fetch_some(v, v->worker, &batch, 1, 60000);
  mg_lease *lease = batch.items[0].lease;
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->nack, lease, 0), MG_OK);
  mg_fetch_some(v, v->worker, &again, 1, 60000);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->ack, lease, 0), MG_LOST);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->nack, lease, 0), MG_LOST);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->dead_letter, lease, 0), MG_LOST);
  if (can(v, MG_CAP_EXTEND)) assert_int_equal(mg_settle_one(v, v->worker, v->ops->extend, lease, 60000), MG_LOST);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->nack, again.items[0].lease, 0), MG_OK);
  mg_forget_all(v->worker, &again);
  mg_fetch_some(v, v->worker, &again, 1, 60000); /* it is still there, once */
  mg_expect_no_task(v, v->worker);
  mg_settle_all(v, v->worker, v->ops->ack, &again, 0);
  mg_forget_all(v->worker, &batch);
  mg_forget_all(v->worker, &again);
}

/* The same over connections that are lost. */
static void settle_at_last(mg_env *v, mg_backend *b, mg_settle_call call, const mg_batch *batch, mg_ms ms) {
  mg_ms end = mg_soon(v);
  for (size_t i = 0; i < batch->count; i++) {
    mg_settle item = {.lease = batch->items[i].lease, .ms = ms};
    mg_error e = {0};
    mg_err err;
    while ((err = call(b, &item, 1, mg_soon(v), &e)) == MG_CONN && mg_now_ms() < end) mg_test_pause(10);
    mg_ok(err, &e);
    assert_int_equal(item.err, MG_OK);
  }
}

static void receipts_outlive_the_connection(mg_env *v) {
  mg_need(v, MG_CAP_RESUMES, "keep receipts over a reconnect");
  mg_batch held = {0}, results = {0};
  mg_publish_some(v, v->run, 0, 3, 1);
  mg_fetch_some(v, v->worker, &held, 2, 60000);
  mg_publish_result_of(v, v->worker, v->run, 0, 2);
  mg_fetch_results(v, v->coordinator, &results, 2);
  assert_true(v->c->reset(v->c->owner));
  settle_at_last(v, v->worker, v->ops->extend, &held, 60000);
  assert_true(v->c->reset(v->c->owner));
  settle_at_last(v, v->worker, v->ops->ack, &held, 0);
  settle_at_last(v, v->coordinator, v->ops->ack_results, &results, 0);
  mg_depth d = mg_depth_of(v, v->run);
  assert_int_equal(d.pending, 1);
  assert_int_equal(d.in_flight, 0);
  assert_int_equal(d.results, 0);
  mg_forget_all(v->worker, &held);
  mg_forget_all(v->coordinator, &results);
}

static void an_ended_lease_is_taken_back(mg_env *v) {
  mg_need(v, MG_CAP_RECLAIM, "take tasks back");
  mg_batch held = {0}, back = {0}, again = {0};
  mg_error e = {0};
  mg_publish_some(v, v->run, 0, 2, 1);
  mg_fetch_some(v, v->worker, &held, 2, 60000);
  nothing_to_reclaim(v, NULL);
  mg_settle_all(v, v->worker, v->ops->nack, &held, 0);
  mg_forget_all(v->worker, &held);
  mg_fetch_some(v, v->worker, &held, 2, v->c->lease_ms);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->extend, mg_find_item(&held, v->run, 1, 1)->lease, 60000), MG_OK);
  reclaim_some(v, NULL, NULL, 0, &back, 1); /* only the one that was not extended */
  mg_lease *late = mg_find_item(&held, v->run, 0, 1)->lease;
  assert_string_equal(back.items[0].run, v->run);
  assert_string_equal(back.items[0].task, "t0");
  assert_int_equal(back.items[0].attempt, 1);
  assert_string_equal(back.items[0].from, v->worker_name);
  assert_int_equal(mg_state_of(v, 0, 1), MG_TASK_ABSENT);
  mg_expect_no_task(v, v->worker); /* the broker hands nothing out by itself */

  /* The late worker cannot touch what another holds now. */
  mg_backend *other = mg_env_open(v, v->other_name, NULL, -1);
  mg_publish_some(v, v->run, 0, 1, 2);
  mg_fetch_some(v, other, &again, 1, 60000);
  mg_expect_item(&again.items[0], v->run, 0, 2);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->ack, late, 0), MG_LOST);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->nack, late, 0), MG_LOST);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->extend, late, 60000), MG_LOST);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->dead_letter, late, 0), MG_LOST);
  assert_int_equal(mg_state_of(v, 0, 2), MG_TASK_LEASED);
  mg_settle_all(v, other, v->ops->ack, &again, 0);
  assert_int_equal(mg_state_of(v, 0, 2), MG_TASK_ABSENT);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->ack, mg_find_item(&held, v->run, 1, 1)->lease, 0), MG_OK);
  mg_ok(v->ops->reclaim(v->coordinator, "no-such-run", NULL, NULL, 0, mg_soon(v), &back, &e), &e);
  assert_int_equal(back.count, 1);
  mg_batch_clear(&back);
  mg_forget_all(v->worker, &held);
  mg_forget_all(other, &again);
}

static void an_ended_lease_is_redelivered(mg_env *v) {
  if (can(v, MG_CAP_RECLAIM) || !can(v, MG_CAP_EXTEND)) {
    print_message("             skipped: %s does not hand out again by the end of a lease\n", v->ops->name);
    skip();
  }
  mg_batch held = {0}, again = {0};
  mg_backend *other = mg_env_open(v, v->other_name, NULL, -1);
  mg_publish_some(v, v->run, 0, 2, 1);
  mg_fetch_some(v, v->worker, &held, 2, v->c->lease_ms);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->extend, mg_find_item(&held, v->run, 1, 1)->lease, 60000), MG_OK);
  mg_fetch_some(v, other, &again, 1, 60000);
  mg_expect_item(&again.items[0], v->run, 0, 1);
  if (!v->c->late_ack_may_settle) {
    assert_int_equal(mg_settle_one(v, v->worker, v->ops->ack, mg_find_item(&held, v->run, 0, 1)->lease, 0), MG_LOST);
    assert_int_equal(mg_settle_one(v, other, v->ops->nack, again.items[0].lease, 0), MG_OK);
    mg_forget_all(other, &again);
    mg_fetch_some(v, other, &again, 1, 60000); /* the late ack settled nothing */
  }
  mg_settle_all(v, other, v->ops->ack, &again, 0);
  mg_expect_no_task(v, other);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->ack, mg_find_item(&held, v->run, 1, 1)->lease, 0), MG_OK);
  mg_forget_all(v->worker, &held);
  mg_forget_all(other, &again);
}

static void an_extended_lease_is_kept(mg_env *v) {
  mg_need(v, MG_CAP_EXTEND, "extend a lease");
  mg_batch held = {0};
  mg_backend *other = mg_env_open(v, v->other_name, NULL, -1);
  mg_publish_some(v, v->run, 0, 1, 1);
  mg_fetch_some(v, v->worker, &held, 1, v->c->lease_ms);
  mg_ms end = mg_now_ms() + v->c->lease_ms;
  mg_settle_all(v, v->worker, v->ops->extend, &held, 60000);
  do {
    mg_expect_no_task(v, other);
    if (can(v, MG_CAP_RECLAIM)) nothing_to_reclaim(v, NULL);
  } while (mg_now_ms() < end + v->c->quiet_ms);
  mg_settle_all(v, v->worker, v->ops->ack, &held, 0);
  mg_forget_all(v->worker, &held);
}

static void tasks_of_a_worker_are_taken_back(mg_env *v) {
  mg_need(v, MG_CAP_RECLAIM, "take tasks back");
  mg_batch held = {0}, others = {0}, back = {0};
  mg_backend *other = mg_env_open(v, v->other_name, NULL, -1);
  mg_publish_some(v, v->run, 0, 6, 1);
  mg_fetch_some(v, v->worker, &held, 2, 60000);
  mg_fetch_some(v, other, &others, 2, 60000);
  reclaim_some(v, v->worker_name, NULL, 0, &back, 2);
  for (int i = 0; i < 2; i++) {
    const char *task = back.items[i].task;
    assert_int_equal(back.items[i].attempt, 1);
    assert_string_equal(back.items[i].from, v->worker_name);
    assert_true(strcmp(task, held.items[0].task) == 0 || strcmp(task, held.items[1].task) == 0);
  }
  assert_string_not_equal(back.items[0].task, back.items[1].task);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->ack, held.items[0].lease, 0), MG_LOST);
  nothing_to_reclaim(v, v->worker_name);
  nothing_to_reclaim(v, "nobody");
  mg_settle_all(v, other, v->ops->ack, &others, 0); /* the other's are untouched, and so is what was pending */
  mg_forget_all(other, &others);
  mg_fetch_some(v, other, &others, 2, 60000);
  mg_expect_no_task(v, other);
  mg_settle_all(v, other, v->ops->ack, &others, 0);
  mg_batch_clear(&back);
  mg_forget_all(v->worker, &held);
  mg_forget_all(other, &others);
}

static void named_tasks_are_taken_back(mg_env *v) {
  mg_need(v, MG_CAP_RECLAIM, "take tasks back");
  mg_batch held = {0}, back = {0}, rest = {0};
  mg_publish_some(v, v->run, 0, 1, 1);
  mg_fetch_some(v, v->worker, &held, 1, 60000);
  mg_publish_some(v, v->run, 1, 3, 1);
  static const char *const names[] = {"t0", "t2", "no-such-task"}; /* held, pending, unknown */
  reclaim_some(v, NULL, names, 3, &back, 2);
  for (size_t i = 0; i < 2; i++) {
    bool was_held = strcmp(back.items[i].task, "t0") == 0;
    assert_string_equal(back.items[i].task, was_held ? "t0" : "t2");
    assert_string_equal(back.items[i].from, was_held ? v->worker_name : "");
  }
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->ack, held.items[0].lease, 0), MG_LOST);
  mg_fetch_some(v, v->worker, &rest, 2, 60000);
  mg_expect_item(mg_find_item(&rest, v->run, 1, 1), v->run, 1, 1);
  mg_expect_item(mg_find_item(&rest, v->run, 3, 1), v->run, 3, 1);
  mg_expect_no_task(v, v->worker);
  mg_settle_all(v, v->worker, v->ops->ack, &rest, 0);
  mg_batch_clear(&back);
  mg_forget_all(v->worker, &held);
  mg_forget_all(v->worker, &rest);
}

/* A worker that vanished: its tasks come back, by reclaim or by the broker. */
static void what_a_closed_worker_held_is_not_lost(mg_env *v) {
  mg_batch held = {0}, back = {0};
  mg_publish_some(v, v->run, 0, 3, 1);
  mg_fetch_some(v, v->worker, &held, 3, can(v, MG_CAP_EXTEND) ? v->c->lease_ms : 60000);
  mg_batch_clear(&held); /* close() frees the receipts */
  mg_env_close(v, v->worker);
  v->worker = NULL;
  mg_backend *other = mg_env_open(v, v->other_name, NULL, -1);
  if (can(v, MG_CAP_RECLAIM)) {
    reclaim_some(v, v->worker_name, NULL, 0, &back, 3);
    mg_batch_clear(&back);
    mg_publish_some(v, v->run, 0, 3, 2);
  }
  mg_fetch_some(v, other, &back, 3, 60000);
  for (int i = 0; i < 3; i++) assert_non_null(mg_find_item(&back, v->run, i, can(v, MG_CAP_RECLAIM) ? 2 : 1));
  mg_settle_all(v, other, v->ops->ack, &back, 0);
  mg_expect_no_task(v, other);
  mg_forget_all(other, &back);
}

static void a_forgotten_receipt_changes_nothing(mg_env *v) {
  mg_batch held = {0}, back = {0};
  v->ops->forget(v->worker, NULL);
  mg_publish_some(v, v->run, 0, 1, 1);
  mg_fetch_some(v, v->worker, &held, 1, can(v, MG_CAP_EXTEND) ? v->c->lease_ms : 60000);
  mg_forget_all(v->worker, &held);
  if (can(v, MG_CAP_RECLAIM)) {
    assert_int_equal(mg_state_of(v, 0, 1), MG_TASK_LEASED);
    reclaim_some(v, v->worker_name, NULL, 0, &back, 1);
    mg_batch_clear(&back);
  } else { /* held until the lease or the worker ends */
    mg_env_close(v, v->worker);
    v->worker = mg_env_open(v, v->worker_name, NULL, -1);
    mg_fetch_some(v, v->worker, &back, 1, 60000);
    mg_expect_item(&back.items[0], v->run, 0, 1);
    mg_settle_all(v, v->worker, v->ops->ack, &back, 0);
    mg_forget_all(v->worker, &back);
  }
}

static mg_batch dead_letters(mg_env *v, const char *run, size_t max, size_t want) {
  mg_ms end = mg_soon(v);
  for (;;) {
    mg_batch dead = {0};
    mg_error e = {0};
    mg_ok(v->ops->list_dead(v->coordinator, run, max, mg_soon(v), &dead, &e), &e);
    if (dead.count == want) return dead;
    if (mg_now_ms() >= end) fail_msg("%zu dead letters are listed, not %zu", dead.count, want);
    mg_batch_clear(&dead);
  }
}

static void bury(mg_env *v, int first, int n, const char *why) {
  mg_batch held = {0};
  mg_error e = {0};
  mg_publish_some(v, v->run, first, n, 1);
  mg_fetch_some(v, v->worker, &held, (size_t)n, 60000);
  for (size_t i = 0; i < held.count; i++) {
    mg_settle item = {.lease = held.items[i].lease, .why = why, .err = MG_FATAL};
    mg_ok(v->ops->dead_letter(v->worker, &item, 1, mg_soon(v), &e), &e);
    assert_int_equal(item.err, MG_OK);
  }
  mg_forget_all(v->worker, &held);
}

static void a_dead_letter_is_not_delivered(mg_env *v) {
  mg_batch held = {0};
  mg_publish_some(v, v->run, 0, 2, 1);
  mg_fetch_some(v, v->worker, &held, 2, 60000);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->dead_letter, mg_find_item(&held, v->run, 0, 1)->lease, 0), MG_OK);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->nack, mg_find_item(&held, v->run, 1, 1)->lease, 0), MG_OK);
  mg_forget_all(v->worker, &held);
  mg_fetch_some(v, v->worker, &held, 1, 60000);
  mg_expect_item(&held.items[0], v->run, 1, 1);
  mg_expect_no_task(v, v->worker);
  mg_settle_all(v, v->worker, v->ops->ack, &held, 0);
  mg_forget_all(v->worker, &held);
}

static void dead_letters_are_listed_whole(mg_env *v) {
  mg_need(v, MG_CAP_LIST_DEAD, "list dead letters");
  static const char why[] = "case 7: crash \"SIGSEGV\" {} \xC3\xA9 \\ 100%";
  bury(v, 0, 1, why);
  bury(v, 1, 2, "plain");
  mg_batch dead = dead_letters(v, v->run, 100, 3);
  for (int i = 0; i < 3; i++) {
    const mg_delivery *d = mg_find_item(&dead, v->run, i, 1);
    mg_expect_item(d, v->run, i, 1);
    assert_string_equal(d->run, v->run); /* here they are told */
    assert_int_equal(d->attempt, 1);
    assert_null(d->lease);
    assert_non_null(d->why);
    assert_string_equal(d->why, i == 0 ? why : "plain");
  }
  mg_batch_clear(&dead);
  dead = dead_letters(v, v->run, 2, 2);
  mg_batch_clear(&dead);
  dead = dead_letters(v, v->other_run, 100, 0);
  mg_batch_clear(&dead);
}

/* What the coordinator gives up goes to the dead letters without ever being handed out; the same task twice is one entry. */
static void given_up_tasks_are_dead_letters(mg_env *v) {
  mg_need(v, MG_CAP_LIST_DEAD, "list dead letters");
  if (v->ops->publish_dead == NULL) {
    print_message("             skipped: %s takes no dead letters\n", v->ops->name);
    skip();
  }
  static const char *const names[] = {"t0", "t1", "t2", "t0"};
  mg_publish items[4];
  mg_batch again = {0};
  mg_error e = {0};
  size_t moved = 99;
  char bodies[4][80];
  for (int i = 0; i < 4; i++) {
    (void)snprintf(bodies[i], sizeof bodies[i], "%s/%s/3", v->run, names[i]);
    items[i] = (mg_publish){.run = v->run, .task = names[i], .attempt = 3, .body = mg_slice_of(bodies[i]), .why = "case 7 ends its worker", .err = MG_FATAL};
  }
  mg_ok(v->ops->publish_dead(v->coordinator, items, 3, mg_soon(v), &e), &e);
  mg_ok(v->ops->publish_dead(v->coordinator, items + 3, 1, mg_soon(v), &e), &e);
  for (int i = 0; i < 4; i++) assert_int_equal(items[i].err, MG_OK);
  mg_batch dead = dead_letters(v, v->run, 100, 3);
  for (int i = 0; i < 3; i++) {
    const mg_delivery *d = mg_find_item(&dead, v->run, i, 3);
    mg_expect_item(d, v->run, i, 3);
    assert_int_equal(d->attempt, 3);
    assert_string_equal(d->why, "case 7 ends its worker");
  }
  mg_batch_clear(&dead);
  mg_expect_no_task(v, v->worker);
  mg_ok(v->ops->redrive(v->coordinator, v->run, names, 1, mg_soon(v), &moved, &e), &e);
  assert_int_equal(moved, 1);
  mg_fetch_some(v, v->worker, &again, 1, 60000);
  mg_expect_item(&again.items[0], v->run, 0, 3);
  mg_settle_all(v, v->worker, v->ops->ack, &again, 0);
  mg_forget_all(v->worker, &again);
  mg_ok(v->ops->purge_dead(v->coordinator, v->run, names + 1, 1, mg_soon(v), &moved, &e), &e);
  assert_int_equal(moved, 1);
  dead = dead_letters(v, v->run, 100, 1);
  mg_expect_item(&dead.items[0], v->run, 2, 3);
  mg_batch_clear(&dead);
  mg_ok(v->ops->purge_dead(v->coordinator, v->other_run, NULL, 0, mg_soon(v), &moved, &e), &e);
  assert_int_equal(moved, 0);
  mg_ok(v->ops->purge_dead(v->coordinator, v->run, NULL, 0, mg_soon(v), &moved, &e), &e);
  assert_int_equal(moved, 1);
  dead = dead_letters(v, v->run, 100, 0);
  mg_batch_clear(&dead);
}

static void dead_letters_are_redriven(mg_env *v) {
  mg_need(v, MG_CAP_LIST_DEAD, "redrive dead letters");
  mg_batch again = {0};
  mg_error e = {0};
  size_t moved = 99;
  bury(v, 0, 4, "poison");
  mg_batch dead = dead_letters(v, v->run, 100, 4);
  mg_batch_clear(&dead);
  static const char *const names[] = {"t2", "no-such-task"};
  mg_ok(v->ops->redrive(v->coordinator, v->other_run, NULL, 0, mg_soon(v), &moved, &e), &e);
  assert_int_equal(moved, 0);
  mg_ok(v->ops->redrive(v->coordinator, v->run, names, 2, mg_soon(v), &moved, &e), &e);
  assert_int_equal(moved, 1);
  mg_fetch_some(v, v->worker, &again, 1, 60000);
  mg_expect_item(&again.items[0], v->run, 2, 1); /* the payload was kept whole */
  mg_expect_no_task(v, v->worker);
  mg_settle_all(v, v->worker, v->ops->ack, &again, 0);
  mg_forget_all(v->worker, &again);
  mg_ok(v->ops->redrive(v->coordinator, v->run, NULL, 0, mg_soon(v), &moved, &e), &e);
  assert_int_equal(moved, 3);
  mg_fetch_some(v, v->worker, &again, 3, 60000);
  mg_settle_all(v, v->worker, v->ops->ack, &again, 0);
  mg_forget_all(v->worker, &again);
  dead = dead_letters(v, v->run, 100, 0);
  mg_batch_clear(&dead);
}

static void dead_letters_are_purged(mg_env *v) {
  mg_need(v, MG_CAP_LIST_DEAD, "purge dead letters");
  mg_error e = {0};
  size_t moved = 99;
  bury(v, 0, 4, "poison");
  mg_batch dead = dead_letters(v, v->run, 100, 4);
  mg_batch_clear(&dead);
  static const char *const names[] = {"t1", "t3"};
  mg_ok(v->ops->purge_dead(v->coordinator, v->run, names, 2, mg_soon(v), &moved, &e), &e);
  assert_int_equal(moved, 2);
  dead = dead_letters(v, v->run, 100, 2);
  assert_non_null(mg_find_item(&dead, v->run, 0, 1));
  assert_non_null(mg_find_item(&dead, v->run, 2, 1));
  mg_batch_clear(&dead);
  mg_ok(v->ops->purge_dead(v->coordinator, v->run, NULL, 0, mg_soon(v), &moved, &e), &e);
  assert_int_equal(moved, 2);
  dead = dead_letters(v, v->run, 100, 0);
  mg_batch_clear(&dead);
  mg_expect_no_task(v, v->worker);
}

#define CASE(f)                                                                                                                                                \
  { #f, f }
const mg_contract_case mg_contract_leases[] = {
    CASE(a_nacked_task_comes_again),           CASE(a_nack_delay_is_kept),           CASE(delayed_tasks_are_counted),
    CASE(what_somebody_had_is_marked),         CASE(each_entry_has_its_own_error),   CASE(a_settled_receipt_is_void),
    CASE(receipts_outlive_the_connection),     CASE(given_up_tasks_are_dead_letters),
    CASE(an_ended_lease_is_taken_back),        CASE(an_ended_lease_is_redelivered),  CASE(an_extended_lease_is_kept),
    CASE(tasks_of_a_worker_are_taken_back),    CASE(named_tasks_are_taken_back),     CASE(what_a_closed_worker_held_is_not_lost),
    CASE(a_forgotten_receipt_changes_nothing), CASE(a_dead_letter_is_not_delivered), CASE(dead_letters_are_listed_whole),
    CASE(dead_letters_are_redriven),           CASE(dead_letters_are_purged),        {0},
};
