/* Values through every boundary: tape, other state, MessagePack, JSON. */
#include "script/json.h"
#include "script/state.h"
#include "script/value.h"

#include <lauxlib.h>
#include <lua.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Source texts of values that must arrive unchanged, and how they are shown. */
static const struct {
  const char *lua, *shown;
  bool json; /* JSON can carry it */
} values[] = {
    {"nil", "nil", true},
    {"true", "true", true},
    {"0", "0", true},
    {"1", "1", true},
    {"1.0", "1.0", true},
    {"-0.0", "-0.0", true},
    {"9007199254740993", "9007199254740993", true},
    {"math.maxinteger", "9223372036854775807", true},
    {"math.mininteger", "-9223372036854775808", true},
    {"0.1", "0.1", true},
    {"1e300", "1e+300", true},
    {"2^53", "9007199254740992.0", true},
    {"5e-324", "4.94065645841247e-324", true},
    {"0/0", "nan", false},
    {"1/0", "inf", false},
    {"-1/0", "-inf", false},
    {"'a\\0b'", "\"a\\x00b\"", true},
    {"'\\xc3\\xa4'", "\"\xc3\xa4\"", true},
    {"'\\xff\\xfe'", "\"\\xff\\xfe\"", false},
    {"{}", "{}", true},
    {"core.array{}", "[]", true},
    {"{1, 2, 3}", "{1, 2, 3}", true},
    {"{1, 2.0, {3}}", "{1, 2.0, {3}}", true},
    {"{b = 1, a = {c = {}}}", "{a = {c = {}}, b = 1}", true},
    {"{core.array{}, {}}", "{[], {}}", true},
    {"{[1] = 'x', [3] = 'z'}", "{[1] = \"x\", [3] = \"z\"}", false},
    {"{1, 2, n = 2}", "{[1] = 1, [2] = 2, n = 2}", false},
    {"{[true] = 1, [2.5] = 2}", "{[true] = 1, [2.5] = 2}", false},
    {"{['with space'] = 1}", "{[\"with space\"] = 1}", true},
};
enum { VALUES = sizeof values / sizeof values[0] };

static void push(mg_script *s, const char *text) {
  lua_State *L = mg_script_lua(s);
  char chunk[4096];
  (void)snprintf(chunk, sizeof chunk, "local core = require 'mguard.core' return %s", text);
  mg_error e;
  if (luaL_loadstring(L, chunk) != LUA_OK) fail_msg("%s", lua_tostring(L, -1));
  if (mg_script_call(s, 0, 1, &e) != MG_OK) fail_msg("%s: %s", text, e.text);
}

static void must_show(const mg_tape *t, const char *expected, const char *where) {
  mg_buf b = {0};
  mg_tape_show(t, 1000, &b);
  if (b.len != strlen(expected) || memcmp(b.data, expected, b.len) != 0) fail_msg("%s: %.*s, expected %s", where, (int)b.len, (char *)b.data, expected);
  mg_buf_fini(&b);
}

static int setup(void **state) {
  mg_script **two = calloc(2, sizeof *two);
  two[0] = mg_script_new(0);
  two[1] = mg_script_new(0);
  *state = two;
  return 0;
}

static int teardown(void **state) {
  mg_script **two = *state;
  mg_script_free(two[0]);
  mg_script_free(two[1]);
  free(two);
  return 0;
}

static void arrive_in_another_state(void **state) {
  mg_script **two = *state;
  for (int i = 0; i < VALUES; i++) {
    mg_tape a = {0}, b = {0};
    mg_error e;
    push(two[0], values[i].lua);
    assert_int_equal(mg_tape_read(&a, mg_script_lua(two[0]), -1, &e), MG_OK);
    must_show(&a, values[i].shown, "read");
    assert_int_equal(mg_tape_build(&a, mg_script_lua(two[1])), 1);
    assert_int_equal(mg_tape_read(&b, mg_script_lua(two[1]), -1, &e), MG_OK);
    must_show(&b, values[i].shown, "built");
    mg_tape_fini(&a);
    mg_tape_fini(&b);
    lua_settop(mg_script_lua(two[0]), 0);
    lua_settop(mg_script_lua(two[1]), 0);
  }
}

static void survive_messagepack(void **state) {
  mg_script **two = *state;
  lua_State *L = mg_script_lua(two[0]);
  for (int i = 0; i < VALUES; i++) {
    mg_tape a = {0}, b = {0};
    mg_buf bytes = {0};
    mg_error e;
    push(two[0], values[i].lua);
    assert_int_equal(mg_tape_read(&a, L, -1, &e), MG_OK);
    mg_tape_pack(&a, true, &bytes);
    if (mg_tape_unpack(&b, mg_buf_slice(&bytes), false, &e) != MG_OK) fail_msg("%s: %s", values[i].lua, e.text);
    must_show(&b, values[i].shown, "unpacked");
    for (size_t cut = 0; cut < bytes.len; cut++) { /* no prefix of it is a value, and none crashes */
      mg_tape c = {0};
      assert_int_equal(mg_tape_unpack(&c, (mg_slice){bytes.data, cut}, false, &e), MG_ARG);
      assert_int_equal(c.len, 0);
      mg_tape_fini(&c);
    }
    mg_tape_fini(&a);
    mg_tape_fini(&b);
    mg_buf_fini(&bytes);
    lua_settop(L, 0);
  }
}

static void survive_json_or_are_refused(void **state) {
  mg_script **two = *state;
  lua_State *L = mg_script_lua(two[0]);
  for (int i = 0; i < VALUES; i++) {
    mg_tape a = {0}, b = {0};
    mg_buf text = {0};
    mg_json *doc = NULL;
    mg_error e;
    push(two[0], values[i].lua);
    assert_int_equal(mg_tape_read(&a, L, -1, &e), MG_OK);
    mg_err err = mg_json_write(&a, false, false, &text, &e);
    if (err != (values[i].json ? MG_OK : MG_ARG)) fail_msg("%s: %s", values[i].lua, mg_err_name(err));
    if (err == MG_OK) {
      if (mg_json_read(mg_buf_slice(&text), &b, &doc, &e) != MG_OK) fail_msg("%s: %s", values[i].lua, e.text);
      must_show(&b, strcmp(values[i].shown, "nil") == 0 ? "null" : values[i].shown, "from JSON");
    } else {
      assert_non_null(strstr(e.text, "JSON cannot carry"));
    }
    mg_tape_fini(&a);
    mg_tape_fini(&b);
    mg_json_free(doc);
    mg_buf_fini(&text);
    lua_settop(L, 0);
  }
}

static void every_byte_survives(void **state) {
  mg_script **two = *state;
  char all[256];
  for (int i = 0; i < 256; i++) all[i] = (char)i;
  mg_tape a = {0}, b = {0};
  mg_buf bytes = {0};
  mg_error e;
  lua_pushlstring(mg_script_lua(two[0]), all, sizeof all);
  assert_int_equal(mg_tape_read(&a, mg_script_lua(two[0]), -1, &e), MG_OK);
  mg_tape_pack(&a, true, &bytes);
  assert_int_equal(mg_tape_unpack(&b, mg_buf_slice(&bytes), false, &e), MG_OK);
  assert_int_equal(mg_tape_build(&b, mg_script_lua(two[1])), 1);
  size_t len;
  const char *got = lua_tolstring(mg_script_lua(two[1]), -1, &len);
  assert_int_equal(len, 256);
  assert_memory_equal(got, all, 256);
  mg_tape_fini(&a);
  mg_tape_fini(&b);
  mg_buf_fini(&bytes);
}

static void what_is_no_data_is_refused_by_name(void **state) {
  static const struct {
    const char *lua, *says;
  } rows[] = {{"print", "functions"},
              {"{1, {callback = print}}", "(at [2].callback)"},
              {"coroutine.create(print)", "coroutines"},
              {"io.stdout", "userdata"},
              {"{[{}] = 1}", "tables as keys"},
              {"(function() local t = {} t.t = t return t end)()", "inside themselves"}};
  mg_script **two = *state;
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    mg_tape t = {0};
    mg_error e;
    push(two[0], rows[i].lua);
    int top = lua_gettop(mg_script_lua(two[0]));
    assert_int_equal(mg_tape_read(&t, mg_script_lua(two[0]), -1, &e), MG_ARG);
    if (strstr(e.text, rows[i].says) == NULL) fail_msg("%s: %s", rows[i].lua, e.text);
    assert_int_equal(lua_gettop(mg_script_lua(two[0])), top);
    assert_int_equal(t.len, 0);
    mg_tape_fini(&t);
  }
}

static void equality_and_order(void **state) {
  static const struct {
    const char *a, *b;
    bool equal;
    int order; /* 9: not looked at */
  } rows[] = {{"1", "1.0", true, 0},
              {"0/0", "0/0", true, 0},
              {"0.0", "-0.0", true, 0},
              {"9007199254740993", "2^53", false, 1},
              {"{1, 2}", "{1, 2}", true, 0},
              {"{1, 2}", "{1, 2, 3}", false, -1},
              {"{a = 1}", "{a = 1, b = 2}", false, -1},
              {"{a = 1, b = 2}", "{a = 1}", false, 1},
              {"{1, nil, 3}", "{1, nil, 3}", true, 0},
              {"{}", "core.array{}", true, 0},
              {"core.object{}", "core.array{}", false, 9},
              {"'a'", "'a\\0'", false, -1},
              {"nil", "false", false, -1},
              {"{{1}, {2}}", "{{1}, {3}}", false, -1},
              {"'1'", "1", false, 1}};
  mg_script **two = *state;
  lua_State *L = mg_script_lua(two[0]);
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    lua_settop(L, 0);
    push(two[0], rows[i].a);
    push(two[0], rows[i].b);
    if (mg_value_equal(L, 1, 2, 0, 0) != rows[i].equal) fail_msg("%s = %s", rows[i].a, rows[i].b);
    if (mg_value_equal(L, 2, 1, 0, 0) != rows[i].equal) fail_msg("%s = %s, the other way", rows[i].a, rows[i].b);
    if (rows[i].order != 9 && mg_value_compare(L, 1, 2) != rows[i].order) fail_msg("%s <=> %s", rows[i].a, rows[i].b);
    if (rows[i].order != 9 && mg_value_compare(L, 2, 1) != -rows[i].order) fail_msg("%s <=> %s, the other way", rows[i].a, rows[i].b);
    assert_int_equal(lua_gettop(L), 2);
  }
  lua_settop(L, 0);
  push(two[0], "{1.0, 100}");
  push(two[0], "{1.05, 101}");
  assert_false(mg_value_equal(L, 1, 2, 0.01, 0));
  assert_true(mg_value_equal(L, 1, 2, 1, 0));
  assert_true(mg_value_equal(L, 1, 2, 0, 0.05));
}

static void long_values_are_cut(void **state) {
  mg_script **two = *state;
  push(two[0], "('\\xc3\\xa4'):rep(1000)");
  mg_tape t = {0};
  mg_buf b = {0};
  mg_error e;
  assert_int_equal(mg_tape_read(&t, mg_script_lua(two[0]), -1, &e), MG_OK);
  mg_tape_show(&t, 100, &b);
  assert_true(b.len < 130);
  assert_memory_equal(b.data + b.len - 6, " (cut)", 6);
  mg_tape_fini(&t);
  mg_buf_fini(&b);
}

static void json_errors_name_the_place(void **state) {
  (void)state;
  static const struct {
    const char *text, *says;
  } rows[] = {{"[1,\n2,,3]", "line 2"},
              {"9223372036854775808", "64 bits"},
              {"-9223372036854775809", "64 bits"},
              {"{\"a\":1,\"a\":2}", "duplicate"},
              {"[NaN]", "line 1"},
              {"[1] [2]", "end of file"},
              {"", "line 1"}};
  for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
    mg_tape t = {0};
    mg_json *doc = NULL;
    mg_error e;
    assert_int_equal(mg_json_read(mg_slice_of(rows[i].text), &t, &doc, &e), MG_ARG);
    if (strstr(e.text, rows[i].says) == NULL) fail_msg("%s: %s", rows[i].text, e.text);
    assert_null(doc);
    mg_tape_fini(&t);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_setup_teardown(arrive_in_another_state, setup, teardown),
      cmocka_unit_test_setup_teardown(survive_messagepack, setup, teardown),
      cmocka_unit_test_setup_teardown(survive_json_or_are_refused, setup, teardown),
      cmocka_unit_test_setup_teardown(every_byte_survives, setup, teardown),
      cmocka_unit_test_setup_teardown(what_is_no_data_is_refused_by_name, setup, teardown),
      cmocka_unit_test_setup_teardown(equality_and_order, setup, teardown),
      cmocka_unit_test_setup_teardown(long_values_are_cut, setup, teardown),
      cmocka_unit_test(json_errors_name_the_place),
  };
  return cmocka_run_group_tests_name("script/value", tests, NULL, NULL);
}
