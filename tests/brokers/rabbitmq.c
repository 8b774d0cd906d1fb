#include "tests/brokers/rabbitmq.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The scripts in /usr/sbin change the user. */
#define PROGRAMS "/usr/lib/rabbitmq/bin/"
enum { READY_MS = 60000, CTL_MS = 90000 };

static void set(const char *name, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void set(const char *name, const char *format, ...) {
  char value[600];
  va_list ap;
  va_start(ap, format);
  (void)vsnprintf(value, sizeof value, format, ap);
  va_end(ap);
  (void)setenv(name, value, 1);
}

bool mg_test_rabbit_again(mg_test_rabbit *r) {
  char log[MG_TEST_PATH_BYTES + 16];
  (void)snprintf(log, sizeof log, "%s/log", r->folder);
  static const char *const argv[] = {PROGRAMS "rabbitmq-server", NULL};
  r->pid = mg_test_spawn(log, argv);
  const int ports[] = {r->port, r->tls_port};
  if (mg_test_listens(&r->pid, ports, 2, READY_MS)) return true;
  fprintf(stderr, "the RabbitMQ node on port %d did not start:\n", r->port);
  mg_test_show_tail(log);
  mg_test_rabbit_end(r);
  return false;
}

bool mg_test_rabbit_start(mg_test_rabbit *r, const char *config) {
  char path[MG_TEST_PATH_BYTES + 32], epmd_port[16];
  *r = (mg_test_rabbit){0};
  if (!mg_test_folder(r->folder) || !mg_test_certificates(r->folder)) return false;
  int epmd = mg_test_port(), dist = mg_test_port();
  r->port = mg_test_port();
  do r->tls_port = mg_test_port();
  while (r->tls_port == r->port);
  if (epmd == 0 || dist == 0 || r->port == 0) return false;
  (void)snprintf(path, sizeof path, "%s/rabbitmq.conf", r->folder);
  FILE *f = fopen(path, "w");
  if (f == NULL) return false;
  fprintf(f,
          "listeners.tcp.1 = 127.0.0.1:%d\nlisteners.ssl.1 = 127.0.0.1:%d\n"
          "ssl_options.cacertfile = %s/ca.crt\nssl_options.certfile = %s/server.crt\nssl_options.keyfile = %s/server.key\n"
          "ssl_options.verify = verify_peer\nssl_options.fail_if_no_peer_cert = true\n"
          "log.console = false\nlog.file.level = warning\ndisk_free_limit.absolute = 10MB\nvm_memory_high_watermark.absolute = 1GB\n%s\n",
          r->port, r->tls_port, r->folder, r->folder, r->folder, config != NULL ? config : "");
  if (fclose(f) != 0) return false;
  (void)snprintf(path, sizeof path, "%s/plugins", r->folder);
  f = config != NULL && strstr(config, "management.") != NULL ? fopen(path, "w") : NULL;
  if (f != NULL && (fputs("[rabbitmq_management].\n", f) < 0 || fclose(f) != 0)) return false;
  set("HOME", "%s", r->folder);
  set("ERL_EPMD_PORT", "%d", epmd);
  set("ERL_EPMD_ADDRESS", "127.0.0.1");
  set("RABBITMQ_NODENAME", "mg%d@localhost", r->port);
  set("RABBITMQ_DIST_PORT", "%d", dist);
  set("RABBITMQ_CONF_ENV_FILE", "%s/env", r->folder);
  set("RABBITMQ_CONFIG_FILE", "%s/rabbitmq", r->folder);
  set("RABBITMQ_MNESIA_BASE", "%s/data", r->folder);
  set("RABBITMQ_LOG_BASE", "%s/logs", r->folder);
  set("RABBITMQ_ENABLED_PLUGINS_FILE", "%s/plugins", r->folder);
  set("RABBITMQ_PID_FILE", "%s/pid", r->folder);
  /* So that the script becomes the node instead of watching it: its process id is then the one we started. */
  set("RABBITMQ_ALLOW_INPUT", "1");
  set("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "-noinput -setcookie mguard +S 2:2 +sbwt none -kernel inet_dist_use_interface {127,0,0,1}");
  (void)snprintf(path, sizeof path, "%s/epmd.log", r->folder);
  (void)snprintf(epmd_port, sizeof epmd_port, "%d", epmd);
  const char *argv[] = {"epmd", "-port", epmd_port, "-address", "127.0.0.1", NULL};
  r->epmd = mg_test_spawn(path, argv);
  (void)mg_test_listens(&r->epmd, &epmd, 1, 5000);
  return mg_test_rabbit_again(r);
}

void mg_test_rabbit_stop(mg_test_rabbit *r) { mg_test_end(&r->pid, SIGTERM); }

void mg_test_rabbit_kill(mg_test_rabbit *r) { mg_test_end(&r->pid, SIGKILL); }

void mg_test_rabbit_end(mg_test_rabbit *r) {
  mg_test_end(&r->pid, SIGKILL);
  mg_test_end(&r->epmd, SIGKILL);
}

bool mg_test_rabbit_ctl(const mg_test_rabbit *r, char *out, size_t size, ...) {
  const char *argv[24] = {PROGRAMS "rabbitmqctl", "-q", "--erlang-cookie", "mguard"};
  int n = 4;
  va_list ap;
  va_start(ap, size);
  for (const char *p = va_arg(ap, const char *); p != NULL && n < 23; p = va_arg(ap, const char *)) argv[n++] = p;
  va_end(ap);
  argv[n] = NULL;
  if (r->pid != 0 && mg_test_run(argv, CTL_MS, out, size) == 0) return true;
  fprintf(stderr, "rabbitmqctl %s: %s\n", argv[4], size > 0 ? out : "failed");
  return false;
}

void mg_test_rabbit_options(const mg_test_rabbit *r, bool tls, mg_options *o) {
  char path[MG_TEST_PATH_BYTES + 16];
  (void)mg_options_set_text(o, "connection.host", "localhost");
  (void)mg_options_set_int(o, "connection.port", tls ? r->tls_port : r->port);
  if (!tls) return;
  (void)mg_options_set_bool(o, "connection.ssl", true);
  static const char *const files[][2] = {
      {"connection.ssl_ca_location", "ca.crt"}, {"connection.ssl_certificate_location", "client.crt"}, {"connection.ssl_key_location", "client.key"}};
  for (size_t i = 0; i < 3; i++) {
    (void)snprintf(path, sizeof path, "%s/%s", r->folder, files[i][1]);
    (void)mg_options_set_text(o, files[i][0], path);
  }
}
