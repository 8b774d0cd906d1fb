/* What g draws: the reference values, and the bounds of every method. */
#include "script/generator.h"
#include "script/state.h"

#include <lauxlib.h>
#include <lua.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static mg_generator gen;

static int setup(void **state) {
  mg_script *s = mg_script_new(0);
  mg_generator_push(mg_script_lua(s), &gen, 30);
  lua_setglobal(mg_script_lua(s), "g");
  mg_generator_begin(&gen, 42, 0, 0);
  *state = s;
  return 0;
}

static int teardown(void **state) {
  mg_script_free(*state);
  return 0;
}

static void must(mg_script *s, const char *text) {
  mg_error e;
  assert_int_equal(luaL_loadstring(mg_script_lua(s), text), LUA_OK);
  if (mg_script_call(s, 0, 0, &e) != MG_OK) fail_msg("%s: %s", text, e.text);
}

static void draws_are_the_reference(void **state) {
  must(*state, "local t = {} for i = 1, 8 do t[i] = g:int(0, 5) end assert(table.concat(t, ',') == '3,2,0,2,5,1,3,2', table.concat(t, ','))");
  mg_generator_begin(&gen, 42, 0, 0);
  must(*state, "assert(g:int(0, 2999999999) == 1405759554) assert(g:int(0, 2999999999) == 2963155952)");
  mg_generator_begin(&gen, 42, 0, 0);
  must(*state, "assert(g:float() == .46858651833910492)");
  mg_generator_begin(&gen, 42, 0, 0);
  must(*state, "local t = g:shuffle{0, 1, 2, 3, 4, 5, 6, 7, 8, 9} assert(table.concat(t, ',') == '7,3,8,9,1,5,2,0,4,6', table.concat(t, ','))");
}

static void list_of_ints_draws_as_a_loop_does(void **state) {
  must(*state, "function draw() return g:list(g.int, -100, 100) end");
  for (uint64_t i = 0; i < 50; i++) {
    mg_generator_begin(&gen, 7, i, 0);
    must(*state, "fast = draw()");
    mg_generator_begin(&gen, 7, i, 0);
    must(*state, "local slow = g:list(function(g, a, b) return g:int(a, b) end, -100, 100) assert(#slow == #fast and #slow <= 30)"
                 "for i, v in ipairs(slow) do assert(v == fast[i] and v >= -100 and v <= 100) end");
  }
}

static void methods_keep_their_bounds(void **state) {
  must(*state,
       "for i = 1, 2000 do\n"
       "  assert(g:int(-3, 3) >= -3 and g:int(5, 5) == 5) math.type(g:int(math.mininteger, math.maxinteger))\n"
       "  local f = g:float(2, 3) assert(f >= 2 and f <= 3)\n"
       "  assert(type(g:bool()) == 'boolean' and g:bool(1) == true and g:bool(0) == false)\n"
       "  local c = g:choice{'a', 'b'} assert(c == 'a' or c == 'b')\n"
       "  assert(#g:string() <= 30 and #g:string(5) <= 5 and g:string(9, 'x'):match('^x*$'))\n"
       "  assert(#g:bytes(3) <= 3)\n"
       "  local w = g:weighted{{0, 'never'}, {1, 'a'}, {3, function(g) return g:int(1, 2) end}} assert(w == 'a' or w == 1 or w == 2)\n"
       "end\n"
       "assert(g.case == 0 and g.size == 30)");
}

static void bytes_and_weights_cover_their_range(void **state) {
  must(*state, "local seen, n = {}, 0 for i = 1, 3000 do for c in g:bytes(20):gmatch('.') do if not seen[c] then seen[c] = true n = n + 1 end end end assert(n == 256, n)");
  must(*state, "local a = 0 for i = 1, 10000 do if g:weighted{{1, 'a'}, {3, 'b'}} == 'a' then a = a + 1 end end assert(a > 2300 and a < 2700, a)");
  must(*state, "local a = 0 for i = 1, 10000 do if g:bool(.1) then a = a + 1 end end assert(a > 850 and a < 1150, a)");
}

static void wrong_arguments_are_named(void **state) {
  static const struct {
    const char *call, *says;
  } rows[] = {{"g:int(2, 1)", "lower bound is above"},     {"g:int(1)", "number expected"},
              {"g:float(2, 1)", "lower bound is above"},   {"g:bool(2)", "probability"},
              {"g:choice{}", "empty"},                     {"g:string(-1)", "length"}, {"g:string(0, 8)", "two numbers"},
              {"g:string(5, '')", "alphabet"},             {"g:weighted{}", "weight above 0"},
              {"g:weighted{{-1, 1}}", "weight of entry 1"}, {"g:list(5)", "function expected"},
              {"g:list(function() end)", "nil"},           {"g.integer", "g has no 'integer'"},
              {"g:label('')", "1 to 100"}};
  mg_script *s = *state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    char text[200];
    mg_error e;
    (void)snprintf(text, sizeof text, "for i = 1, 20 do local _ = %s end", rows[i].call);
    assert_int_equal(luaL_loadstring(mg_script_lua(s), text), LUA_OK);
    assert_int_equal(mg_script_call(s, 0, 0, &e), MG_ARG);
    if (strstr(e.text, rows[i].says) == NULL) fail_msg("%s: %s", rows[i].call, e.text);
  }
}

static void discard_and_labels(void **state) {
  mg_error e;
  mg_script *s = *state;
  assert_int_equal(luaL_loadstring(mg_script_lua(s), "g:label('a') g:label('b', false) g:label('c', true) g:label('a') g:discard()"), LUA_OK);
  assert_int_equal(mg_script_call(s, 0, 0, &e), MG_ARG);
  assert_true(gen.discarded);
  assert_int_equal(gen.label_count, 2);
  mg_generator_begin(&gen, 42, 1, 1); /* a transform of the same case keeps them */
  assert_int_equal(gen.label_count, 2);
  mg_generator_begin(&gen, 42, 1, 0);
  assert_false(gen.discarded);
  assert_int_equal(gen.label_count, 0);
  must(s, "assert(g.case == 1)");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(draws_are_the_reference, setup, teardown),
      cmocka_unit_test_setup_teardown(list_of_ints_draws_as_a_loop_does, setup, teardown),
      cmocka_unit_test_setup_teardown(methods_keep_their_bounds, setup, teardown),
      cmocka_unit_test_setup_teardown(bytes_and_weights_cover_their_range, setup, teardown),
      cmocka_unit_test_setup_teardown(wrong_arguments_are_named, setup, teardown),
      cmocka_unit_test_setup_teardown(discard_and_labels, setup, teardown),
  };
  return cmocka_run_group_tests_name("script/generator", tests, NULL, NULL);
}
