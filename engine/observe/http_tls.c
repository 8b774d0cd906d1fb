/* Certificate and key of the metrics' server: read, and found to belong together before the server is started, for it would only say that it cannot. */
#include "observe/http_internal.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>

enum { FILE_BYTES_MAX = 1 << 20 };

static mg_err read_file(const char *name, const char *flag, mg_buf *out, mg_error *e) {
  FILE *file = fopen(name, "rbe");
  if (file == NULL) return mg_fail_errno(e, MG_ARG, errno, "%s: %s cannot be read", flag, name);
  char part[4096];
  size_t n;
  while (out->len < FILE_BYTES_MAX && (n = fread(part, 1, sizeof part, file)) > 0) mg_buf_put(out, part, n);
  bool failed = ferror(file) != 0;
  (void)fclose(file);
  mg_buf_put(out, "", 1);
  if (failed) return mg_fail(e, MG_ARG, "%s: %s cannot be read", flag, name);
  return out->failed ? mg_fail(e, MG_NOMEM, "no memory for %s", name) : MG_OK;
}

/* Keys with a passphrase are refused: nobody is there to type it. */
static int no_passphrase(char *buf, int size, int writing, void *owner) {
  (void)buf;
  (void)size;
  (void)writing;
  (void)owner;
  return 0;
}

static mg_err check_pair(const mg_http_tls *t, const mg_http_config *c, mg_error *e) {
  BIO *certificate_bio = BIO_new_mem_buf(t->certificate.data, -1), *key_bio = BIO_new_mem_buf(t->key.data, -1);
  X509 *certificate = certificate_bio == NULL ? NULL : PEM_read_bio_X509(certificate_bio, NULL, no_passphrase, NULL);
  EVP_PKEY *key = key_bio == NULL ? NULL : PEM_read_bio_PrivateKey(key_bio, NULL, no_passphrase, NULL);
  mg_err err = MG_OK;
  if (certificate == NULL) {
    err = mg_fail(e, MG_ARG, "--metrics-cert: %s holds no certificate in PEM form", c->certificate_file);
  } else if (key == NULL) {
    err = mg_fail(e, MG_ARG, "--metrics-key: %s holds no private key in PEM form that opens without a passphrase", c->key_file);
  } else if (X509_check_private_key(certificate, key) != 1) {
    err = mg_fail(e, MG_ARG, "--metrics-key: %s is not the key of the certificate in %s", c->key_file, c->certificate_file);
  }
  X509_free(certificate);
  EVP_PKEY_free(key);
  BIO_free(certificate_bio);
  BIO_free(key_bio);
  ERR_clear_error();
  return err;
}

mg_err mg_http_tls_load(mg_http_tls *out, const mg_http_config *c, mg_error *e) {
  if (c->certificate_file == NULL && c->key_file == NULL) return MG_OK;
  if (c->certificate_file == NULL) return mg_fail(e, MG_ARG, "--metrics-key is given without --metrics-cert");
  if (c->key_file == NULL) return mg_fail(e, MG_ARG, "--metrics-cert is given without --metrics-key");
  mg_err err = read_file(c->certificate_file, "--metrics-cert", &out->certificate, e);
  if (err == MG_OK) err = read_file(c->key_file, "--metrics-key", &out->key, e);
  if (err == MG_OK) err = check_pair(out, c, e);
  out->wanted = err == MG_OK;
  return err;
}

void mg_http_tls_fini(mg_http_tls *t) {
  if (t->key.data != NULL) OPENSSL_cleanse(t->key.data, t->key.len);
  mg_buf_fini(&t->certificate);
  mg_buf_fini(&t->key);
}
