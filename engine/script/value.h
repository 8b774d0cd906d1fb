/* value.h - Lua values as data: copied between states, packed, shown, compared.
 *
 * A tape is a value, or several, laid out flat: reading it from a state once and building it into others many times is what the executor does for every
 * case. Strings in a tape are borrowed from the lua_State (or the bytes) they were read from and must stay reachable there. nil, booleans, integers, floats, strings
 * and tables of these can be read; functions, userdata, threads, tables as keys and nesting above MG_VALUE_DEPTH are refused by name and path. Thread: the state's. */
#ifndef MG_SCRIPT_VALUE_H
#define MG_SCRIPT_VALUE_H

#include "base/buf.h"
#include "base/err.h"
#include <stdbool.h>

struct lua_State;
typedef struct mg_script mg_script;
#define MG_VALUE_DEPTH 64

typedef enum mg_mark { MG_UNMARKED = 0, MG_MARK_ARRAY, MG_MARK_OBJECT } mg_mark; /* matters for empty tables alone */

typedef enum mg_cell_kind {
  MG_CELL_NIL = 0,
  MG_CELL_FALSE,
  MG_CELL_TRUE,
  MG_CELL_NULL, /* core.null, JSON's */
  MG_CELL_INT,
  MG_CELL_FLOAT,
  MG_CELL_STRING,
  MG_CELL_ARRAY, /* count values follow: keys 1 .. count, none nil */
  MG_CELL_TABLE  /* count pairs follow, key before value, in no particular order */
} mg_cell_kind;

typedef struct mg_cell {
  uint8_t kind;  /* mg_cell_kind */
  uint8_t mark;  /* mg_mark of ARRAY and TABLE */
  uint32_t count;
  union {
    int64_t integer;
    double number;
    const char *text; /* with length */
  } u;
  size_t length; /* of a string */
} mg_cell;

typedef struct mg_tape {
  mg_cell *cells;
  size_t len, cap;
  size_t values; /* how many values stand at top level */
} mg_tape;

void mg_tape_fini(mg_tape *t);
void mg_tape_clear(mg_tape *t);
/* Appends a cell to fill in; NULL where memory ended. For those who write a tape from other forms (json.c, value_pack.c). */
mg_cell *mg_tape_add(mg_tape *t, mg_cell_kind kind);
/* The cell after the value that begins at c. */
const mg_cell *mg_cell_next(const mg_cell *c);

/* Appends the value at idx. MG_ARG: "functions cannot be copied (at [2].callback)". Does not raise but for memory of the host (returns MG_NOMEM). */
mg_err mg_tape_read(mg_tape *t, struct lua_State *L, int idx, mg_error *e);
/* Reads the count values on top of the stack as values of the tape, which is cleared first. */
mg_err mg_tape_read_top(mg_tape *t, struct lua_State *L, int count, mg_error *e);
/* Pushes all top-level values. May raise (memory): call it inside a protected call. Returns how many. */
int mg_tape_build(const mg_tape *t, struct lua_State *L);
bool mg_tape_has_tables(const mg_tape *t);
/* Pushes the value at stack index `function` (0: none) and then all values, in a protected call where one is needed: memory limits come back as MG_NOMEM and
 * leave the stack as it was. */
mg_err mg_tape_push(const mg_tape *t, mg_script *s, int function, mg_error *e);

/* Whether the top-level values still are those on the stack from index first on: the same kinds, bits, keys and marks, no metatable given since. For
 * telling whether a function changed what it was lent. */
bool mg_tape_unchanged(const mg_tape *t, struct lua_State *L, int first);
/* A cheap look at two single values: true where they are surely equal as mg_value_equal says; false tells nothing. */
bool mg_tape_alike(const mg_tape *a, const mg_tape *b);
/* Pushes a table that holds every string inside the tape's tables, where there are any, so that they live as long as it does (the tape then points at those held); nothing
 * where there are none. MG_NOMEM. */
mg_err mg_tape_anchor(mg_tape *t, mg_script *s, mg_error *e);

/* MessagePack of all values as one array, or (one = true) of the first value alone. Keys sorted. */
void mg_tape_pack(const mg_tape *t, bool one, mg_buf *out);
/* Appends the values of a packed array (each = true) or one value. Strings borrow from bytes. */
mg_err mg_tape_unpack(mg_tape *t, mg_slice bytes, bool each, mg_error *e);

/* "{3, 1}, 2": all values, separated by commas, Lua-literal-like, keys sorted, cut at max_bytes with "... (N bytes)". */
void mg_tape_show(const mg_tape *t, size_t max_bytes, mg_buf *out);

/* -1, 0, 1: a total order (nil < null < false < true < numbers < strings < tables). */
int mg_value_compare(struct lua_State *L, int a, int b);
/* Deep equality as documented for mguard.core.equal; numbers within max(abs, rel * larger magnitude) where these are above 0. */
bool mg_value_equal(struct lua_State *L, int a, int b, double abs, double rel);

void mg_value_open(struct lua_State *L); /* registers the marks in the state, unless they are there; may raise */
void mg_value_mark(struct lua_State *L, int idx, mg_mark m);
mg_mark mg_value_marked(struct lua_State *L, int idx);
void mg_value_push_null(struct lua_State *L);
bool mg_value_is_null(struct lua_State *L, int idx);

#endif
