#include "base/hash.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <xxhash.h>

struct mg_sha256 {
  EVP_MD_CTX *context;
  bool failed;
};

mg_sha256 *mg_sha256_new(void) {
  mg_sha256 *h = calloc(1, sizeof *h);
  if (h == NULL) return NULL;
  h->context = EVP_MD_CTX_new();
  if (h->context == NULL || EVP_DigestInit_ex(h->context, EVP_sha256(), NULL) != 1) {
    EVP_MD_CTX_free(h->context);
    free(h);
    return NULL;
  }
  return h;
}

void mg_sha256_add(mg_sha256 *h, const void *data, size_t len) {
  if (len > 0 && EVP_DigestUpdate(h->context, data, len) != 1) h->failed = true;
}

bool mg_sha256_end(mg_sha256 *h, uint8_t out[MG_SHA256_BYTES]) {
  bool ok = h != NULL && !h->failed && EVP_DigestFinal_ex(h->context, out, NULL) == 1;
  if (!ok) memset(out, 0, MG_SHA256_BYTES);
  if (h != NULL) EVP_MD_CTX_free(h->context);
  free(h);
  return ok;
}

bool mg_sha256_of(mg_slice data, uint8_t out[MG_SHA256_BYTES]) {
  bool ok = EVP_Digest(data.data, data.len, out, NULL, EVP_sha256(), NULL) == 1;
  if (!ok) memset(out, 0, MG_SHA256_BYTES);
  return ok;
}

bool mg_hmac_sha256(mg_slice key, const mg_slice *pieces, size_t count, uint8_t out[MG_SHA256_BYTES]) {
  static const unsigned char no_key[1] = {0}; /* EVP takes a NULL key for "the one set before" */
  char digest[] = "SHA256";
  const OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string("digest", digest, 0), OSSL_PARAM_construct_end()};
  bool ok = false;
  size_t length = 0;
  EVP_MAC_CTX *context = NULL;
  EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
  if (mac == NULL) goto out;
  context = EVP_MAC_CTX_new(mac);
  if (context == NULL) goto out;
  if (EVP_MAC_init(context, key.len > 0 ? key.data : no_key, key.len, params) != 1) goto out;
  for (size_t i = 0; i < count; i++) {
    if (pieces[i].len > 0 && EVP_MAC_update(context, pieces[i].data, pieces[i].len) != 1) goto out;
  }
  ok = EVP_MAC_final(context, out, &length, MG_SHA256_BYTES) == 1 && length == MG_SHA256_BYTES;
out:
  if (!ok) memset(out, 0, MG_SHA256_BYTES);
  EVP_MAC_CTX_free(context);
  EVP_MAC_free(mac);
  return ok;
}

bool mg_same_bytes(const void *a, const void *b, size_t len) {
  return CRYPTO_memcmp(a, b, len) == 0;
}

void mg_xxh3_128(const void *data, size_t len, uint64_t *low, uint64_t *high) {
  XXH128_hash_t hash = XXH3_128bits(data, len);
  *low = hash.low64;
  *high = hash.high64;
}

void mg_random_bytes(void *out, size_t len) {
  uint8_t *at = out;
  while (len > 0) {
    ssize_t n = getrandom(at, len, 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      abort(); /* weak tokens would be worse than none */
    }
    at += n;
    len -= (size_t)n;
  }
}

uint64_t mg_random64(void) {
  uint64_t value;
  mg_random_bytes(&value, sizeof value);
  return value;
}

void mg_hex(const void *data, size_t len, char *out) {
  static const char digits[] = "0123456789abcdef";
  const uint8_t *bytes = data;
  for (size_t i = 0; i < len; i++) {
    out[2 * i] = digits[bytes[i] >> 4];
    out[2 * i + 1] = digits[bytes[i] & 15];
  }
  out[2 * len] = '\0';
}
