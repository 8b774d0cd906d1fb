/* The shared config and credentials files, and credential_process. */
#include "backends/sqs/provider.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEPTH_MAX = 5, PROCESS_BYTES = 65536, FILE_BYTES = 1 << 20 };

/* Keys of a profile that are looked at. */
enum { ID, SECRET, TOKEN, ROLE, SOURCE, SOURCE_KIND, EXTERNAL_ID, SESSION, PROCESS, WEB_TOKEN_FILE, REGION, KEYS };
static const char *const key_names[KEYS] = {
    "aws_access_key_id", "aws_secret_access_key", "aws_session_token",       "role_arn", "source_profile", "credential_source", "external_id",
    "role_session_name", "credential_process",    "web_identity_token_file", "region"};

typedef struct profile {
  char *texts[KEYS]; /* owned */
  bool there;
} profile;

static void profile_fini(profile *p) {
  for (int i = 0; i < KEYS; i++) {
    if (p->texts[i] != NULL) explicit_bzero(p->texts[i], strlen(p->texts[i]));
    free(p->texts[i]);
  }
  *p = (profile){0};
}

const char *mg_sqs_profile_name(const mg_sqs_settings *s) {
  if (s->profile != NULL) return s->profile;
  const char *name = getenv("AWS_PROFILE");
  return name != NULL && name[0] != '\0' ? name : "default";
}

/* The file named by the variable, else ~/.aws/NAME. */
static bool path_of(const char *variable, const char *name, char *out, size_t size) {
  const char *given = getenv(variable), *home = getenv("HOME");
  int n = given != NULL && given[0] != '\0' ? snprintf(out, size, "%s", given) : home != NULL ? snprintf(out, size, "%s/.aws/%s", home, name) : -1;
  return n > 0 && (size_t)n < size;
}

static char *trimmed(char *text) {
  text += strspn(text, " \t\r\n");
  size_t len = strlen(text);
  while (len > 0 && strchr(" \t\r\n", text[len - 1]) != NULL) text[--len] = '\0';
  return text;
}

/* "[profile NAME]" in the config file, "[NAME]" in the credentials file; "[default]" in both. */
static bool is_section(char *line, bool config, const char *name) {
  char *end = strchr(line, ']');
  if (end == NULL) return false;
  *end = '\0';
  char *title = trimmed(line + 1);
  if (config && strncmp(title, "profile", 7) == 0 && (title[7] == ' ' || title[7] == '\t')) return strcmp(trimmed(title + 7), name) == 0;
  return strcmp(title, name) == 0 && (!config || strcmp(name, "default") == 0);
}

static mg_err read_file(const char *path, bool config, const char *name, profile *p, mg_error *e) {
  FILE *f = fopen(path, "re");
  if (f == NULL) return errno == ENOENT || errno == ENOTDIR || errno == EACCES ? MG_OK : mg_fail_errno(e, MG_FATAL, errno, "%s", path);
  char *line = NULL;
  size_t cap = 0, total = 0;
  bool inside = false;
  mg_err err = MG_OK;
  for (ssize_t n = getline(&line, &cap, f); n >= 0 && total < FILE_BYTES; n = getline(&line, &cap, f)) {
    total += (size_t)n;
    if (line[0] == '[') {
      inside = is_section(line, config, name);
      p->there = p->there || inside;
      continue;
    }
    char *equals = strchr(line, '=');
    if (!inside || equals == NULL || line[0] == '#' || line[0] == ';' || line[0] == ' ' || line[0] == '\t') continue;
    *equals = '\0';
    char *key = trimmed(line), *value = trimmed(equals + 1);
    for (int i = 0; i < KEYS; i++) {
      if (strcmp(key, key_names[i]) != 0 || p->texts[i] != NULL || value[0] == '\0') continue;
      p->texts[i] = strdup(value);
      if (p->texts[i] == NULL) err = mg_fail(e, MG_NOMEM, "no memory for %s", path);
    }
  }
  if (line != NULL) explicit_bzero(line, cap);
  free(line);
  (void)fclose(f);
  return err;
}

static mg_err read_profile(const char *name, profile *p, mg_error *e) {
  char path[1024];
  mg_err err = MG_OK;
  *p = (profile){0};
  if (path_of("AWS_SHARED_CREDENTIALS_FILE", "credentials", path, sizeof path)) err = read_file(path, false, name, p, e);
  if (err == MG_OK && path_of("AWS_CONFIG_FILE", "config", path, sizeof path)) err = read_file(path, true, name, p, e);
  return err;
}

bool mg_sqs_profile_region(const mg_sqs_settings *s, char *out, size_t size) {
  profile p;
  mg_error ignored;
  bool found = read_profile(mg_sqs_profile_name(s), &p, &ignored) == MG_OK && p.texts[REGION] != NULL && strlen(p.texts[REGION]) < size;
  if (found) (void)snprintf(out, size, "%s", p.texts[REGION]);
  profile_fini(&p);
  return found;
}

/* --- credential_process --- */

static pid_t spawn(const char *command, int *out) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    (void)setpgid(0, 0);
    (void)dup2(ends[1], 1);
    (void)execl("/bin/sh", "sh", "-c", command, (char *)NULL);
    _exit(127);
  }
  (void)close(ends[1]);
  *out = ends[0];
  if (pid < 0) (void)close(ends[0]);
  return pid;
}

static mg_err run_process(const char *command, mg_ms until, mg_buf *out, mg_error *e) {
  int fd, status = 0;
  pid_t pid = spawn(command, &fd);
  if (pid < 0) return mg_fail_errno(e, MG_FATAL, errno, "credential_process");
  bool ended = false;
  while (!ended && out->len < PROCESS_BYTES) {
    struct pollfd p = {.fd = fd, .events = POLLIN};
    char some[4096];
    if (mg_now_ms() >= until || poll(&p, 1, mg_until_ms(until)) <= 0) break;
    ssize_t n = read(fd, some, sizeof some);
    if (n > 0) mg_buf_put(out, some, (size_t)n);
    ended = n == 0;
    explicit_bzero(some, sizeof some);
  }
  (void)close(fd);
  if (!ended) (void)kill(-pid, SIGKILL);
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
  if (!ended) return mg_fail(e, MG_CONN, "credential_process did not end in time");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
    return mg_fail(e, MG_FATAL, "credential_process failed with status %d", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
  return MG_OK;
}

static mg_err from_process(const mg_sqs_seeker *s, const char *command, mg_sqs_found *out, mg_error *e) {
  mg_buf text = {0};
  mg_err err = run_process(command, s->until, &text, e);
  if (err == MG_OK) err = mg_sqs_found_json(out, mg_buf_slice(&text), "credential_process", e);
  if (text.data != NULL) explicit_bzero(text.data, text.cap);
  mg_buf_fini(&text);
  return err;
}

/* --- a profile --- */

static mg_err from_source(const mg_sqs_seeker *s, const profile *p, const char *name, int depth, mg_sqs_found *out, mg_error *e) {
  const char *kind = p->texts[SOURCE_KIND];
  mg_err err = MG_LOST;
  if (p->texts[SOURCE] != NULL) {
    if (strcmp(p->texts[SOURCE], name) == 0) { /* its own keys */
      if (p->texts[ID] != NULL && p->texts[SECRET] != NULL) return mg_sqs_found_set(out, p->texts[ID], p->texts[SECRET], p->texts[TOKEN], 0, e);
      return mg_fail(e, MG_FATAL, "profile %s names itself as source_profile and has no keys", name);
    }
    err = mg_sqs_from_files(s, p->texts[SOURCE], depth + 1, out, e);
    return err == MG_LOST
               ? mg_fail(e, MG_FATAL, "source_profile %s of profile %s is not in the shared AWS files, or has no credentials", p->texts[SOURCE], name)
               : err;
  }
  if (kind == NULL) return mg_fail(e, MG_FATAL, "profile %s has role_arn but neither source_profile nor credential_source", name);
  if (strcmp(kind, "EcsContainer") == 0)
    err = mg_sqs_from_container(s, out, e);
  else if (strcmp(kind, "Ec2InstanceMetadata") == 0)
    err = mg_sqs_from_instance(s, out, e);
  else if (strcmp(kind, "Environment") == 0 && getenv("AWS_ACCESS_KEY_ID") != NULL && getenv("AWS_SECRET_ACCESS_KEY") != NULL)
    err = mg_sqs_found_set(out, getenv("AWS_ACCESS_KEY_ID"), getenv("AWS_SECRET_ACCESS_KEY"), getenv("AWS_SESSION_TOKEN"), 0, e);
  return err == MG_LOST ? mg_fail(e, MG_FATAL, "credential_source %s of profile %s has no credentials here", kind, name) : err;
}

static mg_err from_role(const mg_sqs_seeker *s, const profile *p, const char *name, int depth, mg_sqs_found *out, mg_error *e) {
  if (p->texts[WEB_TOKEN_FILE] != NULL) return mg_sqs_from_web_identity(s, p->texts[WEB_TOKEN_FILE], p->texts[ROLE], p->texts[SESSION], out, e);
  mg_sqs_found source = {0};
  mg_err err = from_source(s, p, name, depth, &source, e);
  if (err == MG_OK) err = mg_sqs_assume_role(s, &source, p->texts[ROLE], p->texts[EXTERNAL_ID], p->texts[SESSION], out, e);
  mg_sqs_found_clear(&source);
  return err;
}

mg_err mg_sqs_from_files(const mg_sqs_seeker *s, const char *name, int depth, mg_sqs_found *out, mg_error *e) {
  profile p;
  if (depth > DEPTH_MAX) return mg_fail(e, MG_FATAL, "source_profile goes in a circle at profile %s", name);
  mg_err err = read_profile(name, &p, e);
  if (err == MG_OK && !p.there)
    err = s->settings->profile != NULL && depth == 0 ? mg_fail(e, MG_FATAL, "profile %s is not in the shared AWS files", name) : MG_LOST;
  else if (err == MG_OK && p.texts[ROLE] != NULL)
    err = from_role(s, &p, name, depth, out, e);
  else if (err == MG_OK && p.texts[ID] != NULL && p.texts[SECRET] != NULL)
    err = mg_sqs_found_set(out, p.texts[ID], p.texts[SECRET], p.texts[TOKEN], 0, e);
  else if (err == MG_OK && p.texts[PROCESS] != NULL)
    err = from_process(s, p.texts[PROCESS], out, e);
  else if (err == MG_OK)
    err = MG_LOST;
  profile_fini(&p);
  return err;
}
