/* value_compare.c - equality and order of values, and whether a value is still what a tape says. */
#include "script/state.h"
#include "script/value.h"

#include <lauxlib.h>
#include <lua.h>
#include <math.h>
#include <string.h>

/* ---- comparing ---- */

static int rank(lua_State *L, int i) {
  switch (lua_type(L, i)) {
    case LUA_TNIL: return 0;
    case LUA_TBOOLEAN: return lua_toboolean(L, i) ? 3 : 2;
    case LUA_TNUMBER: return 4;
    case LUA_TSTRING: return 5;
    case LUA_TTABLE: return 6;
    default: return mg_value_is_null(L, i) ? 1 : 7;
  }
}

static bool is_nan(lua_State *L, int i) { return !lua_isinteger(L, i) && isnan(lua_tonumber(L, i)); }

static bool numbers_equal(lua_State *L, int a, int b, double abs, double rel) {
  bool na = is_nan(L, a), nb = is_nan(L, b);
  if (na || nb) return na && nb;
  if (lua_compare(L, a, b, LUA_OPEQ)) return true; /* exact across int and float */
  if (abs <= 0 && rel <= 0) return false;
  double x = lua_tonumber(L, a), y = lua_tonumber(L, b);
  if (isinf(x) || isinf(y)) return false;
  double limit = fmax(abs, rel * fmax(fabs(x), fabs(y)));
  return fabs(x - y) <= limit;
}

static bool equal(lua_State *L, int a, int b, double abs, double rel, int depth);

static bool tables_equal(lua_State *L, int a, int b, double abs, double rel, int depth) {
  if (lua_rawequal(L, a, b)) return true;
  if (depth >= MG_VALUE_DEPTH) luaL_error(L, "tables nested deeper than %d cannot be compared", MG_VALUE_DEPTH);
  luaL_checkstack(L, 6, "tables nested too deep");
  size_t count = 0;
  lua_pushnil(L);
  while (lua_next(L, a) != 0) {
    int value = lua_gettop(L);
    lua_pushvalue(L, value - 1);
    lua_rawget(L, b);
    bool same = !lua_isnil(L, -1) && equal(L, value, value + 1, abs, rel, depth + 1);
    if (!same) {
      lua_settop(L, value - 2);
      return false;
    }
    lua_settop(L, value - 1);
    count++;
  }
  size_t other = 0;
  lua_pushnil(L);
  while (lua_next(L, b) != 0) {
    lua_pop(L, 1);
    other++;
  }
  if (other != count) return false;
  if (count > 0) return true;
  mg_mark ma = mg_value_marked(L, a), mb = mg_value_marked(L, b);
  return ma == MG_UNMARKED || mb == MG_UNMARKED || ma == mb;
}

static bool equal(lua_State *L, int a, int b, double abs, double rel, int depth) {
  int ta = lua_type(L, a);
  if (ta != lua_type(L, b)) return false;
  switch (ta) {
    case LUA_TNUMBER: return numbers_equal(L, a, b, abs, rel);
    case LUA_TTABLE: return tables_equal(L, a, b, abs, rel, depth);
    default: return lua_rawequal(L, a, b);
  }
}

bool mg_value_equal(lua_State *L, int a, int b, double abs, double rel) {
  return equal(L, lua_absindex(L, a), lua_absindex(L, b), abs, rel, 0);
}

static int compare_numbers(lua_State *L, int a, int b) {
  bool na = is_nan(L, a), nb = is_nan(L, b);
  if (na || nb) return (na ? 0 : 1) - (nb ? 0 : 1);
  if (lua_compare(L, a, b, LUA_OPLT)) return -1;
  return lua_compare(L, b, a, LUA_OPLT) ? 1 : 0;
}

static int compare_bytes(lua_State *L, int a, int b) {
  size_t la, lb;
  const char *x = lua_tolstring(L, a, &la), *y = lua_tolstring(L, b, &lb);
  int c = memcmp(x, y, la < lb ? la : lb);
  if (c != 0) return c < 0 ? -1 : 1;
  return la < lb ? -1 : la > lb ? 1 : 0;
}

static int compare(lua_State *L, int a, int b, int depth);

/* Pushes a sequence of the table's keys in order. */
static void push_sorted_keys(lua_State *L, int t) {
  lua_newtable(L);
  int keys = lua_gettop(L);
  lua_Integer n = 0;
  lua_pushnil(L);
  while (lua_next(L, t) != 0) {
    lua_pop(L, 1);
    lua_pushvalue(L, -1);
    lua_rawseti(L, keys, ++n);
  }
  for (lua_Integer gap = n / 2; gap > 0; gap /= 2) { /* Shell's sort: no recursion, no callbacks */
    for (lua_Integer i = gap + 1; i <= n; i++) {
      for (lua_Integer j = i; j > gap; j -= gap) {
        lua_rawgeti(L, keys, j - gap);
        lua_rawgeti(L, keys, j);
        if (compare(L, lua_gettop(L) - 1, lua_gettop(L), 0) <= 0) {
          lua_pop(L, 2);
          break;
        }
        lua_rawseti(L, keys, j - gap);
        lua_rawseti(L, keys, j);
      }
    }
  }
}

static int compare_tables(lua_State *L, int a, int b, int depth) {
  if (lua_rawequal(L, a, b)) return 0;
  if (depth >= MG_VALUE_DEPTH) luaL_error(L, "tables nested deeper than %d cannot be compared", MG_VALUE_DEPTH);
  luaL_checkstack(L, 12, "tables nested too deep");
  int top = lua_gettop(L);
  push_sorted_keys(L, a);
  push_sorted_keys(L, b);
  int result = 0;
  for (lua_Integer i = 1; result == 0; i++) {
    lua_settop(L, top + 2);
    int has_a = lua_rawgeti(L, top + 1, i) != LUA_TNIL, has_b = lua_rawgeti(L, top + 2, i) != LUA_TNIL;
    if (!has_a || !has_b) {
      result = has_a - has_b;
      break;
    }
    result = compare(L, top + 3, top + 4, depth + 1);
    if (result != 0) break;
    lua_rawget(L, a); /* the key of b is on top: both keys are alike */
    lua_pushvalue(L, top + 3);
    lua_rawget(L, b);
    result = compare(L, top + 4, top + 5, depth + 1);
  }
  lua_settop(L, top);
  return result;
}

static int compare(lua_State *L, int a, int b, int depth) {
  int ra = rank(L, a), rb = rank(L, b);
  if (ra != rb) return ra < rb ? -1 : 1;
  switch (ra) {
    case 4: return compare_numbers(L, a, b);
    case 5: return compare_bytes(L, a, b);
    case 6: return compare_tables(L, a, b, depth);
    default: return 0;
  }
}

int mg_value_compare(lua_State *L, int a, int b) { return compare(L, lua_absindex(L, a), lua_absindex(L, b), 0); }

/* ---- against a tape ---- */

static bool number_is(lua_State *L, int i, double x) {
  double y = lua_tonumber(L, i);
  return lua_type(L, i) == LUA_TNUMBER && !lua_isinteger(L, i) && memcmp(&x, &y, sizeof x) == 0;
}

static const mg_cell *unchanged(const mg_cell *c, lua_State *L, int i);

/* The cell after the table, or NULL where it is not what the tape says. */
static const mg_cell *table_unchanged(const mg_cell *c, lua_State *L, int i) {
  if (lua_type(L, i) != LUA_TTABLE || !lua_checkstack(L, 6)) return NULL;
  if (lua_getmetatable(L, i)) {
    lua_pop(L, 1);
    if (mg_value_marked(L, i) != (mg_mark)c->mark || c->mark == MG_UNMARKED) return NULL;
  } else if (c->mark != MG_UNMARKED) {
    return NULL;
  }
  uint32_t count = c->count;
  bool array = c->kind == MG_CELL_ARRAY;
  int top = lua_gettop(L);
  const mg_cell *v = c + 1;
  for (uint32_t k = 1; k <= count && v != NULL; k++) {
    if (array) {
      lua_rawgeti(L, i, k);
      if (v->kind == MG_CELL_INT) { /* most lists */
        v = lua_isinteger(L, top + 1) && lua_tointeger(L, top + 1) == v->u.integer ? v + 1 : NULL;
        lua_settop(L, top);
        continue;
      }
    } else {
      switch (v->kind) { /* the key */
        case MG_CELL_INT: lua_pushinteger(L, v->u.integer); break;
        case MG_CELL_FLOAT: lua_pushnumber(L, v->u.number); break;
        case MG_CELL_STRING: lua_pushlstring(L, v->u.text, v->length); break;
        default: lua_pushboolean(L, v->kind == MG_CELL_TRUE); break;
      }
      lua_rawget(L, i);
      v++;
    }
    v = unchanged(v, L, top + 1);
    lua_settop(L, top);
  }
  if (v == NULL) return NULL;
  if (array) { /* nothing after the last element: the usual answer, at one step */
    lua_pushinteger(L, count);
    if (lua_next(L, i) == 0) return v;
    lua_settop(L, top);
  }
  uint32_t have = 0;
  lua_pushnil(L);
  while (lua_next(L, i) != 0) {
    lua_pop(L, 1);
    have++;
  }
  return have == count ? v : NULL;
}

static const mg_cell *unchanged(const mg_cell *c, lua_State *L, int i) {
  bool same = false;
  size_t len;
  switch ((mg_cell_kind)c->kind) {
    case MG_CELL_NIL: same = lua_isnil(L, i); break;
    case MG_CELL_NULL: same = mg_value_is_null(L, i); break;
    case MG_CELL_FALSE: same = lua_isboolean(L, i) && !lua_toboolean(L, i); break;
    case MG_CELL_TRUE: same = lua_isboolean(L, i) && lua_toboolean(L, i); break;
    case MG_CELL_INT: same = lua_isinteger(L, i) && lua_tointeger(L, i) == c->u.integer; break;
    case MG_CELL_FLOAT: same = number_is(L, i, c->u.number); break;
    case MG_CELL_STRING: {
      if (lua_type(L, i) != LUA_TSTRING) break;
      const char *text = lua_tolstring(L, i, &len);
      same = len == c->length && memcmp(text, c->u.text, len) == 0;
      break;
    }
    case MG_CELL_ARRAY:
    case MG_CELL_TABLE: return table_unchanged(c, L, i);
  }
  return same ? c + 1 : NULL;
}

bool mg_tape_unchanged(const mg_tape *t, lua_State *L, int first) {
  const mg_cell *c = t->cells;
  for (size_t i = 0; i < t->values && c != NULL; i++) {
    if (c->kind < MG_CELL_ARRAY) { /* only tables can be changed behind one's back */
      c++;
      continue;
    }
    int top = lua_gettop(L);
    c = unchanged(c, L, first + (int)i);
    lua_settop(L, top);
  }
  return c != NULL || t->values == 0;
}

bool mg_tape_alike(const mg_tape *a, const mg_tape *b) {
  if (a->values != 1 || b->values != 1 || a->len != b->len) return false;
  for (size_t i = 0; i < a->len; i++) {
    const mg_cell *x = &a->cells[i], *y = &b->cells[i];
    if (x->kind != y->kind) return false;
    switch ((mg_cell_kind)x->kind) {
      case MG_CELL_INT:
        if (x->u.integer != y->u.integer) return false;
        break;
      case MG_CELL_FLOAT:
        if (!(x->u.number == y->u.number)) return false;
        break;
      case MG_CELL_STRING:
        if (x->length != y->length || memcmp(x->u.text, y->u.text, x->length) != 0) return false;
        break;
      case MG_CELL_ARRAY:
        if (x->count != y->count) return false;
        break;
      case MG_CELL_TABLE: return false; /* the order of its pairs says nothing */
      default: break;
    }
  }
  return true;
}
