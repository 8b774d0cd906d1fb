/* hash.h - SHA-256, HMAC-SHA256, XXH3-128, comparison in constant time, random bytes. Any thread.
 *
 * SHA and HMAC are OpenSSL's; where it fails (memory, a build that forbids the digest) the functions say false and out
 * is zeroed. */
#ifndef MG_BASE_HASH_H
#define MG_BASE_HASH_H

#include "base/buf.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MG_SHA256_BYTES 32

/* Over several pieces: new, any number of adds, end (which frees; h may be NULL then: false). */
typedef struct mg_sha256 mg_sha256;
mg_sha256 *mg_sha256_new(void); /* NULL where memory ended */
void mg_sha256_add(mg_sha256 *h, const void *data, size_t len);
bool mg_sha256_end(mg_sha256 *h, uint8_t out[MG_SHA256_BYTES]);

bool mg_sha256_of(mg_slice data, uint8_t out[MG_SHA256_BYTES]);

/* HMAC-SHA256 over the pieces one after the other. */
bool mg_hmac_sha256(mg_slice key, const mg_slice *pieces, size_t count, uint8_t out[MG_SHA256_BYTES]);

/* Takes the same time whatever the bytes are. */
bool mg_same_bytes(const void *a, const void *b, size_t len);

/* XXH3-128 with seed 0. */
void mg_xxh3_128(const void *data, size_t len, uint64_t *low, uint64_t *high);

/* From the system's secure generator; waits for it at boot, cannot fail afterwards (aborts where the system has none).
 */
void mg_random_bytes(void *out, size_t len);
uint64_t mg_random64(void);

/* Lower-case hex of len bytes into out (2 * len + 1 bytes). */
void mg_hex(const void *data, size_t len, char *out);

#endif
