/* Counts, states, purging, several runs on one queue, quarantine. */
#include "tests/backend_contract_env.h"

#include <string.h>

static void depth_is_exact(mg_env *v) {
  mg_need(v, MG_CAP_EXACT_DEPTH, "count exactly");
  mg_batch held = {0}, results = {0};
  mg_depth depth = mg_depth_of(v, v->run);
  assert_int_equal(depth.pending + depth.in_flight + depth.dead + depth.results, 0);
  mg_publish_some(v, v->run, 0, 6, 1);
#define EXPECT(p, f, d, r)                                                                                                                                     \
  (depth = mg_depth_of(v, v->run), assert_int_equal(depth.pending, p), assert_int_equal(depth.in_flight, f), assert_int_equal(depth.dead, d),                  \
   assert_int_equal(depth.results, r))
  EXPECT(6, 0, 0, 0);
  assert_true(depth.oldest_ms >= 0 && depth.oldest_ms <= v->c->patience_ms);
  mg_fetch_some(v, v->worker, &held, 4, 60000);
  mg_publish_some(v, v->other_run, 0, 2, 1);
  depth = mg_depth_of(v, NULL);
  assert_int_equal(depth.pending, 4);
  assert_int_equal(depth.in_flight, 4);
  EXPECT(2, 4, 0, 0);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->ack, held.items[0].lease, 0), MG_OK);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->nack, held.items[1].lease, 0), MG_OK);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->dead_letter, held.items[2].lease, 0), MG_OK);
  EXPECT(3, 1, 1, 0);
  if ((v->ops->capabilities & MG_CAP_NACK_DELAY) != 0) {
    assert_int_equal(mg_settle_one(v, v->worker, v->ops->nack, held.items[3].lease, 60000), MG_OK);
    EXPECT(4, 0, 1, 0); /* delayed counts as pending */
  }
  mg_publish_result_of(v, v->worker, v->run, 0, 3);
  depth = mg_depth_of(v, v->run);
  assert_int_equal(depth.results, 3);
  mg_fetch_results(v, v->coordinator, &results, 3);
  depth = mg_depth_of(v, v->run);
  assert_int_equal(depth.results, 3); /* until they are acked */
  mg_settle_all(v, v->coordinator, v->ops->ack_results, &results, 0);
  depth = mg_depth_of(v, v->run);
  assert_int_equal(depth.results, 0);
#undef EXPECT
  mg_forget_all(v->worker, &held);
  mg_forget_all(v->coordinator, &results);
}

static void depth_grows_old(mg_env *v) {
  mg_publish_some(v, v->run, 0, 1, 1);
  mg_depth depth = mg_depth_of(v, v->run);
  if (depth.oldest_ms < 0) {
    print_message("             skipped: %s does not tell how old a task is\n", v->ops->name);
    skip();
  }
  mg_ms end = mg_soon(v), first = depth.oldest_ms;
  while (mg_depth_of(v, v->run).oldest_ms < first + 100) assert_true(mg_now_ms() < end);
}

static void probes_tell_the_state(mg_env *v) {
  mg_need(v, MG_CAP_RECLAIM, "look up a task");
  mg_batch held = {0};
  assert_int_equal(mg_state_of(v, 0, 1), MG_TASK_ABSENT);
  mg_publish_some(v, v->run, 0, 3, 1);
  assert_int_equal(mg_state_of(v, 0, 1), MG_TASK_PENDING);
  assert_int_equal(mg_state_of(v, 0, 2), MG_TASK_ABSENT); /* another attempt */
  mg_fetch_some(v, v->worker, &held, 3, 60000);
  assert_int_equal(mg_state_of(v, 0, 1), MG_TASK_LEASED);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->ack, mg_find_item(&held, v->run, 0, 1)->lease, 0), MG_OK);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->dead_letter, mg_find_item(&held, v->run, 1, 1)->lease, 0), MG_OK);
  mg_ms delay = (v->ops->capabilities & MG_CAP_NACK_DELAY) != 0 ? 60000 : 0;
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->nack, mg_find_item(&held, v->run, 2, 1)->lease, delay), MG_OK);
  mg_probe probes[4] = {{.task = "t0", .attempt = 1}, {.task = "t1", .attempt = 1}, {.task = "t2", .attempt = 1}, {.task = "t3", .attempt = 1}};
  mg_error e = {0};
  mg_ok(v->ops->probe(v->coordinator, v->run, probes, 4, mg_soon(v), &e), &e);
  assert_int_equal(probes[0].state, MG_TASK_ABSENT);
  assert_int_equal(probes[1].state, MG_TASK_DEAD);
  assert_int_equal(probes[2].state, MG_TASK_PENDING);
  assert_int_equal(probes[3].state, MG_TASK_ABSENT);
  mg_ok(v->ops->probe(v->coordinator, v->other_run, probes, 4, mg_soon(v), &e), &e);
  for (int i = 0; i < 4; i++) assert_int_equal(probes[i].state, MG_TASK_ABSENT); /* another run */
  mg_forget_all(v->worker, &held);
}

static void a_purged_run_is_gone(mg_env *v) {
  mg_batch held = {0}, rest = {0};
  mg_error e = {0};
  size_t removed = 99;
  mg_publish_some(v, v->run, 0, 5, 1);
  mg_fetch_some(v, v->worker, &held, 2, 60000);
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->dead_letter, held.items[1].lease, 0), MG_OK);
  bool reclaims = (v->ops->capabilities & MG_CAP_RECLAIM) != 0; /* elsewhere what is held stays so, and its holder drops it */
  mg_depth d = {0};
  for (mg_ms end = mg_soon(v); !reclaims && !v->c->pending_counts_held && d.pending != 3 && d.pending != -1;) { /* what was sent to the worker unasked goes back */
    if (mg_now_ms() >= end) fail_msg("%lld of 3 tasks wait", (long long)d.pending);
    mg_ok(v->ops->service(v->worker, mg_now_ms() + 50, &e), &e);
    mg_ok(v->ops->depth(v->coordinator, NULL, mg_soon(v), &d, &e), &e);
  }
  mg_publish_result_of(v, v->worker, v->run, 0, 2);
  mg_publish_some(v, v->other_run, 0, 2, 1);
  mg_publish_result_of(v, v->worker, v->other_run, 0, 1);
  mg_err purged = v->ops->purge_run(v->coordinator, v->run, mg_soon(v), &removed, &e);
  if (purged == MG_UNSUPPORTED) mg_forget_all(v->worker, &held);
  mg_may_lack(v, purged, &e, "purge a run");
  assert_int_equal(removed, reclaims ? 4 : 3); /* three pending, one held */
  assert_int_equal(mg_settle_one(v, v->worker, v->ops->ack, held.items[0].lease, 0), reclaims ? MG_LOST : MG_OK);
  mg_expect_no_result(v, v->coordinator);
  if ((v->ops->capabilities & MG_CAP_LIST_DEAD) != 0) {
    mg_batch dead = {0};
    mg_ok(v->ops->list_dead(v->coordinator, v->run, 10, mg_soon(v), &dead, &e), &e);
    assert_int_equal(dead.count, 1); /* dead letters stay */
    mg_batch_clear(&dead);
  }
  mg_fetch_some(v, v->worker, &rest, 2, 60000); /* the other run is as it was */
  for (int i = 0; i < 2; i++) mg_expect_item(mg_find_item(&rest, v->other_run, i, 1), v->other_run, i, 1);
  mg_expect_no_task(v, v->worker);
  mg_settle_all(v, v->worker, v->ops->ack, &rest, 0);
  mg_backend *other = mg_env_open(v, "other-coordinator", v->other_run, -1);
  mg_batch results = {0};
  mg_fetch_results(v, other, &results, 1);
  mg_settle_all(v, other, v->ops->ack_results, &results, 0);
  mg_forget_all(other, &results);
  mg_forget_all(v->worker, &held);
  mg_forget_all(v->worker, &rest);
  mg_ok(v->ops->purge_run(v->coordinator, "no-such-run", mg_soon(v), &removed, &e), &e);
  assert_int_equal(removed, 0);
  mg_publish_some(v, v->run, 0, 1, 1); /* a purged run may be used again */
  mg_fetch_some(v, v->worker, &rest, 1, 60000);
  mg_settle_all(v, v->worker, v->ops->ack, &rest, 0);
  mg_forget_all(v->worker, &rest);
}

static void runs_take_turns(mg_env *v) {
  mg_need(v, MG_CAP_SKIP_RUNS, "choose among runs");
  mg_batch batch = {0};
  mg_error e = {0};
  mg_publish_some(v, v->run, 0, 200, 1);
  mg_publish_some(v, v->other_run, 0, 10, 1);
  size_t others = 0;
  for (mg_ms end = mg_soon(v); batch.count < 20;) { /* a few at a time, as a worker fetches */
    if (mg_now_ms() >= end) fail_msg("%zu of 20 tasks came", batch.count);
    mg_fetch how = {.max = 2, .lease_ms = 60000, .until = mg_now_ms() + 500};
    mg_ok(v->ops->fetch_tasks(v->worker, &how, &batch, &e), &e);
  }
  for (int i = 0; i < 10; i++) others += mg_find_item(&batch, v->other_run, i, 1) != NULL;
  if (others < 7) fail_msg("of 20 tasks %zu were of the run with 10 in the queue", others);
  mg_forget_all(v->worker, &batch);
}

static void runs_are_skipped(mg_env *v) {
  mg_need(v, MG_CAP_SKIP_RUNS, "skip runs");
  mg_batch batch = {0};
  mg_error e = {0};
  const char *skip[] = {"no-such-run", v->run, v->other_run};
  mg_publish_some(v, v->run, 0, 5, 1);
  mg_publish_some(v, v->other_run, 0, 3, 1);
  for (mg_ms end = mg_soon(v); batch.count < 3;) {
    if (mg_now_ms() >= end) fail_msg("%zu of 3 tasks came", batch.count);
    mg_fetch how = {.max = 10, .lease_ms = 60000, .until = mg_now_ms() + 500, .skip_runs = skip, .skip_count = 2};
    mg_ok(v->ops->fetch_tasks(v->worker, &how, &batch, &e), &e);
  }
  assert_int_equal(batch.count, 3);
  for (int i = 0; i < 3; i++) mg_expect_item(mg_find_item(&batch, v->other_run, i, 1), v->other_run, i, 1);
  mg_ms start = mg_now_ms();
  mg_fetch how = {.max = 10, .lease_ms = 60000, .until = start + v->c->quiet_ms, .skip_runs = skip, .skip_count = 3};
  mg_ok(v->ops->fetch_tasks(v->worker, &how, &batch, &e), &e);
  assert_int_equal(batch.count, 3);
  assert_in_range(mg_now_ms() - start, v->c->quiet_ms, v->c->quiet_ms + v->c->slack_ms); /* waits, does not spin */
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_forget_all(v->worker, &batch);
  mg_fetch_some(v, v->worker, &batch, 5, 60000); /* what was skipped is still there */
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_forget_all(v->worker, &batch);
}

/* Whoever steps back is served and fetches nothing. */
static void who_steps_back_leaves_all_to_others(mg_env *v) {
  mg_batch held = {0}, theirs = {0};
  mg_error e = {0};
  if (v->ops->step_back == NULL) {
    print_message("             skipped: %s keeps nothing for a worker that does not fetch\n", v->ops->name);
    skip();
  }
  mg_publish_some(v, v->run, 0, 24, 1);
  mg_fetch_some(v, v->worker, &held, 2, 60000);
  mg_settle_all(v, v->worker, v->ops->ack, &held, 0);
  mg_forget_all(v->worker, &held);
  mg_backend *other = mg_env_open(v, v->other_name, NULL, -1);
  for (mg_ms end = mg_soon(v); theirs.count < 22;) {
    if (mg_now_ms() >= end) fail_msg("the other worker got %zu of 22 tasks", theirs.count);
    v->ops->step_back(v->worker);
    mg_ok(v->ops->service(v->worker, mg_now_ms() + 20, &e), &e);
    mg_fetch how = {.max = 22 - theirs.count, .lease_ms = 60000, .until = mg_now_ms() + 50};
    mg_ok(v->ops->fetch_tasks(other, &how, &theirs, &e), &e);
  }
  mg_settle_all(v, other, v->ops->ack, &theirs, 0);
  mg_forget_all(other, &theirs);
  mg_publish_some(v, v->run, 24, 24, 1);
  for (mg_ms end = mg_soon(v); held.count == 0;) { /* it comes back, and gets its share */
    if (mg_now_ms() >= end) fail_msg("who came back got nothing");
    mg_fetch how = {.max = 1, .lease_ms = 60000, .until = mg_now_ms() + 50};
    mg_ok(v->ops->fetch_tasks(v->worker, &how, &held, &e), &e);
    mg_ok(v->ops->service(other, mg_now_ms() + 20, &e), &e);
  }
  mg_settle_all(v, v->worker, v->ops->ack, &held, 0);
  mg_forget_all(v->worker, &held);
}

static void a_quarantined_worker_gets_nothing(mg_env *v) {
  mg_batch batch = {0};
  mg_error e = {0};
  mg_backend *other = mg_env_open(v, v->other_name, NULL, -1);
  mg_publish_some(v, v->run, 0, 4, 1);
  mg_fetch_some(v, v->worker, &batch, 1, 60000);
  mg_err barred = v->ops->quarantine(v->coordinator, v->worker_name, true, 60000, mg_soon(v), &e);
  if (barred == MG_UNSUPPORTED) mg_forget_all(v->worker, &batch);
  mg_may_lack(v, barred, &e, "refuse a worker claims");
  mg_ms start = mg_now_ms();
  mg_expect_no_task(v, v->worker);
  assert_true(mg_now_ms() - start >= v->c->quiet_ms);  /* waits, does not spin */
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0); /* what it held it may settle */
  mg_forget_all(v->worker, &batch);
  mg_fetch_some(v, other, &batch, 1, 60000); /* others are served */
  mg_settle_all(v, other, v->ops->ack, &batch, 0);
  mg_forget_all(other, &batch);
  mg_ok(v->ops->quarantine(v->coordinator, v->worker_name, false, 0, mg_soon(v), &e), &e);
  mg_fetch_some(v, v->worker, &batch, 1, 60000);
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_forget_all(v->worker, &batch);
  mg_ok(v->ops->quarantine(v->coordinator, v->worker_name, true, v->c->lease_ms, mg_soon(v), &e), &e); /* and it ends by itself */
  start = mg_now_ms();
  while (batch.count == 0) { /* a wait notices the end, too */
    mg_fetch how = {.max = 1, .lease_ms = 60000, .until = start + v->c->patience_ms};
    mg_ok(v->ops->fetch_tasks(v->worker, &how, &batch, &e), &e);
    assert_true(mg_now_ms() - start < v->c->patience_ms);
  }
  assert_true(mg_now_ms() - start >= v->c->lease_ms / 2);
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_forget_all(v->worker, &batch);
}

static void it_tells_of_itself(mg_env *v) {
  mg_error e = {0};
  if (v->ops->stats == NULL) {
    mg_may_lack(v, MG_UNSUPPORTED, &e, "tell anything of itself");
    return;
  }
  mg_backend *sides[] = {v->coordinator, v->worker};
  mg_publish_some(v, v->run, 0, 1, 1);
  for (int side = 0; side < 2; side++) {
    mg_broker_stats s = {.lag = -1};
    mg_ok(v->ops->stats(sides[side], mg_soon(v), &s, &e), &e);
    assert_true(s.node_count <= MG_STATS_NODES && s.partition_count <= MG_STATS_PARTITIONS);
    for (size_t i = 0; i < s.node_count; i++) {
      const mg_node_stats *n = &s.nodes[i];
      assert_true(n->name[0] != '\0' && memchr(n->name, '\0', sizeof n->name) != NULL);
      assert_true(n->memory_bytes == -1 || n->memory_bytes > 0);
      assert_true(n->memory_limit_bytes >= -1);
      for (size_t k = 0; k < i; k++) assert_string_not_equal(n->name, s.nodes[k].name);
    }
    for (size_t i = 0; i < s.partition_count; i++) {
      assert_true(s.partitions[i].leader >= -1 && s.partitions[i].lag >= -1);
      if (i > 0) assert_true(s.partitions[i].partition > s.partitions[i - 1].partition);
    }
    assert_true(s.lag >= -1);
    assert_int_equal(s.throttled, 0);
  }
  mg_batch batch = {0};
  mg_fetch_some(v, v->worker, &batch, 1, 60000); /* the question disturbs nothing */
  mg_settle_all(v, v->worker, v->ops->ack, &batch, 0);
  mg_forget_all(v->worker, &batch);
}

static void the_table_is_whole(mg_env *v) {
  const mg_backend_ops *o = v->ops;
  assert_non_null(o->name);
  void (*const all[])(void) = {
      (void (*)(void))o->open,          (void (*)(void))o->close,
      (void (*)(void))o->publish_tasks, (void (*)(void))o->fetch_tasks,
      (void (*)(void))o->extend,        (void (*)(void))o->ack,
      (void (*)(void))o->nack,          (void (*)(void))o->dead_letter,
      (void (*)(void))o->forget,        (void (*)(void))o->publish_results,
      (void (*)(void))o->fetch_results, (void (*)(void))o->ack_results,
      (void (*)(void))o->beat,          (void (*)(void))o->read_beats,
      (void (*)(void))o->control,       (void (*)(void))o->read_controls,
      (void (*)(void))o->reclaim,       (void (*)(void))o->probe,
      (void (*)(void))o->depth,         (void (*)(void))o->list_dead,
      (void (*)(void))o->redrive,       (void (*)(void))o->purge_dead,
      (void (*)(void))o->purge_run,     (void (*)(void))o->quarantine,
      (void (*)(void))o->service,
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) assert_true(all[i] != NULL); /* what cannot be done says MG_UNSUPPORTED */
  o->close(NULL);
  mg_error e = {0};
  mg_batch none = {0};
  mg_ok(o->publish_tasks(v->coordinator, NULL, 0, mg_soon(v), &e), &e); /* arrays may be empty */
  mg_ok(o->ack(v->worker, NULL, 0, mg_soon(v), &e), &e);
  mg_ok(o->nack(v->worker, NULL, 0, mg_soon(v), &e), &e);
  mg_ok(o->publish_results(v->worker, NULL, 0, mg_soon(v), &e), &e);
  mg_ok(o->ack_results(v->coordinator, NULL, 0, mg_soon(v), &e), &e);
  if ((o->capabilities & MG_CAP_RECLAIM) != 0) {
    static const char *const no_names[] = {""};
    mg_batch held = {0};
    mg_publish_some(v, v->run, 0, 1, 1);
    mg_fetch_some(v, v->worker, &held, 1, v->c->lease_ms);
    for (mg_ms end = mg_now_ms() + v->c->lease_ms + v->c->quiet_ms; mg_now_ms() < end;) {
      mg_ok(o->reclaim(v->coordinator, v->run, NULL, no_names, 0, mg_soon(v), &none, &e), &e);
      assert_int_equal(none.count, 0); /* no names are no tasks, not those whose lease has ended */
    }
    mg_ok(o->reclaim(v->coordinator, v->run, NULL, NULL, 0, mg_soon(v), &none, &e), &e);
    assert_int_equal(none.count, 1);
    mg_batch_clear(&none);
    mg_forget_all(v->worker, &held);
  }
}

#define CASE(f)                                                                                                                                                \
  { #f, f }
const mg_contract_case mg_contract_upkeep[] = {
    CASE(the_table_is_whole),   CASE(depth_is_exact),
    CASE(depth_grows_old),      CASE(probes_tell_the_state),
    CASE(a_purged_run_is_gone), CASE(runs_take_turns),
    CASE(runs_are_skipped),     CASE(a_quarantined_worker_gets_nothing),
    CASE(who_steps_back_leaves_all_to_others),
    CASE(it_tells_of_itself),   {0},
};
