/* Frames: compression, signatures, bounds, and what damaged, cut or hostile ones do. */
#include "wire/frame.h"

#include "base/hash.h"
#include <lz4frame.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const mg_codec plain = {0};
static const mg_codec packing = {.compress = true, .threshold_bytes = 512};

static mg_keyring *ring(const char *text) {
  mg_keyring *k;
  assert_int_equal(mg_keyring_parse(&k, text, NULL), MG_OK);
  return k;
}

/* Text that compresses, in which every place differs. */
static mg_buf prose(size_t len) {
  mg_buf b = {0};
  for (unsigned i = 0; b.len < len; i++) mg_buf_putf(&b, "case %u of the run; ", i);
  b.len = len;
  return b;
}

static mg_buf noise(size_t len) {
  mg_buf b = {0};
  assert_true(mg_buf_reserve(&b, len + 1));
  mg_random_bytes(b.data, len);
  b.len = len;
  return b;
}

static mg_buf seal(const mg_codec *c, mg_slice body) {
  mg_buf out = {0};
  assert_int_equal(mg_frame_seal(c, body, &out, NULL), MG_OK);
  return out;
}

/* Opens from a block of exactly the frame's size. again: what was inside, or NULL. */
static mg_frame_fault open_as(const mg_codec *c, mg_slice framed, mg_buf *again, mg_error *e) {
  mg_buf scratch = {0};
  mg_slice body;
  mg_frame_fault fault;
  uint8_t *exact = malloc(framed.len > 0 ? framed.len : 1);
  if (framed.len > 0) memcpy(exact, framed.data, framed.len);
  mg_err err = mg_frame_open(c, (mg_slice){exact, framed.len}, &scratch, &body, &fault, e);
  assert_int_equal(err, fault == MG_FRAME_OK ? MG_OK : MG_ARG);
  if (err == MG_OK && again != NULL) mg_buf_put(again, body.data, body.len);
  if (err != MG_OK) assert_int_equal(body.len, 0);
  mg_buf_fini(&scratch);
  free(exact);
  return fault;
}

static void assert_comes_back(const mg_codec *c, mg_slice body) {
  mg_buf framed = seal(c, body), again = {0};
  assert_int_equal(open_as(c, mg_buf_slice(&framed), &again, NULL), MG_FRAME_OK);
  assert_int_equal(again.len, body.len);
  if (body.len > 0) assert_memory_equal(again.data, body.data, body.len);
  mg_buf_fini(&framed);
  mg_buf_fini(&again);
}

static void bodies_come_back(void **state) {
  (void)state;
  static const size_t sizes[] = {0, 1, 2, 511, 512, 513, 65535, 65536, 65537, 200000, 3 << 20};
  mg_keyring *k = ring("k1:first secret,k2:second");
  const mg_codec signing = {.keys = k}, both = {.compress = true, .keys = k};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    mg_buf bodies[2] = {prose(sizes[i]), noise(sizes[i])};
    for (int j = 0; j < 2; j++) {
      assert_comes_back(&plain, mg_buf_slice(&bodies[j]));
      assert_comes_back(&packing, mg_buf_slice(&bodies[j]));
      assert_comes_back(&signing, mg_buf_slice(&bodies[j]));
      assert_comes_back(&both, mg_buf_slice(&bodies[j]));
      mg_buf_fini(&bodies[j]);
    }
  }
  mg_keyring_free(k);
}

static void compression_is_used_where_it_pays(void **state) {
  (void)state;
  mg_buf body = prose(20000), rough = noise(20000);
  mg_buf framed = seal(&packing, mg_buf_slice(&body));
  assert_int_equal(framed.data[1], 1);
  assert_true(framed.len < body.len / 2);
  mg_buf_fini(&framed);
  framed = seal(&packing, (mg_slice){body.data, 511}); /* below the threshold */
  assert_int_equal(framed.data[1], 0);
  assert_int_equal(framed.len, 513);
  mg_buf_fini(&framed);
  framed = seal(&packing, mg_buf_slice(&rough)); /* would only grow */
  assert_int_equal(framed.data[1], 0);
  assert_int_equal(framed.len, 20002);
  mg_buf_fini(&framed);
  /* A codec that does not compress reads what one that does has written. */
  framed = seal(&packing, mg_buf_slice(&body));
  assert_int_equal(open_as(&plain, mg_buf_slice(&framed), NULL, NULL), MG_FRAME_OK);
  mg_buf_fini(&framed);
  mg_buf_fini(&body);
  mg_buf_fini(&rough);
}

static void seal_appends(void **state) {
  (void)state;
  mg_keyring *k = ring("a:b");
  const mg_codec both = {.compress = true, .keys = k};
  mg_buf body = prose(1000), alone = seal(&both, mg_buf_slice(&body)), after = {0};
  mg_buf_puts(&after, "before");
  assert_int_equal(mg_frame_seal(&both, mg_buf_slice(&body), &after, NULL), MG_OK);
  assert_int_equal(after.len, 6 + alone.len);
  assert_memory_equal(after.data, "before", 6);
  assert_memory_equal(after.data + 6, alone.data, alone.len);
  mg_buf_fini(&alone);
  mg_buf_fini(&after);
  mg_buf_fini(&body);
  mg_keyring_free(k);
}

/* The layout, byte for byte, so that versions of mguard understand each other. */
static void a_signed_frame_is_laid_out_as_documented(void **state) {
  (void)state;
  mg_keyring *k = ring("key-1:secret");
  const mg_codec c = {.keys = k};
  mg_buf framed = seal(&c, mg_slice_of("body"));
  static const uint8_t head[] = {1, 2, 5, 'k', 'e', 'y', '-', '1'};
  assert_int_equal(framed.len, sizeof head + MG_SHA256_BYTES + 4);
  assert_memory_equal(framed.data, head, sizeof head);
  assert_memory_equal(framed.data + sizeof head + MG_SHA256_BYTES, "body", 4);
  uint8_t mac[MG_SHA256_BYTES];
  const mg_slice pieces[] = {{head, sizeof head}, mg_slice_of("body")};
  assert_true(mg_hmac_sha256(mg_slice_of("secret"), pieces, 2, mac));
  assert_memory_equal(framed.data + sizeof head, mac, sizeof mac);
  mg_buf_fini(&framed);
  mg_keyring_free(k);
}

static void the_first_key_signs_and_all_verify(void **state) {
  (void)state;
  mg_keyring *old_first = ring("old:1111,new:2222"), *new_first = ring("new:2222,old:1111"),
             *only_new = ring("new:2222");
  mg_keyring *other_secret = ring("old:3333"), *prefix = ring("ol:1111");
  mg_buf framed = seal(&(mg_codec){.keys = old_first}, mg_slice_of("x"));
  mg_error e;
  assert_memory_equal(framed.data + 3, "old", 3);
  assert_int_equal(open_as(&(mg_codec){.keys = new_first}, mg_buf_slice(&framed), NULL, NULL), MG_FRAME_OK);
  assert_int_equal(open_as(&(mg_codec){.keys = only_new}, mg_buf_slice(&framed), NULL, &e), MG_FRAME_NO_KEY);
  assert_non_null(strstr(e.text, "\"old\""));
  assert_int_equal(open_as(&(mg_codec){.keys = prefix}, mg_buf_slice(&framed), NULL, NULL), MG_FRAME_NO_KEY);
  assert_int_equal(open_as(&plain, mg_buf_slice(&framed), NULL, NULL), MG_FRAME_NO_KEY);
  assert_int_equal(open_as(&(mg_codec){.keys = other_secret}, mg_buf_slice(&framed), NULL, &e), MG_FRAME_BAD);
  assert_null(strstr(e.text, "3333"));
  mg_buf_fini(&framed);
  framed = seal(&(mg_codec){.keys = prefix}, mg_slice_of("x")); /* "ol" is not "old", though the secret is the same */
  assert_int_equal(open_as(&(mg_codec){.keys = old_first}, mg_buf_slice(&framed), NULL, NULL), MG_FRAME_NO_KEY);
  mg_buf_fini(&framed);

  framed = seal(&plain, mg_slice_of("x")); /* unsigned, where keys are set */
  assert_int_equal(open_as(&(mg_codec){.keys = old_first}, mg_buf_slice(&framed), NULL, NULL), MG_FRAME_BAD);
  mg_buf_fini(&framed);
  mg_keyring *all[] = {old_first, new_first, only_new, other_secret, prefix};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) mg_keyring_free(all[i]);
}

static void keyrings_are_checked(void **state) {
  (void)state;
  mg_keyring *k = (mg_keyring *)(void *)&k;
  assert_int_equal(mg_keyring_parse(&k, NULL, NULL), MG_OK);
  assert_null(k);
  assert_int_equal(mg_keyring_parse(&k, "", NULL), MG_OK);
  assert_null(k);
  static const char *const wrong[] = {
      "hunter2", ":hunter2", "id:", "a b:hunter2", "id:hunter2,", ",id:hunter2", "id:hunter2,id:x", "id:hunter2,,b:x"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    mg_error e;
    assert_int_equal(mg_keyring_parse(&k, wrong[i], &e), MG_ARG);
    assert_null(k);
    assert_null(strstr(e.text, "hunter2"));
  }
  char longest[80];
  memset(longest, 'i', 64);
  strcpy(longest + 64, ":s:with:colons");
  k = ring(longest);
  assert_comes_back(&(mg_codec){.keys = k}, mg_slice_of("x"));
  mg_keyring_free(k);
  memmove(longest + 1, longest, strlen(longest) + 1);
  assert_int_equal(mg_keyring_parse(&k, longest, NULL), MG_ARG);
}

static void newer_frames_are_told_apart(void **state) {
  (void)state;
  mg_buf framed = seal(&plain, mg_slice_of("x"));
  framed.data[0] = 2;
  assert_int_equal(open_as(&plain, mg_buf_slice(&framed), NULL, NULL), MG_FRAME_NEWER);
  framed.data[0] = 1;
  framed.data[1] = 4;
  assert_int_equal(open_as(&plain, mg_buf_slice(&framed), NULL, NULL), MG_FRAME_NEWER);
  framed.data[0] = 0;
  assert_int_equal(open_as(&plain, mg_buf_slice(&framed), NULL, NULL), MG_FRAME_BAD);
  mg_buf_fini(&framed);
}

static void a_cut_frame_is_refused(void **state) {
  (void)state;
  mg_keyring *k = ring("id:secret");
  const mg_codec signing = {.keys = k}, both = {.compress = true, .keys = k};
  const mg_codec *codecs[] = {&packing, &signing, &both};
  mg_buf body = prose(1500);
  for (int i = 0; i < 3; i++) {
    mg_buf framed = seal(codecs[i], mg_buf_slice(&body));
    for (size_t len = 0; len < framed.len; len++) {
      assert_int_equal(open_as(codecs[i], (mg_slice){framed.data, len}, NULL, NULL), MG_FRAME_BAD);
    }
    mg_buf_put(&framed, "x", 1); /* and so is one that goes on */
    assert_int_equal(open_as(codecs[i], mg_buf_slice(&framed), NULL, NULL), MG_FRAME_BAD);
    mg_buf_fini(&framed);
  }
  mg_buf_fini(&body);
  mg_keyring_free(k);
}

static void a_flipped_bit_never_passes_a_signature_or_checksum(void **state) {
  (void)state;
  mg_keyring *k = ring("id:secret");
  const mg_codec signing = {.keys = k}, both = {.compress = true, .keys = k};
  const mg_codec *codecs[] = {&packing, &signing, &both};
  mg_buf body = prose(1500);
  for (int i = 0; i < 3; i++) {
    mg_buf framed = seal(codecs[i], mg_buf_slice(&body));
    for (size_t bit = 0; bit < 8 * framed.len; bit++) {
      framed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
      mg_buf again = {0};
      mg_frame_fault fault = open_as(codecs[i], mg_buf_slice(&framed), &again, NULL);
      bool same = again.len == body.len && memcmp(again.data, body.data, body.len) == 0;
      if (codecs[i]->keys != NULL) {
        assert_int_not_equal(fault, MG_FRAME_OK);
      } else if (bit / 8 == 1) {
        assert_true(fault != MG_FRAME_OK || bit % 8 == 0); /* the bit "compressed": plain bytes have no checksum */
      } else {
        assert_true(fault != MG_FRAME_OK || same);
      }
      mg_buf_fini(&again);
      framed.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    mg_buf_fini(&framed);
  }
  mg_buf_fini(&body);
  mg_keyring_free(k);
}

/* An unsigned compressed frame of these LZ4 preferences. */
static mg_buf lz4_frame(mg_slice body, const LZ4F_preferences_t *preferences) {
  mg_buf framed = {0};
  mg_buf_put(&framed, "\x01\x01", 2);
  size_t bound = LZ4F_compressFrameBound(body.len, preferences);
  assert_true(mg_buf_reserve(&framed, bound));
  size_t n = LZ4F_compressFrame(framed.data + 2, bound, body.data, body.len, preferences);
  assert_false(LZ4F_isError(n));
  framed.len += n;
  return framed;
}

static void only_our_kind_of_lz4_frame_is_read(void **state) {
  (void)state;
  mg_buf body = prose(100000);
  const LZ4F_frameInfo_t ours = {
      .blockSizeID = LZ4F_max64KB, .contentChecksumFlag = LZ4F_contentChecksumEnabled, .contentSize = body.len};
  for (int i = 0; i < 4; i++) {
    LZ4F_preferences_t preferences = {.frameInfo = ours};
    if (i == 1) preferences.frameInfo.contentSize = 0;
    if (i == 2) preferences.frameInfo.contentChecksumFlag = LZ4F_noContentChecksum;
    if (i == 3) preferences.frameInfo.blockSizeID = LZ4F_max4MB;
    mg_buf framed = lz4_frame(mg_buf_slice(&body), &preferences);
    assert_int_equal(open_as(&plain, mg_buf_slice(&framed), NULL, NULL), i == 0 ? MG_FRAME_OK : MG_FRAME_BAD);
    mg_buf_fini(&framed);
  }
  static const uint8_t skippable[] = {1, 1, 0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 'a', 'b', 'c', 'd'};
  assert_int_equal(open_as(&plain, (mg_slice){skippable, sizeof skippable}, NULL, NULL), MG_FRAME_BAD);
  mg_buf_fini(&body);
}

static void a_declared_size_is_bounded_before_it_is_allocated(void **state) {
  (void)state;
  mg_buf body = prose(20000);
  const mg_codec small = {.max_bytes = 19999}, just = {.max_bytes = 20000};
  mg_buf framed = seal(&packing, mg_buf_slice(&body)), out = {0};
  mg_error e;
  assert_int_equal(open_as(&just, mg_buf_slice(&framed), NULL, NULL), MG_FRAME_OK);
  assert_int_equal(open_as(&small, mg_buf_slice(&framed), NULL, &e), MG_FRAME_BAD);
  assert_int_equal(mg_frame_seal(&small, mg_buf_slice(&body), &out, &e), MG_ARG); /* nor is such a one written */
  assert_non_null(strstr(e.text, "max_batch_size"));
  mg_buf_fini(&framed);
  framed = seal(&plain, mg_buf_slice(&body));
  assert_int_equal(open_as(&small, mg_buf_slice(&framed), NULL, NULL), MG_FRAME_BAD);
  mg_buf_fini(&framed);
  mg_buf_fini(&body);

  /* A header that declares 60 MB before 100 bytes: LZ4 cannot hold that. The header checksum is right, made by LZ4
   * itself. */
  LZ4F_cctx *context;
  assert_false(LZ4F_isError(LZ4F_createCompressionContext(&context, LZ4F_VERSION)));
  LZ4F_preferences_t preferences = {.frameInfo = {.blockSizeID = LZ4F_max64KB,
                                                  .contentChecksumFlag = LZ4F_contentChecksumEnabled,
                                                  .contentSize = 60u << 20}};
  uint8_t liar[2 + LZ4F_HEADER_SIZE_MAX + 100] = {1, 1};
  size_t n = LZ4F_compressBegin(context, liar + 2, LZ4F_HEADER_SIZE_MAX, &preferences);
  assert_false(LZ4F_isError(n));
  (void)LZ4F_freeCompressionContext(context);
  mg_buf scratch = {0};
  mg_slice opened;
  mg_frame_fault fault;
  assert_int_equal(mg_frame_open(&plain, (mg_slice){liar, 2 + n + 100}, &scratch, &opened, &fault, &e), MG_ARG);
  assert_int_equal(fault, MG_FRAME_BAD);
  assert_non_null(strstr(e.text, "more bytes than it can hold"));
  assert_int_equal(scratch.cap, 0);
}

static void garbage_is_refused(void **state) {
  (void)state;
  mg_keyring *k = ring("id:secret");
  const mg_codec signing = {.keys = k};
  for (int i = 0; i < 2000; i++) {
    mg_buf b = noise((size_t)i % 300);
    assert_int_not_equal(open_as(&signing, mg_buf_slice(&b), NULL, NULL), MG_FRAME_OK);
    if (b.len > 2) {
      b.data[0] = 1;
      b.data[1] = 1;
      assert_int_equal(open_as(&plain, mg_buf_slice(&b), NULL, NULL), MG_FRAME_BAD);
    }
    mg_buf_fini(&b);
  }
  mg_keyring_free(k);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(bodies_come_back),
      cmocka_unit_test(compression_is_used_where_it_pays),
      cmocka_unit_test(seal_appends),
      cmocka_unit_test(a_signed_frame_is_laid_out_as_documented),
      cmocka_unit_test(the_first_key_signs_and_all_verify),
      cmocka_unit_test(keyrings_are_checked),
      cmocka_unit_test(newer_frames_are_told_apart),
      cmocka_unit_test(a_cut_frame_is_refused),
      cmocka_unit_test(a_flipped_bit_never_passes_a_signature_or_checksum),
      cmocka_unit_test(only_our_kind_of_lz4_frame_is_read),
      cmocka_unit_test(a_declared_size_is_bounded_before_it_is_allocated),
      cmocka_unit_test(garbage_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
