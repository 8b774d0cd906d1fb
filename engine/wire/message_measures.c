/* The measures within a result: an array of its own, version first, there only where something was measured. */
#include "wire/message_measures.h"

#include <math.h>
#include <string.h>

enum { MEASURES_VERSION = 1, MEASURES_FIELDS = 6, COLUMN_FIELDS = 10, SKETCH_FIELDS = 3, KEPT_BYTES = 20 };

/* --- little endian, whatever the machine --- */

static void put_le(uint8_t *out, uint64_t v, int bytes) {
  for (int i = 0; i < bytes; i++) out[i] = (uint8_t)(v >> (8 * i));
}

static uint64_t get_le(const uint8_t *in, int bytes) {
  uint64_t v = 0;
  for (int i = 0; i < bytes; i++) v |= (uint64_t)in[i] << (8 * i);
  return v;
}

static void put_double(uint8_t *out, double v) {
  uint64_t bits;
  memcpy(&bits, &v, sizeof bits);
  put_le(out, bits, 8);
}

static double get_double(const uint8_t *in) {
  uint64_t bits = get_le(in, 8);
  double v;
  memcpy(&v, &bits, sizeof v);
  return v;
}

/* --- encoding --- */

static void pack_sum(msgpack_packer *p, const mg_sum *s) {
  uint32_t limbs[MG_SUM_LIMBS];
  uint8_t bytes[2 + 4 * MG_SUM_LIMBS];
  bool negative;
  int first, n = mg_sum_pack(s, &negative, &first, limbs);
  bytes[0] = negative;
  bytes[1] = (uint8_t)first;
  for (int i = 0; i < n; i++) put_le(bytes + 2 + 4 * i, limbs[i], 4);
  mg_wire_bytes(p, bytes, n == 0 ? 0 : (size_t)(2 + 4 * n));
}

static void count_bin(int sign, int64_t index, uint64_t count, void *context) {
  (void)sign;
  (void)index;
  (void)count;
  ++*(size_t *)context;
}

static void pack_bin(int sign, int64_t index, uint64_t count, void *context) {
  msgpack_packer *p = context;
  msgpack_pack_int(p, sign + 1);
  msgpack_pack_uint64(p, (uint64_t)(index < 0 ? -2 * index - 1 : 2 * index));
  msgpack_pack_uint64(p, count);
}

static void pack_sketch(msgpack_packer *p, const mg_sketch *s) {
  uint8_t ends[16];
  size_t bins = 0;
  mg_sketch_each(s, count_bin, &bins);
  msgpack_pack_array(p, SKETCH_FIELDS);
  put_double(ends, s->least);
  put_double(ends + 8, s->greatest);
  mg_wire_bytes(p, ends, s->count == 0 ? 0 : sizeof ends);
  msgpack_pack_array(p, 3 * bins);
  mg_sketch_each(s, pack_bin, p);
  msgpack_pack_uint64(p, s->count);
}

static void pack_column(msgpack_packer *p, const mg_column *c) {
  msgpack_pack_array(p, COLUMN_FIELDS);
  msgpack_pack_uint64(p, c->n);
  msgpack_pack_uint64(p, c->missing);
  pack_sum(p, &c->baseline);
  pack_sum(p, &c->candidate);
  pack_sum(p, &c->difference);
  pack_sum(p, &c->squares);
  for (int r = 0; r < MG_ROLES; r++) pack_sketch(p, &c->sketch[r]);
  mg_wire_bool(p, c->keeps);
  msgpack_pack_bin(p, c->kept_count * KEPT_BYTES);
  for (size_t i = 0; i < c->kept_count; i++) {
    uint8_t bytes[KEPT_BYTES];
    put_le(bytes, c->kept[i].at, 4);
    put_double(bytes + 4, c->kept[i].baseline);
    put_double(bytes + 12, c->kept[i].candidate);
    msgpack_pack_bin_body(p, bytes, sizeof bytes);
  }
}

/* Numbers of a row, one after the other. */
static void pack_counts(msgpack_packer *p, const uint64_t *counts, size_t n) {
  for (size_t i = 0; i < n; i++) msgpack_pack_uint64(p, counts[i]);
}

void mg_wire_measures(msgpack_packer *p, const mg_measures *m) {
  msgpack_pack_array(p, MEASURES_FIELDS);
  msgpack_pack_int(p, MEASURES_VERSION);
  msgpack_pack_array(p, (size_t)m->count);
  for (int i = 0; i < m->count; i++) pack_column(p, &m->columns[i]);
  msgpack_pack_array(p, (size_t)m->group_count);
  for (int i = 0; i < m->group_count; i++) {
    const mg_pairs *n = &m->groups[i].pairs;
    msgpack_pack_array(p, 5);
    mg_wire_text(p, m->groups[i].name);
    pack_counts(p, (const uint64_t[]){n->both, n->base_only, n->cand_only, n->neither}, 4);
  }
  msgpack_pack_uint64(p, m->ungrouped);
  msgpack_pack_array(p, m->cluster_count);
  for (size_t i = 0; i < m->cluster_count; i++) {
    const mg_cluster *n = &m->clusters[i].counts;
    msgpack_pack_array(p, 4);
    pack_counts(p, (const uint64_t[]){m->clusters[i].key, n->base_only, n->cand_only, n->n}, 4);
  }
  mg_wire_bool(p, m->too_many_clusters);
}

/* --- decoding --- */

static void read_sum(mg_reader *in, mg_sum *s) {
  uint32_t limbs[MG_SUM_LIMBS];
  mg_slice b = mg_read_bin(in, "sum");
  if (!mg_reader_ok(in) || b.len == 0) return;
  size_t n = (b.len - 2) / 4;
  if (b.len < 6 || b.len != 2 + 4 * n || n > MG_SUM_LIMBS || b.data[0] > 1) {
    mg_reader_fail(in, "sum", "sign, place and limbs");
    return;
  }
  for (size_t i = 0; i < n; i++) limbs[i] = (uint32_t)get_le(b.data + 2 + 4 * i, 4);
  if (limbs[0] == 0 || limbs[n - 1] == 0 || !mg_sum_unpack(s, b.data[0] != 0, b.data[1], limbs, (int)n)) mg_reader_fail(in, "sum", "limbs within a number");
}

static mg_err read_sketch(mg_reader *in, mg_sketch *s, uint64_t n, mg_error *e) {
  mg_err err = MG_OK;
  (void)mg_read_array(in, SKETCH_FIELDS, SKETCH_FIELDS, 1, "sketch");
  mg_slice ends = mg_read_bin(in, "sketch");
  size_t numbers = mg_read_array(in, 0, 3 * (size_t)MG_TASK_CASES, 1, "sketch");
  int last_sign = -2;
  int64_t last_index = 0;
  for (size_t i = 0; i + 2 < numbers && mg_reader_ok(in) && err == MG_OK; i += 3) {
    int sign = (int)mg_read_uint(in, 0, 2, "sketch") - 1;
    uint64_t zigzag = mg_read_uint(in, 0, UINT32_MAX, "sketch"), count = mg_read_uint(in, 1, MG_TASK_CASES, "sketch");
    int64_t index = zigzag % 2 == 0 ? (int64_t)(zigzag / 2) : -(int64_t)(zigzag / 2) - 1;
    bool later = sign > last_sign || (sign == last_sign && (sign < 0 ? index < last_index : sign > 0 && index > last_index));
    if (!later || (sign == 0 && index != 0)) mg_reader_fail(in, "sketch", "bins in order");
    last_sign = sign;
    last_index = index;
    if (mg_reader_ok(in)) err = mg_sketch_add_bin(s, sign, index, count, e);
  }
  uint64_t count = mg_read_uint(in, 0, n, "sketch");
  if (err != MG_OK || !mg_reader_ok(in)) return err;
  bool ok = numbers % 3 == 0 && count == s->count && ends.len == (count == 0 ? 0u : 16u);
  double least = ok && count > 0 ? get_double(ends.data) : 0, greatest = ok && count > 0 ? get_double(ends.data + 8) : 0;
  if (!ok || !(least <= greatest) || !mg_measure_fits(least) || !mg_measure_fits(greatest)) {
    mg_reader_fail(in, "sketch", "bins, their number and ends");
  } else if (count > 0) {
    mg_sketch_add_extremes(s, least, greatest);
  }
  return MG_OK;
}

static mg_err read_column(mg_reader *in, mg_column *c, uint32_t cases, mg_error *e) {
  (void)mg_read_array(in, COLUMN_FIELDS, COLUMN_FIELDS, 1, "measure");
  c->n = mg_read_uint(in, 0, cases, "measure");
  c->missing = mg_read_uint(in, 0, cases - (c->n <= cases ? c->n : cases), "measure");
  read_sum(in, &c->baseline);
  read_sum(in, &c->candidate);
  read_sum(in, &c->difference);
  read_sum(in, &c->squares);
  for (int r = 0; r < MG_ROLES; r++) {
    mg_err err = read_sketch(in, &c->sketch[r], c->n, e);
    if (err != MG_OK) return err;
  }
  c->keeps = mg_read_bool(in, "measure");
  mg_slice kept = mg_read_bin(in, "measure");
  if (!mg_reader_ok(in)) return MG_OK;
  if (kept.len % KEPT_BYTES != 0 || kept.len / KEPT_BYTES > c->n || (kept.len > 0 && !c->keeps)) {
    mg_reader_fail(in, "measure", "pairs of 20 bytes");
    return MG_OK;
  }
  for (size_t i = 0; i < kept.len; i += KEPT_BYTES) {
    mg_kept_pair p = {get_le(kept.data + i, 4), get_double(kept.data + i + 4), get_double(kept.data + i + 12)};
    if (p.at >= cases || !mg_measure_fits(p.candidate) || (!isnan(p.baseline) && !mg_measure_fits(p.baseline))) {
      mg_reader_fail(in, "measure", "pairs of this result's cases");
      return MG_OK;
    }
    mg_err err = mg_column_keep(c, &p, e);
    if (err != MG_OK) return err;
  }
  return MG_OK;
}

mg_err mg_read_measures(mg_reader *in, mg_measures **out, uint32_t cases, mg_error *e) {
  enum { SHORTEST_COLUMN = 16, SHORTEST_GROUP = 7, SHORTEST_CLUSTER = 5 };
  (void)mg_read_array(in, MEASURES_FIELDS, MEASURES_FIELDS, 1, "measures");
  (void)mg_read_uint(in, MEASURES_VERSION, MEASURES_VERSION, "version of the measures");
  size_t columns = mg_read_array(in, 0, MG_MAX_COLUMNS, SHORTEST_COLUMN, "measures");
  if (!mg_reader_ok(in)) return MG_OK;
  mg_err err = mg_measures_new(out, (int)columns, e);
  for (size_t i = 0; i < columns && err == MG_OK && mg_reader_ok(in); i++) err = read_column(in, &(*out)->columns[i], cases, e);
  if (err != MG_OK) return err;
  size_t groups = mg_read_array(in, 0, MG_MAX_GROUPS, SHORTEST_GROUP, "groups");
  for (size_t i = 0; i < groups && mg_reader_ok(in) && err == MG_OK; i++) {
    char name[MG_GROUP_NAME + 1];
    mg_pairs p;
    (void)mg_read_array(in, 5, 5, 1, "groups");
    mg_read_text(in, name, sizeof name, MG_READ_NAME, "groups");
    p.both = mg_read_uint(in, 0, cases, "groups");
    p.base_only = mg_read_uint(in, 0, cases, "groups");
    p.cand_only = mg_read_uint(in, 0, cases, "groups");
    p.neither = mg_read_uint(in, 0, cases, "groups");
    int count = (*out)->group_count;
    if (count > 0 && strcmp((*out)->groups[count - 1].name, name) >= 0) mg_reader_fail(in, "groups", "names in order");
    if (mg_reader_ok(in)) err = mg_measures_group(*out, name, &p, e);
  }
  if (err != MG_OK) return err;
  (*out)->ungrouped = mg_read_uint(in, 0, cases, "groups");
  size_t clusters = mg_read_array(in, 0, cases, SHORTEST_CLUSTER, "clusters");
  uint64_t before = 0;
  for (size_t i = 0; i < clusters && mg_reader_ok(in) && err == MG_OK; i++) {
    (void)mg_read_array(in, 4, 4, 1, "clusters");
    uint64_t key = mg_read_uint(in, 0, UINT64_MAX, "clusters");
    mg_cluster c = {0, 0, 0};
    c.base_only = mg_read_uint(in, 0, cases, "clusters");
    c.cand_only = mg_read_uint(in, 0, cases, "clusters");
    c.n = mg_read_uint(in, 0, cases, "clusters");
    if (c.base_only + c.cand_only > c.n || (i > 0 && key <= before)) mg_reader_fail(in, "clusters", "counts that fit, in order");
    before = key;
    if (mg_reader_ok(in)) err = mg_measures_cluster(*out, key, &c, e);
  }
  (*out)->too_many_clusters = mg_read_bool(in, "clusters");
  return err;
}
