/* Limits and isolation of a lua_State. */
#include "script/state.h"

#include <lauxlib.h>
#include <lua.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/time.h>

#include <cmocka.h>

static mg_script *current;

static void on_alarm(int sig) {
  (void)sig;
  mg_script_interrupt(current);
}

static int setup(void **state) {
  current = mg_script_new(64u << 20);
  *state = current;
  struct sigaction sa = {.sa_handler = on_alarm};
  (void)sigaction(SIGALRM, &sa, NULL);
  return current == NULL;
}

static int teardown(void **state) {
  mg_script_free(*state);
  return 0;
}

/* Loads text and calls it; results stay on the stack. */
static mg_err run(mg_script *s, const char *text, mg_error *e) {
  if (luaL_loadstring(mg_script_lua(s), text) != LUA_OK) fail_msg("%s", lua_tostring(mg_script_lua(s), -1));
  return mg_script_call(s, 0, LUA_MULTRET, e);
}

/* Runs text and interrupts it after 30 ms. */
static mg_err run_for_a_while(mg_script *s, const char *text, mg_error *e) {
  struct itimerval t = {{0, 0}, {0, 30000}};
  (void)setitimer(ITIMER_REAL, &t, NULL);
  mg_err err = run(s, text, e);
  return err;
}

static void must_be_interrupted(mg_script *s, const char *text) {
  mg_error e;
  mg_err err = run_for_a_while(s, text, &e);
  if (err != MG_TIMEOUT) fail_msg("%s: %s", text, mg_err_name(err));
  mg_script_calm(s);
  lua_settop(mg_script_lua(s), 0);
  assert_int_equal(run(s, "local x = 0 for i = 1, 100000 do x = x + i end return x", &e), MG_OK); /* and goes on as before */
  assert_int_equal(lua_tointeger(mg_script_lua(s), -1), 5000050000);
  lua_settop(mg_script_lua(s), 0);
}

static void loops_are_interrupted(void **state) {
  static const char *const loops[] = {
      "while true do end",
      "for _ = 1, math.huge do pcall(function() while true do end end) end",
      "while true do pcall(error, 'x') end",
      "local function f() return f() end f()",
      "coroutine.wrap(function() while true do end end)()",
      "local co = coroutine.create(function() while true do end end) while true do coroutine.resume(co) end",
      "local co = coroutine.wrap(function() while true do coroutine.yield() end end) while true do co() end",
      "coroutine.wrap(function() coroutine.wrap(function() while true do pcall(function() while true do end end) end end)() end)()",
      "table.sort({3, 2, 1, 5, 4}, function(a, b) while true do end end)",
      "string.gsub('aaa', 'a', function() while true do end end)",
      "setmetatable({}, {__index = function() while true do end end}).x = nil; return setmetatable({}, {__index = function() while true do end end}).y",
      "load(function() while true do end end)",
  };
  for (size_t i = 0; i < sizeof loops / sizeof loops[0]; i++) must_be_interrupted(*state, loops[i]);
}

static void interrupt_says_where(void **state) {
  mg_error e;
  lua_State *L = mg_script_lua(*state);
  assert_int_equal(luaL_loadbuffer(L, "\n\nwhile true do end", 19, "@candidate.lua"), LUA_OK);
  struct itimerval t = {{0, 0}, {0, 30000}};
  (void)setitimer(ITIMER_REAL, &t, NULL);
  assert_int_equal(mg_script_call(*state, 0, 0, &e), MG_TIMEOUT);
  assert_string_equal(mg_script_where(*state), "candidate.lua:3");
}

static void a_coroutine_that_outlives_the_interrupt_runs_on(void **state) {
  mg_error e;
  assert_int_equal(run(*state, "co = coroutine.wrap(function() while true do local t = {} pcall(function() while not stop do end end) coroutine.yield(1) end end)", &e), MG_OK);
  (void)run_for_a_while(*state, "co()", &e);
  mg_script_calm(*state);
  lua_settop(mg_script_lua(*state), 0);
  mg_err err = run(*state, "stop = true local ok, v = pcall(co) return ok, v", &e);
  assert_int_equal(err, MG_OK); /* whether it died or yields, no late time limit strikes */
}

static void memory_is_limited(void **state) {
  mg_error e;
  static const char *const eaters[] = {"local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end", "return ('x'):rep(1 << 30)",
                                       "local s = 'x' while true do s = s .. s end"};
  for (size_t i = 0; i < sizeof eaters / sizeof eaters[0]; i++) {
    assert_int_equal(run(*state, eaters[i], &e), MG_NOMEM);
    assert_non_null(strstr(e.text, "64 MB"));
    lua_settop(mg_script_lua(*state), 0);
    assert_int_equal(run(*state, "return #('x'):rep(1 << 20)", &e), MG_OK);
    lua_settop(mg_script_lua(*state), 0);
  }
}

static void errors_are_texts(void **state) {
  mg_error e;
  assert_int_equal(run(*state, "error('no such luck', 0)", &e), MG_ARG);
  assert_string_equal(e.text, "no such luck");
  assert_int_equal(run(*state, "error({})", &e), MG_ARG);
  assert_string_equal(e.text, "it raised a table, not a text");
  assert_int_equal(run(*state, "error(setmetatable({}, {__tostring = function() while true do end end}))", &e), MG_ARG);
  assert_int_equal(run(*state, "error(nil)", &e), MG_ARG);
  assert_int_equal(lua_gettop(mg_script_lua(*state)), 0);
}

/* What a case may do to globals, and what the next case must see. */
static void globals_are_put_back(void **state) {
  mg_error e;
  mg_script *s = *state;
  assert_int_equal(run(s, "function helper() return 7 end counter = 0", &e), MG_OK);
  assert_int_equal(mg_script_commit(s, &e), MG_OK);
  static const char *const vandals[] = {
      "table.sort = nil",
      "table.sort = function() return 'evil' end",
      "string.rep = nil",
      "getmetatable('').__index = nil",
      "getmetatable('').__add = function() return 1 end",
      "math.floor, math.huge = nil, 1",
      "_G.print = nil; pairs = nil; ipairs = nil; next = nil",
      "helper = nil",
      "counter = counter + 1",
      "rawset(_G, 'helper', 1); rawset(string, 'rep', 1)",
      "for k in pairs(_G) do _G[k] = nil end",
      "for k in pairs(string) do string[k] = nil end",
      "setmetatable(_ENV, {__index = function() return 1 end})",
      "newglobal = 1; string.newfield = 2",
      "_G._G = nil",
      "table.insert, table.remove = table.remove, table.insert",
      "package.loaded.string = nil; package.loaded.table.concat = nil",
  };
  static const char check[] =
      "assert(helper() == 7 and counter == 0 and newglobal == nil and string.newfield == nil)"
      "assert(_G.print and pairs and ipairs and next and _G._G == _G)"
      "assert(('x'):rep(3) == 'xxx' and math.floor(1.5) == 1 and math.huge > 1e300)"
      "local t = {3, 1, 2} table.sort(t) assert(table.concat(t) == '123') table.insert(t, 9) assert(#t == 4)"
      "assert(not pcall(function() return 'a' + {} end))"
      "local n = 0 for k, v in pairs(math) do n = n + 1 end assert(n > 20)"
      "assert(rawget(_G, 'print') == print and rawget(math, 'pi') == math.pi)"
      "local seen for k in pairs(_G) do if k == 'helper' then seen = true end end assert(seen) return 'fine'";
  for (size_t i = 0; i < sizeof vandals / sizeof vandals[0]; i++) {
    (void)run(s, vandals[i], &e); /* it may raise: what counts is what it leaves */
    lua_settop(mg_script_lua(s), 0);
    mg_script_restore(s);
    mg_err err = run(s, check, &e);
    if (err != MG_OK) fail_msg("after `%s`: %s", vandals[i], e.text);
    lua_settop(mg_script_lua(s), 0);
    mg_script_restore(s);
  }
}

/* Inside the case that does it, an assignment is seen as usual. */
static void assignments_hold_within_the_case(void **state) {
  mg_error e;
  mg_script *s = *state;
  assert_int_equal(mg_script_commit(s, &e), MG_OK);
  mg_err err = run(s,
                   "x = 1 x = x + 1 assert(x == 2) print = nil assert(print == nil) assert(rawget(_G, 'x') == 2)"
                   "table.sort = 5 assert(table.sort == 5) string.trim = function(t) return t:match('^%s*(.-)%s*$') end assert((' a '):trim() == 'a')"
                   "math.pi = nil assert(math.pi == nil) math.pi = 3 assert(math.pi == 3)"
                   "for k in pairs(_G) do assert(k ~= 'print') end",
                   &e);
  if (err != MG_OK) fail_msg("%s", e.text);
}

static void finalizers_run_in_their_case(void **state) {
  mg_error e;
  mg_script *s = *state;
  lua_State *L = mg_script_lua(s);
  assert_int_equal(run(s, "log = {} finalized = log", &e), MG_OK);
  assert_int_equal(mg_script_commit(s, &e), MG_OK);
  assert_int_equal(run(s, "setmetatable({}, {__gc = function() log[1] = true end})", &e), MG_OK);
  mg_script_restore(s);
  assert_int_equal(run(s, "return log[1]", &e), MG_OK);
  assert_true(lua_toboolean(L, -1));
}

static void random_restarts(void **state) {
  mg_error e;
  mg_script *s = *state;
  lua_State *L = mg_script_lua(s);
  lua_Integer first = 0;
  for (int i = 0; i < 3; i++) {
    mg_script_reseed(s, 42, 7, 1);
    assert_int_equal(run(s, "local x = math.random(1 << 40) math.randomseed(os.time()) math.random() return x", &e), MG_OK);
    if (i == 0) first = lua_tointeger(L, -1);
    assert_int_equal(lua_tointeger(L, -1), first);
    lua_settop(L, 0);
  }
  mg_script_reseed(s, 42, 8, 1);
  assert_int_equal(run(s, "return math.random(1 << 40)", &e), MG_OK);
  assert_int_not_equal(lua_tointeger(L, -1), first);
  mg_err err = run(s,
                   "for i = 1, 1000 do local f, d, r = math.random(), math.random(6), math.random(-3, 3)"
                   "assert(f >= 0 and f < 1 and d >= 1 and d <= 6 and r >= -3 and r <= 3) end"
                   " assert(math.type(math.random(0)) == 'integer') assert(not pcall(math.random, 2, 1))",
                   &e);
  if (err != MG_OK) fail_msg("%s", e.text);
}

/* The coroutine library behaves as the manual says, though resume and wrap are ours. */
static void coroutines_are_standard(void **state) {
  mg_error e;
  mg_err err = run(*state,
                   "local co = coroutine.create(function(a, b) local c = coroutine.yield(a + b) local d, e = coroutine.yield(c * 2) return d + e, 'end' end)\n"
                   "local ok, v = coroutine.resume(co, 1, 2) assert(ok and v == 3) ok, v = coroutine.resume(co, 5) assert(v == 10)\n"
                   "local r = table.pack(coroutine.resume(co, 3, 4)) assert(r.n == 3 and r[2] == 7 and r[3] == 'end')\n"
                   "ok, v = coroutine.resume(co) assert(not ok and v == 'cannot resume dead coroutine')\n"
                   "ok, v = coroutine.resume(coroutine.running()) assert(not ok and v == 'cannot resume non-suspended coroutine')\n"
                   "local w = coroutine.wrap(function(...) for i = 1, select('#', ...) do coroutine.yield((select(i, ...))) end end)\n"
                   "assert(w(7, 8, 9) == 7 and w() == 8 and w() == 9 and w() == nil)\n"
                   "ok, v = pcall(w) assert(not ok and v:find('cannot resume dead coroutine'))\n"
                   "ok, v = pcall(coroutine.wrap(function() error('boom') end)) assert(not ok and v:find('boom'))\n"
                   "ok, v = pcall(coroutine.wrap(function() error({}) end)) assert(not ok and type(v) == 'table')\n"
                   "ok, v = pcall(coroutine.resume, 5) assert(not ok and v:find('coroutine expected'))\n"
                   "local closed w = coroutine.wrap(function() local x <close> = setmetatable({}, {__close = function() closed = true end}) error('x') end)\n"
                   "pcall(w) assert(closed)\n"
                   "co = coroutine.create(function() coroutine.yield() end) coroutine.resume(co) assert(coroutine.close(co) and coroutine.status(co) == 'dead')",
                   &e);
  if (err != MG_OK) fail_msg("%s", e.text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(loops_are_interrupted, setup, teardown),
      cmocka_unit_test_setup_teardown(interrupt_says_where, setup, teardown),
      cmocka_unit_test_setup_teardown(a_coroutine_that_outlives_the_interrupt_runs_on, setup, teardown),
      cmocka_unit_test_setup_teardown(memory_is_limited, setup, teardown),
      cmocka_unit_test_setup_teardown(errors_are_texts, setup, teardown),
      cmocka_unit_test_setup_teardown(globals_are_put_back, setup, teardown),
      cmocka_unit_test_setup_teardown(assignments_hold_within_the_case, setup, teardown),
      cmocka_unit_test_setup_teardown(finalizers_run_in_their_case, setup, teardown),
      cmocka_unit_test_setup_teardown(random_restarts, setup, teardown),
      cmocka_unit_test_setup_teardown(coroutines_are_standard, setup, teardown),
  };
  return cmocka_run_group_tests_name("script/state", tests, NULL, NULL);
}
