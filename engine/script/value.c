#include "script/value.h"

#include "script/state.h"
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char ARRAY_META = 0, OBJECT_META = 0, NULL_VALUE = 0;

void mg_value_open(lua_State *L) {
  static const char *const keys[] = {&ARRAY_META, &OBJECT_META};
  for (int i = 0; i < 2; i++) {
    bool there = lua_rawgetp(L, LUA_REGISTRYINDEX, keys[i]) != LUA_TNIL;
    lua_pop(L, 1);
    if (there) continue;
    lua_createtable(L, 0, 1);
    lua_pushstring(L, i == 0 ? "array" : "object");
    lua_setfield(L, -2, "__name");
    lua_rawsetp(L, LUA_REGISTRYINDEX, keys[i]);
  }
}

void mg_value_mark(lua_State *L, int idx, mg_mark m) {
  idx = lua_absindex(L, idx);
  if (m == MG_UNMARKED) return;
  lua_rawgetp(L, LUA_REGISTRYINDEX, m == MG_MARK_ARRAY ? &ARRAY_META : &OBJECT_META);
  lua_setmetatable(L, idx);
}

mg_mark mg_value_marked(lua_State *L, int idx) {
  if (!lua_getmetatable(L, idx)) return MG_UNMARKED;
  const void *mt = lua_topointer(L, -1);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &ARRAY_META);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &OBJECT_META);
  mg_mark m = lua_topointer(L, -2) == mt ? MG_MARK_ARRAY : lua_topointer(L, -1) == mt ? MG_MARK_OBJECT : MG_UNMARKED;
  lua_pop(L, 3);
  return m;
}

void mg_value_push_null(lua_State *L) { lua_pushlightuserdata(L, (void *)(uintptr_t)&NULL_VALUE); }
bool mg_value_is_null(lua_State *L, int idx) {
  return lua_type(L, idx) == LUA_TLIGHTUSERDATA && lua_touserdata(L, idx) == (const void *)&NULL_VALUE;
}

void mg_tape_fini(mg_tape *t) {
  free(t->cells);
  memset(t, 0, sizeof *t);
}

void mg_tape_clear(mg_tape *t) { t->len = t->values = 0; }

mg_cell *mg_tape_add(mg_tape *t, mg_cell_kind kind) {
  if (t->len == t->cap) {
    size_t cap = t->cap == 0 ? 64 : t->cap * 2;
    mg_cell *cells = realloc(t->cells, cap * sizeof *cells);
    if (cells == NULL) return NULL;
    t->cells = cells;
    t->cap = cap;
  }
  mg_cell *c = &t->cells[t->len++];
  c->kind = (uint8_t)kind;
  c->mark = MG_UNMARKED;
  c->count = 0;
  return c;
}

/* ---- reading ---- */

typedef struct reader {
  mg_tape *t;
  lua_State *L;
  const char *problem; /* what was refused */
  bool nomem;
  char path[160]; /* where, built from the inside out */
} reader;

static void prefix_path(reader *r, int key) {
  char step[64];
  if (lua_isinteger(r->L, key)) {
    (void)snprintf(step, sizeof step, "[%lld]", (long long)lua_tointeger(r->L, key));
  } else if (lua_type(r->L, key) == LUA_TSTRING) {
    (void)snprintf(step, sizeof step, ".%.40s", lua_tostring(r->L, key));
  } else {
    (void)snprintf(step, sizeof step, "[%s]", luaL_typename(r->L, key));
  }
  char whole[sizeof r->path + sizeof step];
  (void)snprintf(whole, sizeof whole, "%s%s", step, r->path);
  (void)snprintf(r->path, sizeof r->path, "%.*s", (int)sizeof r->path - 1, whole);
}

static bool read_value(reader *r, int idx, int depth);

static bool read_table(reader *r, int idx, int depth) {
  lua_State *L = r->L;
  if (depth >= MG_VALUE_DEPTH) {
    r->problem = "tables nested deeper than 64, or inside themselves,";
    return false;
  }
  if (!lua_checkstack(L, 4)) {
    r->nomem = true;
    return false;
  }
  mg_tape *t = r->t;
  size_t head = t->len;
  mg_cell *c = mg_tape_add(t, MG_CELL_ARRAY);
  if (c == NULL) {
    r->nomem = true;
    return false;
  }
  c->mark = (uint8_t)mg_value_marked(L, idx);
  /* As long as the traversal brings 1, 2, 3 ... the table is written as an array; the first other key turns what was written into pairs. */
  lua_Integer next = 1;
  bool array = true;
  uint32_t count = 0;
  int top = lua_gettop(L);
  lua_pushnil(L);
  while (lua_next(L, idx) != 0) {
    int value = top + 2, key = top + 1;
    if (array && lua_isinteger(L, key) && lua_tointeger(L, key) == next) {
      next++;
      if (lua_isinteger(L, value)) { /* lists of integers, without the machinery below */
        mg_cell *number = mg_tape_add(t, MG_CELL_INT);
        if (number == NULL) {
          r->nomem = true;
          return false;
        }
        number->u.integer = lua_tointeger(L, value);
        count++;
        lua_settop(L, key);
        continue;
      }
    } else {
      if (array) {
        array = false;
        lua_pop(L, 2);
        /* Start again as pairs: rare enough that reading the first part twice does not matter. */
        t->len = head + 1;
        count = 0;
        lua_pushnil(L);
        continue;
      }
      int kind = lua_type(L, key);
      if (kind != LUA_TNUMBER && kind != LUA_TSTRING && kind != LUA_TBOOLEAN) {
        r->problem = kind == LUA_TTABLE ? "tables as keys" : "keys that are neither text, number nor boolean";
        return false;
      }
    }
    if (!array && !read_value(r, key, depth + 1)) return false;
    if (!read_value(r, value, depth + 1)) {
      prefix_path(r, key);
      return false;
    }
    count++;
    lua_pop(L, 1);
  }
  if (!array) {
    /* A sequence whose elements the traversal did not bring in order is an array all the same. */
    lua_Unsigned n = lua_rawlen(L, idx);
    if (n == count && n > 0) {
      t->len = head + 1;
      for (lua_Unsigned i = 1; i <= n; i++) {
        lua_rawgeti(L, idx, (lua_Integer)i);
        bool ok = read_value(r, lua_gettop(L), depth + 1);
        lua_pop(L, 1);
        if (!ok) return false;
      }
      array = true;
    }
  }
  t->cells[head].kind = array ? MG_CELL_ARRAY : MG_CELL_TABLE;
  if (array && count == 0) t->cells[head].kind = MG_CELL_TABLE;
  t->cells[head].count = count;
  return true;
}

static bool read_value(reader *r, int idx, int depth) {
  lua_State *L = r->L;
  mg_cell *c = NULL;
  switch (lua_type(L, idx)) {
    case LUA_TNUMBER:
      if (lua_isinteger(L, idx)) {
        c = mg_tape_add(r->t, MG_CELL_INT);
        if (c != NULL) c->u.integer = lua_tointeger(L, idx);
      } else {
        c = mg_tape_add(r->t, MG_CELL_FLOAT);
        if (c != NULL) c->u.number = lua_tonumber(L, idx);
      }
      break;
    case LUA_TSTRING:
      c = mg_tape_add(r->t, MG_CELL_STRING);
      if (c != NULL) c->u.text = lua_tolstring(L, idx, &c->length);
      break;
    case LUA_TBOOLEAN: c = mg_tape_add(r->t, lua_toboolean(L, idx) ? MG_CELL_TRUE : MG_CELL_FALSE); break;
    case LUA_TNIL: c = mg_tape_add(r->t, MG_CELL_NIL); break;
    case LUA_TTABLE: return read_table(r, idx, depth);
    case LUA_TLIGHTUSERDATA:
      if (mg_value_is_null(L, idx)) {
        c = mg_tape_add(r->t, MG_CELL_NULL);
        break;
      }
      r->problem = "userdata";
      return false;
    case LUA_TFUNCTION: r->problem = "functions"; return false;
    case LUA_TTHREAD: r->problem = "coroutines"; return false;
    default: r->problem = "userdata"; return false;
  }
  if (c == NULL) r->nomem = true;
  return c != NULL;
}

mg_err mg_tape_read(mg_tape *t, lua_State *L, int idx, mg_error *e) {
  if (lua_isinteger(L, idx)) { /* the commonest value, without the machinery below */
    mg_cell *c = mg_tape_add(t, MG_CELL_INT);
    if (c == NULL) return mg_fail(e, MG_NOMEM, "memory ended while a value was copied");
    c->u.integer = lua_tointeger(L, idx);
    t->values++;
    return MG_OK;
  }
  idx = lua_absindex(L, idx);
  int top = lua_gettop(L);
  size_t len = t->len;
  reader r = {.t = t, .L = L};
  if (read_value(&r, idx, 0)) {
    t->values++;
    return MG_OK;
  }
  lua_settop(L, top);
  t->len = len;
  if (r.nomem) return mg_fail(e, MG_NOMEM, "memory ended while a value was copied");
  return mg_fail(e, MG_ARG, "%s cannot be copied%s%s%s", r.problem, r.path[0] != '\0' ? " (at " : "", r.path,
                 r.path[0] != '\0' ? ")" : "");
}

mg_err mg_tape_read_top(mg_tape *t, lua_State *L, int count, mg_error *e) {
  mg_tape_clear(t);
  int first = lua_gettop(L) - count + 1;
  for (int i = 0; i < count; i++) {
    mg_err err = mg_tape_read(t, L, first + i, e);
    if (err != MG_OK) return count > 1 ? mg_fail_in(e, "value %d", i + 1) : err;
  }
  return MG_OK;
}

bool mg_tape_has_tables(const mg_tape *t) {
  for (size_t i = 0; i < t->len; i++) {
    if (t->cells[i].kind >= MG_CELL_ARRAY) return true;
  }
  return false;
}

/* ---- building ---- */

static const mg_cell *build(const mg_cell *c, lua_State *L) {
  switch ((mg_cell_kind)c->kind) {
    case MG_CELL_NIL: lua_pushnil(L); return c + 1;
    case MG_CELL_FALSE: lua_pushboolean(L, 0); return c + 1;
    case MG_CELL_TRUE: lua_pushboolean(L, 1); return c + 1;
    case MG_CELL_NULL: mg_value_push_null(L); return c + 1;
    case MG_CELL_INT: lua_pushinteger(L, c->u.integer); return c + 1;
    case MG_CELL_FLOAT: lua_pushnumber(L, c->u.number); return c + 1;
    case MG_CELL_STRING: lua_pushlstring(L, c->u.text, c->length); return c + 1;
    case MG_CELL_ARRAY: {
      luaL_checkstack(L, 4, "value nested too deep");
      uint32_t count = c->count;
      mg_mark mark = (mg_mark)c->mark;
      lua_createtable(L, (int)(count < INT32_MAX ? count : INT32_MAX), 0);
      int t = lua_gettop(L);
      c++;
      for (uint32_t i = 1; i <= count; i++) {
        if (c->kind == MG_CELL_INT) {
          lua_pushinteger(L, c->u.integer);
          c++;
        } else {
          c = build(c, L);
        }
        lua_rawseti(L, t, i);
      }
      mg_value_mark(L, t, mark);
      return c;
    }
    case MG_CELL_TABLE: {
      luaL_checkstack(L, 4, "value nested too deep");
      uint32_t count = c->count;
      mg_mark mark = (mg_mark)c->mark;
      lua_createtable(L, 0, (int)(count < INT32_MAX ? count : INT32_MAX));
      int t = lua_gettop(L);
      c++;
      for (uint32_t i = 0; i < count; i++) {
        c = build(c, L);
        c = build(c, L);
        lua_rawset(L, t);
      }
      mg_value_mark(L, t, mark);
      return c;
    }
  }
  return c + 1;
}

int mg_tape_build(const mg_tape *t, lua_State *L) {
  if (t->values > 8) luaL_checkstack(L, (int)(t->values < 10000 ? t->values : 10000) + 8, "too many values");
  const mg_cell *c = t->cells;
  for (size_t i = 0; i < t->values; i++) c = build(c, L);
  return (int)t->values;
}

static int anchor(lua_State *L) {
  mg_tape *t = lua_touserdata(L, 1);
  lua_settop(L, 0);
  lua_newtable(L);
  lua_Integer n = 0;
  for (size_t i = 0; i < t->len; i++) {
    const mg_cell *c = &t->cells[i];
    if (c->kind != MG_CELL_STRING) continue;
    lua_pushlstring(L, c->u.text, c->length);
    /* A long string comes out as a copy: the tape is made to point at it, since only the copy is held here. */
    t->cells[i].u.text = lua_tostring(L, -1);
    lua_rawseti(L, 1, ++n);
  }
  return 1;
}

mg_err mg_tape_anchor(mg_tape *t, mg_script *s, mg_error *e) {
  size_t strings = 0;
  for (size_t i = 0; i < t->len; i++) strings += t->cells[i].kind == MG_CELL_STRING;
  if (strings == 0 || !mg_tape_has_tables(t)) return MG_OK;
  lua_State *L = mg_script_lua(s);
  lua_pushcfunction(L, anchor);
  lua_pushlightuserdata(L, t);
  return mg_script_call(s, 1, 1, e);
}

static int build_protected(lua_State *L) {
  const mg_tape *t = lua_touserdata(L, 1);
  lua_settop(L, 0);
  return mg_tape_build(t, L);
}

mg_err mg_tape_push(const mg_tape *t, mg_script *s, int function, mg_error *e) {
  lua_State *L = mg_script_lua(s);
  if (t->values > 8 && !lua_checkstack(L, (int)(t->values < 10000 ? t->values : 10000) + 8)) return mg_fail(e, MG_NOMEM, "too many arguments");
  if (function != 0) lua_pushvalue(L, function);
  if (t->len == 1 && t->cells[0].kind == MG_CELL_INT) { /* the shortest way for the commonest of small cases */
    lua_pushinteger(L, t->cells[0].u.integer);
    return MG_OK;
  }
  /* Only the memory limit can make building fail. Far from it no protected call is needed: a table or string takes less than 256 bytes a cell
   * besides its text. */
  size_t bytes = t->len * 256;
  for (size_t i = 0; i < t->len; i++) bytes += t->cells[i].kind == MG_CELL_STRING ? t->cells[i].length : 0;
  if (mg_script_has_room(s, bytes)) {
    (void)mg_tape_build(t, L);
    return MG_OK;
  }
  lua_pushcfunction(L, build_protected);
  lua_pushlightuserdata(L, (void *)(uintptr_t)t);
  mg_err err = mg_script_call(s, 1, (int)t->values, e);
  if (err != MG_OK && function != 0) lua_pop(L, 1);
  return err;
}

const mg_cell *mg_cell_next(const mg_cell *c) {
  size_t pending = 1;
  while (pending > 0) {
    pending--;
    if (c->kind == MG_CELL_ARRAY) pending += c->count;
    if (c->kind == MG_CELL_TABLE) pending += 2 * (size_t)c->count;
    c++;
  }
  return c;
}
