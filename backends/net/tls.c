#include "backends/net/tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REFUSAL_MS = 300, SILENCE_MS = 3000 }; /* a server that says nothing for so long speaks no TLS, or nothing at all */

struct mg_tls {
  SSL *ssl;
  SSL_CTX *context;
  int fd;
  bool heard;      /* the other side has sent at least a byte */
  bool asked;      /* it asks for a certificate and we have none; it may do without */
  char place[300]; /* "host:port" */
};

/* OpenSSL's own socket BIO calls write(), which raises SIGPIPE; this one sends with MSG_NOSIGNAL. */
static BIO_METHOD *socket_method;
static pthread_once_t socket_method_once = PTHREAD_ONCE_INIT;

static int would_block(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

static int socket_write(BIO *b, const char *data, int len) {
  const mg_tls *t = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  ssize_t n = send(t->fd, data, (size_t)len, MSG_NOSIGNAL);
  if (n < 0 && would_block(errno)) BIO_set_retry_write(b);
  return (int)n;
}

static int socket_read(BIO *b, char *data, int size) {
  mg_tls *t = BIO_get_data(b);
  BIO_clear_retry_flags(b);
  ssize_t n = recv(t->fd, data, (size_t)size, 0);
  if (n < 0 && would_block(errno)) BIO_set_retry_read(b);
  if (n > 0) t->heard = true;
  return (int)n;
}

static long socket_control(BIO *b, int command, long number, void *pointer) {
  (void)b;
  (void)number;
  (void)pointer;
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static void make_socket_method(void) {
  socket_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "mguard socket");
  if (socket_method == NULL) return;
  BIO_meth_set_write(socket_method, socket_write);
  BIO_meth_set_read(socket_method, socket_read);
  BIO_meth_set_ctrl(socket_method, socket_control);
}

/* The newest reason OpenSSL gave, for people; empties its queue. */
static const char *reason(char *out, size_t size) {
  unsigned long code = ERR_peek_last_error();
  const char *text = code != 0 ? ERR_reason_error_string(code) : NULL;
  (void)snprintf(out, size, "%s", text != NULL ? text : "no reason given");
  ERR_clear_error();
  return out;
}

static mg_err load_files(SSL_CTX *c, const mg_tls_options *o, mg_error *e) {
  char why[160];
  const char *files[] = {o->ca_file, o->cert_file, o->key_file};
  for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
    /* OpenSSL would say "system lib". */
    if (files[i] != NULL && access(files[i], R_OK) != 0) return mg_fail_errno(e, MG_ARG, errno, "cannot read %s", files[i]);
  }
  if (o->ca_file != NULL) {
    if (SSL_CTX_load_verify_locations(c, o->ca_file, NULL) != 1) {
      return mg_fail(e, MG_ARG, "cannot read the authorities' certificates in %s: %s", o->ca_file, reason(why, sizeof why));
    }
  } else if (!o->trust_any && SSL_CTX_set_default_verify_paths(c) != 1) {
    return mg_fail(e, MG_ARG, "cannot read the system's certificates: %s; name a file of them", reason(why, sizeof why));
  }
  if (o->cert_file == NULL) return MG_OK;
  if (SSL_CTX_use_certificate_chain_file(c, o->cert_file) != 1) {
    return mg_fail(e, MG_ARG, "cannot read the client certificate %s: %s", o->cert_file, reason(why, sizeof why));
  }
  const char *key = o->key_file != NULL ? o->key_file : o->cert_file;
  if (SSL_CTX_use_PrivateKey_file(c, key, SSL_FILETYPE_PEM) != 1) {
    return mg_fail(e, MG_ARG, "cannot read the key %s of the client certificate: %s", key, reason(why, sizeof why));
  }
  if (SSL_CTX_check_private_key(c) != 1) {
    return mg_fail(e, MG_ARG, "the key %s does not belong to the client certificate %s", key, o->cert_file);
  }
  return MG_OK;
}

static int no_password(char *buf, int size, int writing, void *data) {
  (void)buf;
  (void)size;
  (void)writing;
  (void)data;
  return -1; /* an encrypted key fails with a reason instead of asking on the terminal */
}

static int no_certificate(SSL *ssl, X509 **certificate, EVP_PKEY **key) {
  (void)certificate;
  (void)key;
  mg_tls *t = SSL_get_app_data(ssl);
  t->asked = true;
  return 0;
}

static mg_err make_context(SSL_CTX **out, const mg_tls_options *o, mg_error *e) {
  ERR_clear_error();
  SSL_CTX *c = SSL_CTX_new(TLS_client_method());
  if (c == NULL) return mg_fail(e, MG_NOMEM, "no memory for TLS");
  SSL_CTX_set_min_proto_version(c, TLS1_2_VERSION);
  SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_default_passwd_cb(c, no_password);
  if (o->cert_file == NULL) SSL_CTX_set_client_cert_cb(c, no_certificate);
  SSL_CTX_set_verify(c, o->trust_any ? SSL_VERIFY_NONE : SSL_VERIFY_PEER, NULL);
  mg_err err = load_files(c, o, e);
  if (err != MG_OK) {
    SSL_CTX_free(c);
    return err;
  }
  *out = c;
  return MG_OK;
}

static bool is_address(const char *name) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, name, bytes) == 1 || inet_pton(AF_INET6, name, bytes) == 1;
}

static bool expect_name(SSL *ssl, const char *name) {
  if (is_address(name)) return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name) == 1;
  return SSL_set1_host(ssl, name) == 1 && SSL_set_tlsext_host_name(ssl, name) == 1;
}

/* What a failure inside OpenSSL means for the one who configured it. */
static mg_err explain(mg_tls *t, mg_error *e) {
  char why[160];
  unsigned long code = ERR_peek_last_error();
  int cause = ERR_GET_LIB(code) == ERR_LIB_SSL ? ERR_GET_REASON(code) : 0;
  long verified = SSL_get_verify_result(t->ssl);
  if (cause == SSL_R_CERTIFICATE_VERIFY_FAILED && verified != X509_V_OK) {
    ERR_clear_error();
    bool name = verified == X509_V_ERR_HOSTNAME_MISMATCH || verified == X509_V_ERR_IP_ADDRESS_MISMATCH;
    return mg_fail(e, MG_FATAL, "the certificate of %s is refused: %s; %s", t->place, X509_verify_cert_error_string(verified),
                   name ? "set the server name that the certificate is for" : "name the file of the authority that signed it");
  }
  switch (cause) {
  case SSL_R_WRONG_VERSION_NUMBER:
  case SSL_R_HTTP_REQUEST:
  case SSL_R_PACKET_LENGTH_TOO_LONG: ERR_clear_error(); return mg_fail(e, MG_FATAL, "%s does not answer TLS: is it a plain port? set ssl = false", t->place);
  case SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED:
  case SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE:
  case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
  case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
    return mg_fail(e, MG_FATAL, "%s refuses the TLS connection (%s): it may ask for a client certificate of its authority", t->place, reason(why, sizeof why));
  default: return mg_fail(e, MG_CONN, "TLS with %s failed: %s", t->place, reason(why, sizeof why));
  }
}

/* MG_AGAIN with *events where OpenSSL waits for the socket. */
static mg_err outcome(mg_tls *t, int result, short *events, mg_error *e) {
  int saved = errno;
  switch (SSL_get_error(t->ssl, result)) {
  case SSL_ERROR_WANT_READ: *events = POLLIN; return MG_AGAIN;
  case SSL_ERROR_WANT_WRITE: *events = POLLOUT; return MG_AGAIN;
  case SSL_ERROR_ZERO_RETURN: return mg_fail(e, MG_CONN, "%s closed the connection", t->place);
  case SSL_ERROR_SYSCALL:
    ERR_clear_error();
    if (saved == 0) return mg_fail(e, MG_CONN, "%s closed the connection", t->place);
    return mg_fail_errno(e, MG_CONN, saved, "the connection to %s broke", t->place);
  default:
    if (ERR_GET_REASON(ERR_peek_last_error()) == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
      ERR_clear_error();
      return mg_fail(e, MG_CONN, "%s closed the connection", t->place);
    }
    return explain(t, e);
  }
}

/* In TLS 1.3 a refusal of our lack of a certificate comes after our part of the handshake; were anything sent before it is read, a
 * reset could swallow it. A server that is content sends its tickets then. */
static mg_err hear_refusal(mg_tls *t, mg_error *e) {
  short events;
  char byte;
  if (mg_net_wait(t->fd, POLLIN, mg_now_ms() + REFUSAL_MS, -1) != MG_OK) return MG_OK;
  errno = 0;
  ERR_clear_error();
  int n = SSL_peek(t->ssl, &byte, 1);
  mg_err err = n > 0 ? MG_OK : outcome(t, n, &events, e);
  return err == MG_AGAIN ? MG_OK : err;
}

static mg_err handshake(mg_tls *t, mg_ms until, mg_error *e) {
  mg_ms silent_by = mg_now_ms() + SILENCE_MS;
  for (;;) {
    short events = POLLIN;
    errno = 0;
    ERR_clear_error();
    int n = SSL_connect(t->ssl);
    if (n == 1) return t->asked ? hear_refusal(t, e) : MG_OK;
    mg_err err = outcome(t, n, &events, e);
    if (err == MG_CONN && !t->heard) {
      /* Closed before it said anything: what a plain server that expects a line, or a proxy, does. */
      return mg_fail(e, MG_CONN, "%s closed the connection during the TLS handshake: is it a plain port? set ssl = false", t->place);
    }
    if (err != MG_AGAIN) return err;
    mg_ms end = !t->heard && silent_by < until ? silent_by : until;
    if (mg_net_wait(t->fd, events, end, -1) == MG_TIMEOUT) {
      return t->heard ? mg_fail(e, MG_CONN, "the TLS handshake with %s did not end in time", t->place)
                      : mg_fail(e, MG_CONN, "%s does not answer TLS: is it a plain port? set ssl = false", t->place);
    }
  }
}

mg_err mg_tls_open(mg_tls **out, int fd, const mg_endpoint *at, mg_ms until, mg_error *e) {
  mg_err err = MG_OK;
  (void)pthread_once(&socket_method_once, make_socket_method);
  mg_tls *t = calloc(1, sizeof *t);
  if (t == NULL || socket_method == NULL) {
    free(t);
    return mg_fail(e, MG_NOMEM, "no memory for TLS");
  }
  t->fd = fd;
  (void)snprintf(t->place, sizeof t->place, "%s:%d", at->host, at->port);
  err = make_context(&t->context, &at->tls, e);
  if (err != MG_OK) goto out;
  t->ssl = SSL_new(t->context);
  BIO *bio = t->ssl != NULL ? BIO_new(socket_method) : NULL;
  if (bio == NULL) {
    err = mg_fail(e, MG_NOMEM, "no memory for TLS");
    goto out;
  }
  SSL_set_app_data(t->ssl, t);
  BIO_set_data(bio, t);
  BIO_set_init(bio, 1);
  SSL_set_bio(t->ssl, bio, bio);
  const char *name = at->tls.server_name != NULL ? at->tls.server_name : at->host;
  if (!expect_name(t->ssl, name)) {
    err = mg_fail(e, MG_ARG, "\"%s\" cannot be the name in a server's certificate", name);
    goto out;
  }
  err = handshake(t, until, e);
out:
  if (err != MG_OK) {
    mg_tls_close(t);
    return err;
  }
  *out = t;
  return MG_OK;
}

void mg_tls_close(mg_tls *t) {
  if (t == NULL) return;
  if (t->ssl != NULL && SSL_is_init_finished(t->ssl)) (void)SSL_shutdown(t->ssl);
  SSL_free(t->ssl);
  SSL_CTX_free(t->context);
  ERR_clear_error();
  free(t);
}

static int clip(size_t len) { return len > 1 << 30 ? 1 << 30 : (int)len; }

mg_err mg_tls_read(mg_tls *t, void *data, size_t size, size_t *got, short *events, mg_error *e) {
  errno = 0;
  ERR_clear_error();
  int n = SSL_read(t->ssl, data, clip(size));
  if (n <= 0) return outcome(t, n, events, e);
  *got = (size_t)n;
  return MG_OK;
}

mg_err mg_tls_write(mg_tls *t, const void *data, size_t len, size_t *put, short *events, mg_error *e) {
  errno = 0;
  ERR_clear_error();
  int n = SSL_write(t->ssl, data, clip(len));
  if (n <= 0) return outcome(t, n, events, e);
  *put = (size_t)n;
  return MG_OK;
}

bool mg_tls_pending(const mg_tls *t) { return SSL_has_pending(t->ssl) == 1; }
