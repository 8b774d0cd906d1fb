#include "execute/executor_record.h"

#include "execute/executor_values.h"

#include <lua.h>
#include <msgpack/pack.h>
#include <string.h>

#define SHOWN_BYTES 4096 /* of a value in a stored violation */

static void begin_record(mg_runner *r, msgpack_packer *pk, int elements, int kind, uint32_t index) {
  mg_buf_clear(&r->record);
  msgpack_packer_init(pk, &r->record, mg_buf_sink);
  msgpack_pack_array(pk, (size_t)elements);
  msgpack_pack_int(pk, kind);
  msgpack_pack_uint32(pk, index);
}

static void put_text(msgpack_packer *pk, mg_slice text) {
  msgpack_pack_str(pk, text.len);
  msgpack_pack_str_body(pk, text.data != NULL ? (const char *)text.data : "", text.len);
}

/* What does not fit is dropped. That may cost a violation its text, never a count: violations stop `spare` bytes before the end. */
static void end_record(mg_runner *r, uint32_t spare) {
  mg_slot *s = r->slot;
  uint32_t used = atomic_load_explicit(&s->arena_used, memory_order_relaxed);
  if (r->record.failed || r->record.len + spare > MG_SLOT_ARENA_BYTES - used) return;
  memcpy(s->arena + used, r->record.data, r->record.len);
  atomic_store_explicit(&s->arena_used, used + (uint32_t)r->record.len, memory_order_release);
}

void mg_record_fault(mg_runner *r, uint32_t index, const char *text) {
  msgpack_packer pk;
  begin_record(r, &pk, 3, 3, index);
  put_text(&pk, mg_slice_of(text));
  end_record(r, 0);
}

void mg_record_violation(mg_runner *r, uint32_t index, uint64_t case_number, mg_role role, int clause, const char *message,
                             bool has_out, const mg_tape *args2, const mg_tape *out2) {
  if (r->stored[role][clause] >= r->violation_cap || r->stored[role][clause] == UINT8_MAX) return;
  r->stored[role][clause]++;
  msgpack_packer pk;
  begin_record(r, &pk, 10, 1, index);
  msgpack_pack_uint64(&pk, case_number);
  msgpack_pack_int(&pk, role);
  msgpack_pack_int(&pk, clause);
  size_t n = message != NULL ? strnlen(message, MG_MESSAGE_BYTES) : 0;
  put_text(&pk, (mg_slice){(const uint8_t *)message, n});
  const mg_tape *shown[4] = {&r->args.tape, has_out ? &r->out.tape : NULL, args2, out2};
  for (int i = 0; i < 4; i++) {
    mg_buf_clear(&r->text);
    if (shown[i] != NULL) mg_tape_show(shown[i], SHOWN_BYTES, &r->text);
    put_text(&pk, mg_buf_slice(&r->text));
  }
  end_record(r, MG_SLOT_COUNTS_MAX);
}

void mg_record_failed(mg_runner *r, uint32_t index, mg_role role, mg_clause_mask mask) {
  msgpack_packer pk;
  begin_record(r, &pk, 4, 0, index);
  msgpack_pack_int(&pk, role);
  msgpack_pack_uint64(&pk, mask);
  end_record(r, 0);
}

void mg_record_digest(mg_runner *r, uint32_t index) {
  msgpack_packer pk;
  begin_record(r, &pk, 4, 5, index);
  msgpack_pack_uint64(&pk, r->sum.low);
  msgpack_pack_uint64(&pk, r->sum.high);
  end_record(r, 0);
}

void mg_record_values(mg_runner *r, uint32_t index, mg_role role) {
  msgpack_packer pk;
  int columns = mg_columns_of(r);
  uint32_t keeps = 0;
  for (int i = 0; i < columns; i++) {
    int metric = i - mg_builtin_columns(r->measure);
    if (metric < 0 || r->checks.metrics[metric].keeps) keeps |= UINT32_C(1) << i;
  }
  begin_record(r, &pk, 5, 6, index);
  msgpack_pack_int(&pk, role);
  msgpack_pack_uint32(&pk, keeps);
  msgpack_pack_bin(&pk, (size_t)columns * sizeof *r->values);
  msgpack_pack_bin_body(&pk, r->values, (size_t)columns * sizeof *r->values);
  end_record(r, 0);
}

void mg_record_place(mg_runner *r, uint32_t index, const uint64_t *cluster, mg_slice group) {
  msgpack_packer pk;
  begin_record(r, &pk, 4, 7, index);
  if (cluster != NULL)
    msgpack_pack_uint64(&pk, *cluster);
  else
    msgpack_pack_nil(&pk);
  put_text(&pk, group);
  end_record(r, 0);
}

void mg_record_labels(mg_runner *r, uint32_t index) {
  if (r->generator.label_count == 0) return;
  lua_State *L = mg_script_lua(r->script);
  lua_rawgeti(L, LUA_REGISTRYINDEX, r->generator.labels_ref);
  lua_pushnil(L);
  while (lua_next(L, -2) != 0) {
    lua_pop(L, 1);
    size_t len;
    const char *name = lua_tolstring(L, -1, &len);
    msgpack_packer pk;
    begin_record(r, &pk, 3, 2, index);
    put_text(&pk, (mg_slice){(const uint8_t *)name, len});
    end_record(r, 0);
  }
  lua_pop(L, 1);
}
