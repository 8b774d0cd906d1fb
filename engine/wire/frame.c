#include "wire/frame.h"

#include "base/hash.h"
#include "base/ident.h"
#include <lz4frame.h>
#include <openssl/crypto.h>
#include <stdlib.h>
#include <string.h>

enum { VERSION = 1, FLAG_LZ4 = 1, FLAG_SIGNED = 2, KEY_ID_MAX = 64, LZ4_BEST_RATIO = 255 };

typedef struct key {
  char id[KEY_ID_MAX + 1];
  uint8_t *secret;
  size_t secret_len;
} key;

struct mg_keyring {
  key *keys;
  size_t count;
};

void mg_keyring_free(mg_keyring *k) {
  if (k == NULL) return;
  for (size_t i = 0; i < k->count; i++) {
    if (k->keys[i].secret != NULL) OPENSSL_cleanse(k->keys[i].secret, k->keys[i].secret_len);
    free(k->keys[i].secret);
  }
  free(k->keys);
  free(k);
}

static const key *find_key(const mg_keyring *k, const uint8_t *id, size_t len) {
  for (size_t i = 0; k != NULL && i < k->count; i++) {
    if (strlen(k->keys[i].id) == len && memcmp(k->keys[i].id, id, len) == 0) return &k->keys[i];
  }
  return NULL;
}

/* One "id:secret" of len bytes. Errors name the place in the list, never what stands there. */
static mg_err add_key(mg_keyring *k, const char *entry, size_t len, mg_error *e) {
  const char *colon = memchr(entry, ':', len);
  size_t id_len = colon == NULL ? 0 : (size_t)(colon - entry);
  if (!mg_ident_ok_bytes((const uint8_t *)entry, id_len, KEY_ID_MAX, ".") || id_len + 1 == len) {
    return mg_fail(e, MG_ARG, "signing key %zu is not id:secret; an id has 1 to %d of the letters A-Z a-z 0-9 _ - .",
                   k->count + 1, KEY_ID_MAX);
  }
  if (find_key(k, (const uint8_t *)entry, id_len) != NULL) {
    return mg_fail(e, MG_ARG, "signing key %zu has the id of an earlier one: give each key an id of its own",
                   k->count + 1);
  }
  key *at = &k->keys[k->count];
  at->secret_len = len - id_len - 1;
  at->secret = malloc(at->secret_len);
  if (at->secret == NULL) return mg_fail(e, MG_NOMEM, "no memory left for the signing keys");
  k->count++;
  memcpy(at->id, entry, id_len);
  at->id[id_len] = '\0';
  memcpy(at->secret, colon + 1, at->secret_len);
  return MG_OK;
}

mg_err mg_keyring_parse(mg_keyring **out, const char *text, mg_error *e) {
  *out = NULL;
  if (text == NULL || text[0] == '\0') return MG_OK;
  size_t entries = 1;
  for (const char *c = text; *c != '\0'; c++) entries += *c == ',';
  mg_keyring *k = calloc(1, sizeof *k);
  if (k != NULL) k->keys = calloc(entries, sizeof *k->keys);
  if (k == NULL || k->keys == NULL) {
    mg_keyring_free(k);
    return mg_fail(e, MG_NOMEM, "no memory left for the signing keys");
  }
  for (const char *at = text;;) {
    size_t len = strcspn(at, ",");
    mg_err err = add_key(k, at, len, e);
    if (err != MG_OK) {
      mg_keyring_free(k);
      return err;
    }
    if (at[len] == '\0') break;
    at += len + 1;
  }
  *out = k;
  return MG_OK;
}

static size_t most_bytes(const mg_codec *c) {
  return c->max_bytes == 0 ? MG_FRAME_MAX_BYTES : c->max_bytes;
}

static bool sign(const key *k, mg_slice head, mg_slice body, uint8_t mac[MG_SHA256_BYTES]) {
  const mg_slice pieces[] = {head, body};
  return mg_hmac_sha256((mg_slice){k->secret, k->secret_len}, pieces, 2, mac);
}

/* Appends the LZ4 frame of body where that is shorter than body itself; false: leave it plain. */
static bool compress(mg_slice body, mg_buf *out) {
  /* Blocks of 64 KB, each by itself, bound what the reader must set aside before it has seen any content. */
  LZ4F_preferences_t preferences = {.frameInfo = {.blockSizeID = LZ4F_max64KB,
                                                  .blockMode = LZ4F_blockIndependent,
                                                  .contentChecksumFlag = LZ4F_contentChecksumEnabled,
                                                  .contentSize = body.len}};
  size_t bound = LZ4F_compressFrameBound(body.len, &preferences);
  if (!mg_buf_reserve(out, bound)) return false;
  size_t n = LZ4F_compressFrame(out->data + out->len, bound, body.data, body.len, &preferences);
  if (LZ4F_isError(n) || n >= body.len || body.len / LZ4_BEST_RATIO > n) return false;
  out->len += n;
  return true;
}

mg_err mg_frame_seal(const mg_codec *c, mg_slice body, mg_buf *out, mg_error *e) {
  if (body.len > most_bytes(c)) {
    return mg_fail(e, MG_ARG, "a message of %zu bytes is above the limit of %zu: make batches smaller (max_batch_size)",
                   body.len, most_bytes(c));
  }
  size_t start = out->len;
  const key *k = c->keys != NULL ? &c->keys->keys[0] : NULL;
  uint8_t head[3 + KEY_ID_MAX] = {VERSION, k != NULL ? FLAG_SIGNED : 0};
  size_t head_len = 2;
  if (k != NULL) {
    size_t id_len = strlen(k->id);
    head[head_len++] = (uint8_t)id_len;
    memcpy(head + head_len, k->id, id_len);
    head_len += id_len;
  }
  mg_buf_put(out, head, head_len);
  if (k != NULL) mg_buf_put(out, (uint8_t[MG_SHA256_BYTES]){0}, MG_SHA256_BYTES);
  size_t body_at = out->len;
  if (c->compress && body.len > 0 && body.len >= c->threshold_bytes && compress(body, out)) {
    out->data[start + 1] |= FLAG_LZ4;
  } else {
    mg_buf_put(out, body.data, body.len);
  }
  if (out->failed) return mg_fail(e, MG_NOMEM, "no memory left for a message of %zu bytes", body.len);
  mg_slice signed_head = {out->data + start, head_len}, sent = {out->data + body_at, out->len - body_at};
  if (k != NULL && !sign(k, signed_head, sent, out->data + start + head_len)) {
    return mg_fail(e, MG_FATAL, "the message cannot be signed: OpenSSL refuses HMAC-SHA256");
  }
  return MG_OK;
}

static mg_err fault_of(mg_frame_fault *fault, mg_frame_fault kind, mg_error *e, const char *reason) {
  *fault = kind;
  return mg_fail(e, MG_ARG, "%s", reason);
}

/* Takes key id and MAC off the front of *rest and verifies it. head is what stands before. */
static mg_err verify(const mg_codec *c, mg_slice framed, mg_slice *rest, mg_frame_fault *fault, mg_error *e) {
  size_t id_len = rest->len > 0 ? rest->data[0] : 0;
  if (id_len == 0 || id_len > KEY_ID_MAX || rest->len < 1 + id_len + MG_SHA256_BYTES) {
    return fault_of(fault, MG_FRAME_BAD, e, "message is cut or garbled: its signature is not whole");
  }
  const uint8_t *id = rest->data + 1, *mac = id + id_len;
  if (!mg_ident_ok_bytes(id, id_len, KEY_ID_MAX, ".")) {
    return fault_of(fault, MG_FRAME_BAD, e, "message is garbled: its key id has letters no key id has");
  }
  mg_slice body = {mac + MG_SHA256_BYTES, rest->len - 1 - id_len - MG_SHA256_BYTES};
  const key *k = find_key(c->keys, id, id_len);
  if (k == NULL) {
    *fault = MG_FRAME_NO_KEY;
    return mg_fail(e, MG_ARG, "message is signed with key \"%.*s\", which MGUARD_SIGNING_KEY does not hold here",
                   (int)id_len, (const char *)id);
  }
  uint8_t right[MG_SHA256_BYTES];
  mg_slice head = {framed.data, 3 + id_len};
  if (!sign(k, head, body, right))
    return fault_of(fault, MG_FRAME_NO_KEY, e, "the signature cannot be checked: OpenSSL refuses HMAC-SHA256");
  if (!mg_same_bytes(right, mac, MG_SHA256_BYTES)) {
    return fault_of(fault, MG_FRAME_BAD, e,
                    "message has a wrong signature: it was changed, or signed by another secret under this key's id");
  }
  *rest = body;
  return MG_OK;
}

/* The header's promises, checked before anything is allocated for them. *consumed: its length. */
static const char *check_lz4_header(LZ4F_dctx *context, mg_slice packed, size_t limit, size_t *consumed, size_t *size) {
  LZ4F_frameInfo_t info = LZ4F_INIT_FRAMEINFO;
  *consumed = packed.len;
  if (LZ4F_isError(LZ4F_getFrameInfo(context, &info, packed.data, consumed))) return "message is garbled: no LZ4 frame";
  if (info.frameType != LZ4F_frame || info.dictID != 0 || info.blockSizeID != LZ4F_max64KB ||
      info.contentChecksumFlag != LZ4F_contentChecksumEnabled || info.contentSize == 0) {
    return "message is garbled: its LZ4 frame is not as mguard writes it";
  }
  if (info.contentSize > limit) return "message declares more bytes than is allowed";
  if (info.contentSize > (uint64_t)LZ4_BEST_RATIO * packed.len) return "message declares more bytes than it can hold";
  *size = (size_t)info.contentSize;
  return NULL;
}

static mg_err decompress(const mg_codec *c, mg_slice packed, mg_buf *scratch, mg_slice *body, mg_frame_fault *fault,
                         mg_error *e) {
  mg_err err = MG_OK;
  size_t consumed = 0, size = 0, done = 0, left = 1;
  LZ4F_dctx *context = NULL;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&context, LZ4F_VERSION)))
    return mg_fail(e, MG_NOMEM, "no memory left to decompress");
  const char *reason = check_lz4_header(context, packed, most_bytes(c), &consumed, &size);
  if (reason != NULL) {
    err = fault_of(fault, MG_FRAME_BAD, e, reason);
    goto out;
  }
  mg_buf_clear(scratch);
  if (!mg_buf_reserve(scratch, size)) {
    err = mg_fail(e, MG_NOMEM, "no memory left for a message of %zu bytes", size);
    goto out;
  }
  const LZ4F_decompressOptions_t options = {.stableDst = 1};
  while (left != 0) {
    size_t room = size - done, given = packed.len - consumed;
    left = LZ4F_decompress(context, scratch->data + done, &room, packed.data + consumed, &given, &options);
    if (LZ4F_isError(left) || (left != 0 && room == 0 && given == 0)) break;
    done += room;
    consumed += given;
  }
  if (left != 0 || done != size || consumed != packed.len) {
    err = fault_of(fault, MG_FRAME_BAD, e,
                   "message is cut or garbled: its LZ4 frame does not decompress to what it declares");
    goto out;
  }
  scratch->len = size;
  *body = mg_buf_slice(scratch);
out:
  (void)LZ4F_freeDecompressionContext(context);
  return err;
}

mg_err mg_frame_open(const mg_codec *c, mg_slice framed, mg_buf *scratch, mg_slice *body, mg_frame_fault *fault,
                     mg_error *e) {
  *body = (mg_slice){0};
  *fault = MG_FRAME_OK;
  if (framed.len < 2 || framed.data[0] == 0)
    return fault_of(fault, MG_FRAME_BAD, e, "message is garbled: it does not begin as one");
  uint8_t version = framed.data[0], flags = framed.data[1];
  if (version > VERSION || (flags & ~(FLAG_LZ4 | FLAG_SIGNED)) != 0) {
    *fault = MG_FRAME_NEWER;
    return mg_fail(e, MG_ARG, "message has version %d, flags %d; this mguard reads version %d: upgrade it", version,
                   flags, VERSION);
  }
  mg_slice rest = {framed.data + 2, framed.len - 2};
  if ((flags & FLAG_SIGNED) != 0) {
    mg_err err = verify(c, framed, &rest, fault, e);
    if (err != MG_OK) return err;
  } else if (c->keys != NULL) {
    return fault_of(fault, MG_FRAME_BAD, e, "message is not signed, and MGUARD_SIGNING_KEY is set here");
  }
  if ((flags & FLAG_LZ4) != 0) return decompress(c, rest, scratch, body, fault, e);
  if (rest.len > most_bytes(c)) return fault_of(fault, MG_FRAME_BAD, e, "message is longer than is allowed");
  *body = rest;
  return MG_OK;
}
