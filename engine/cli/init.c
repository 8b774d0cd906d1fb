/* init.c - `mguard init DIR`: a task that runs as it is, to be changed into one's own. */
#include "cli/args.h"
#include "cli/cli.h"
#include "script/render.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const mg_flag flags[] = {{"backend", "NAME", "also a queue.json for redis, rabbitmq, kafka or sqs", NULL}, {NULL, NULL, NULL, NULL}};

static const mg_command command = {"init", "DIR", "Writes a commented plan, checks and two implementations into DIR; they run as they are.", NULL, flags, 1, 1};

/* Refused before anything is written: half a task is worse than none. */
static mg_err must_be_absent(void *dir, const char *file, mg_slice text, mg_error *e) {
  (void)text;
  struct stat st;
  if (fstatat(*(int *)dir, file, &st, AT_SYMLINK_NOFOLLOW) == 0) return mg_fail(e, MG_ARG, "%s exists there already; nothing was written", file);
  return errno == ENOENT ? MG_OK : mg_fail(e, MG_ARG, "%s: %s", file, strerror(errno));
}

static mg_err write_new(void *dir, const char *file, mg_slice text, mg_error *e) {
  int fd = openat(*(int *)dir, file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return mg_fail(e, MG_FATAL, "%s cannot be written: %s", file, strerror(errno));
  FILE *out = fdopen(fd, "w");
  if (out == NULL) (void)close(fd);
  bool good = out != NULL && fwrite(text.data, 1, text.len, out) == text.len;
  if (out != NULL && fclose(out) != 0) good = false;
  return good ? MG_OK : mg_fail(e, MG_FATAL, "%s cannot be written: %s", file, strerror(errno));
}

/* The folder's own name is the task's; what cannot be one becomes "task". */
static void name_of(const char *dir, char *out, size_t cap) {
  char *full = realpath(dir, NULL);
  const char *base = full != NULL && strrchr(full, '/') != NULL ? strrchr(full, '/') + 1 : "";
  bool good = base[0] != '\0' && strlen(base) < cap && strcspn(base, ",;\"'\\") == strlen(base);
  for (const char *c = base; *c != '\0'; c++) good = good && (unsigned char)*c >= ' ';
  (void)snprintf(out, cap, "%s", good ? base : "task");
  free(full);
}

int mg_cli_init(int argc, char **argv) {
  mg_args a;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  char dir[4096];
  size_t length = strlen(a.positional[0]);
  if (length >= sizeof dir) return mg_complain("init", MG_EXIT_USAGE, "the folder's name is too long");
  memcpy(dir, a.positional[0], length + 1);
  while (length > 1 && dir[length - 1] == '/') dir[--length] = '\0';
  const char *backend = mg_args_get(&a, &command, "backend"), *why = "";
  if (backend == NULL) backend = "memory";
  if (!mg_backend_is_name(backend)) return mg_complain("init", MG_EXIT_USAGE, "--backend must be memory, redis, rabbitmq, kafka or sqs, got %s", backend);
  if (mkdir(dir, 0777) != 0 && errno != EEXIST) return mg_complain("init", MG_EXIT_USAGE, "the folder %s cannot be made: %s", dir, strerror(errno));
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return mg_complain("init", MG_EXIT_USAGE, "%s: %s", dir, strerror(errno));
  char name[65];
  name_of(dir, name, sizeof name);
  mg_error e;
  mg_script *s = mg_script_new(0);
  mg_err err = s != NULL ? mg_render_scaffold(s, name, backend, must_be_absent, &fd, &e) : mg_fail(&e, MG_NOMEM, "memory ended");
  if (err == MG_OK) err = mg_render_scaffold(s, name, backend, write_new, &fd, &e);
  mg_script_free(s);
  (void)close(fd);
  if (err != MG_OK) return mg_complain("init", err == MG_ARG ? MG_EXIT_USAGE : MG_EXIT_FAILURE, "%s: %s", dir, e.text);
  (void)printf("%s: checks.lua, plan.lua, baseline.lua, candidate.lua, README.md%s\n\n  mguard check %s/plan.lua\n  mguard run %s/plan.lua\n", dir,
               strcmp(backend, "memory") == 0 ? "" : ", queue.json", dir, dir);
  if (strcmp(backend, "memory") != 0) {
    (void)printf("\nWith workers, as many as you like, once %s/queue.json says where the broker is:\n\n  mguard worker --script %s/checks.lua --queue-config %s/queue.json\n"
                 "  mguard run %s/plan.lua --queue-config %s/queue.json\n",
                 dir, dir, dir, dir, dir);
    if (mg_backend_find(backend, &why) == NULL) (void)printf("\nThis mguard cannot reach it: backend %s: %s\n", backend, why);
  }
  return 0;
}
