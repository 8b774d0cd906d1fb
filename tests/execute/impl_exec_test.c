/* Programs as implementations. The programs are this test itself, started again with "__child MODE", and a few of the system's. */
#include "execute/impl_exec.h"

#include "base/clock.h"
#include "execute/slot.h"
#include "execute/spawn.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char self[4096];
static volatile sig_atomic_t stop;

static void on_usr1(int number) {
  (void)number;
  stop = 1;
}

/* --- the programs -------------------------------------------------------------------------------------------------------- */

static void say(const char *text, size_t len) {
  while (len > 0) {
    ssize_t n = write(STDOUT_FILENO, text, len);
    if (n <= 0) exit(9);
    text += n;
    len -= (size_t)n;
  }
}

/* Answers each line with itself, except for the orders below. */
static int line_child(void) {
  char *line = NULL;
  size_t cap = 0;
  ssize_t n;
  int lines = 0;
  while ((n = getline(&line, &cap, stdin)) > 0) {
    lines++;
    if (strcmp(line, "segv\n") == 0) {
      fprintf(stderr, "first\nabout to crash\n\n");
      signal(SIGSEGV, SIG_DFL); /* a sanitizer would exit instead */
      raise(SIGSEGV);
    } else if (strcmp(line, "exit3\n") == 0) {
      exit(3);
    } else if (strcmp(line, "hang\n") == 0) {
      for (;;) pause();
    } else if (strcmp(line, "close\n") == 0) {
      close(STDOUT_FILENO);
      for (;;) pause();
    } else if (strcmp(line, "more\n") == 0) {
      say("answer\nand more\n", 16);
    } else if (strcmp(line, "nul\n") == 0) {
      say("a\0b\n", 4);
    } else if (strcmp(line, "endless\n") == 0) {
      static char block[65536];
      memset(block, 'x', sizeof block);
      for (;;) say(block, sizeof block);
    } else if (strcmp(line, "noise\n") == 0) {
      for (int i = 0; i < 20000; i++) fprintf(stderr, "line %d of a long complaint\n", i);
      say("quiet\n", 6);
    } else if (strcmp(line, "last\n") == 0) { /* answers, then dies once the caller has gone on */
      say("good bye\n", 9);
      usleep(50000);
      exit(7);
    } else if (strcmp(line, "late\n") == 0) { /* goes on writing after its answer was taken */
      say("answer\n", 7);
      usleep(50000);
      say("late\n", 5);
      kill(getppid(), SIGUSR1);
    } else if (strcmp(line, "count\n") == 0) {
      char text[32];
      say(text, (size_t)snprintf(text, sizeof text, "%d\n", lines));
    } else if (strcmp(line, "fds\n") == 0) {
      char text[256];
      size_t len = 0;
      for (int fd = 0; fd < 200; fd++) {
        if (fcntl(fd, F_GETFD) >= 0) len += (size_t)snprintf(text + len, sizeof text - len, "%d ", fd);
      }
      text[len++] = '\n';
      say(text, len);
    } else if (strcmp(line, "signals\n") == 0) {
      sigset_t blocked;
      sigprocmask(SIG_SETMASK, NULL, &blocked);
      struct sigaction pipe_action;
      sigaction(SIGPIPE, NULL, &pipe_action);
      bool clean = !sigismember(&blocked, SIGUSR1) && !sigismember(&blocked, SIGTERM) && pipe_action.sa_handler == SIG_DFL;
      say(clean ? "clean\n" : "dirty\n", 6);
    } else if (strcmp(line, "memory\n") == 0) {
      void *p = malloc(400u << 20);
      say(p == NULL ? "none\n" : "some\n", 5);
      free(p);
    } else if (strcmp(line, "fork\n") == 0) { /* a grandchild that would outlive us */
      pid_t pid = fork();
      if (pid == 0) {
        for (;;) pause();
      }
      char text[32];
      say(text, (size_t)snprintf(text, sizeof text, "%d\n", (int)pid));
    } else {
      say(line, (size_t)n);
    }
  }
  free(line);
  return 0;
}

static int run_child(const char *mode) {
  if (strcmp(mode, "lines") == 0) return line_child();
  if (strcmp(mode, "dead") == 0) { /* dies before it reads */
    fprintf(stderr, "no licence\n");
    return 5;
  }
  if (strcmp(mode, "early") == 0) { /* answers before it reads */
    say("early\n", 6);
    for (;;) pause();
  }
  return 99;
}

/* --- helpers ------------------------------------------------------------------------------------------------------------- */

static mg_child *make(const char *const *argv, bool once) {
  mg_child *c = NULL;
  mg_error e;
  assert_int_equal(mg_child_new(&c, &(mg_child_config){.argv = argv, .once = once}, &e), MG_OK);
  return c;
}

static mg_child *line_program(void) { return make((const char *const[]){self, "__child", "lines", NULL}, false); }

static void expect_answer(mg_child *c, const char *request, const char *answer) {
  mg_error e = {0};
  mg_slice a;
  mg_err rc = mg_child_call(c, mg_slice_of(request), &a, &stop, &e);
  if (rc != MG_OK) print_error("%s: %s\n", request, e.text);
  assert_int_equal(rc, MG_OK);
  assert_int_equal(a.len, strlen(answer));
  assert_memory_equal(a.data, answer, a.len);
}

static void expect_failure(mg_child *c, const char *request, mg_err code, const char *text) {
  mg_error e = {0};
  mg_slice a;
  assert_int_equal(mg_child_call(c, mg_slice_of(request), &a, &stop, &e), code);
  assert_string_equal(e.text, text);
}

static void alarm_in_ms(int ms) {
  /* SIGUSR1 must come from elsewhere: a small process of its own. */
  pid_t parent = getpid(), pid = fork();
  assert_true(pid >= 0);
  if (pid == 0) {
    usleep((useconds_t)ms * 1000);
    kill(parent, SIGUSR1);
    _exit(0);
  }
}

static bool is_gone(pid_t pid) {
  char path[64], state = 0;
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  FILE *f = fopen(path, "r");
  if (f == NULL) return true;
  int n = fscanf(f, "%*d (%*[^)]) %c", &state);
  fclose(f);
  return n != 1 || state == 'Z' || state == 'X';
}

static void expect_gone(pid_t pid) {
  mg_ms until = mg_now_ms() + 5000;
  while (!is_gone(pid) && mg_now_ms() < until) usleep(1000);
  assert_true(is_gone(pid));
}

/* --- tests --------------------------------------------------------------------------------------------------------------- */

static void keeps_one_process(void **state) {
  (void)state;
  mg_child *c = line_program();
  expect_answer(c, "count", "1");
  expect_answer(c, "hello", "hello");
  expect_answer(c, "", "");
  expect_answer(c, "count", "4");
  mg_child_free(c);
}

static void a_failure_costs_one_case(void **state) {
  (void)state;
  mg_child *c = line_program();
  expect_answer(c, "count", "1");
  expect_failure(c, "segv", MG_LOST, "killed by signal 11 (SIGSEGV): about to crash");
  expect_answer(c, "count", "1");
  expect_failure(c, "exit3", MG_LOST, "exited with status 3");
  expect_answer(c, "count", "1");
  expect_failure(c, "more", MG_ARG, "it wrote 9 bytes after the line of its answer");
  expect_answer(c, "count", "1");
  expect_failure(c, "nul", MG_ARG, "its answer contains a NUL byte");
  expect_answer(c, "count", "1");
  expect_failure(c, "close", MG_LOST, "closed its output");
  expect_answer(c, "count", "1");
  expect_failure(c, "endless", MG_ARG, "its answer is longer than 64 MB");
  expect_answer(c, "count", "1");
  expect_failure(c, "two\nlines", MG_ARG, "its input contains a line feed, which ends a request to a kept process: use once = true, or JSON");
  expect_answer(c, "count", "1");
  mg_child_free(c);
}

static void death_between_calls_is_nobodys(void **state) {
  (void)state;
  _Atomic int32_t group = 0;
  mg_child *c = NULL;
  mg_error e;
  assert_int_equal(mg_child_new(&c, &(mg_child_config){.argv = (const char *const[]){self, "__child", "lines", NULL}, .group = &group}, &e), MG_OK);
  expect_answer(c, "last", "good bye"); /* dies 50 ms later, while the next request stands unread in its pipe */
  expect_answer(c, "count", "1");
  expect_answer(c, "last", "good bye");
  expect_gone(atomic_load(&group)); /* here it is dead before the next request is made */
  expect_answer(c, "count", "1");
  mg_child_free(c);

  c = make((const char *const[]){self, "__child", "dead", NULL}, false);
  expect_failure(c, "x", MG_LOST, "exited with status 5: no licence");
  mg_child_free(c);
}

static void late_output_is_not_the_next_answer(void **state) {
  (void)state;
  mg_child *c = line_program();
  expect_answer(c, "late", "answer");
  mg_ms until = mg_now_ms() + 5000;
  while (stop == 0 && mg_now_ms() < until) usleep(1000);
  assert_int_equal(stop, 1);
  stop = 0;
  expect_answer(c, "count", "1");
  mg_child_free(c);
}

static void answers_only_after_the_question(void **state) {
  (void)state;
  mg_child *c = make((const char *const[]){self, "__child", "early", NULL}, false);
  size_t len = 1u << 20;
  char *big = malloc(len);
  memset(big, 'q', len);
  mg_error e;
  mg_slice a;
  assert_int_equal(mg_child_call(c, (mg_slice){(uint8_t *)big, len}, &a, &stop, &e), MG_ARG);
  assert_string_equal(e.text, "it answered before it had read its input");
  free(big);
  mg_child_free(c);
}

static void large_both_ways(void **state) {
  (void)state;
  size_t len = 8u << 20;
  char *big = malloc(len);
  for (size_t i = 0; i < len; i++) big[i] = (char)('a' + i % 23);
  mg_error e;
  mg_slice a;
  mg_child *kept = line_program();
  assert_int_equal(mg_child_call(kept, (mg_slice){(uint8_t *)big, len}, &a, &stop, &e), MG_OK);
  assert_int_equal(a.len, len);
  assert_memory_equal(a.data, big, len);
  mg_child_free(kept);
  mg_child *once = make((const char *const[]){"cat", NULL}, true);
  for (int i = 0; i < 2; i++) {
    big[5] = '\n';
    big[6] = '\0';
    assert_int_equal(mg_child_call(once, (mg_slice){(uint8_t *)big, len}, &a, &stop, &e), MG_OK);
    assert_int_equal(a.len, len);
    assert_memory_equal(a.data, big, len);
  }
  mg_child_free(once);
  free(big);
}

static void stderr_never_blocks(void **state) {
  (void)state;
  mg_child *c = line_program();
  expect_answer(c, "noise", "quiet");
  expect_answer(c, "noise", "quiet");
  mg_child_free(c);
}

static void once_is_a_process_a_call(void **state) {
  (void)state;
  mg_child *c = make((const char *const[]){"sort", NULL}, true);
  for (int i = 0; i < 100; i++) expect_answer(c, "b\nc\na\n", "a\nb\nc\n");
  expect_answer(c, "", "");
  mg_child_free(c);

  c = make((const char *const[]){"sh", "-c", "echo half; echo some reason >&2; exit 4", NULL}, true);
  expect_failure(c, "x", MG_LOST, "exited with status 4: some reason");
  mg_child_free(c);
  c = make((const char *const[]){"sh", "-c", "kill -ABRT $$", NULL}, true);
  expect_failure(c, "x", MG_LOST, "killed by signal 6 (SIGABRT)");
  mg_child_free(c);
  c = make((const char *const[]){"sh", "-c", "exec </dev/null; echo deaf", NULL}, true); /* never reads */
  expect_answer(c, "x", "deaf\n");
  mg_child_free(c);
  c = make((const char *const[]){"sh", "-c", "sleep 1000 & echo $!", NULL}, true); /* leaves a process that holds stdout */
  mg_error e;
  mg_slice a;
  assert_int_equal(mg_child_call(c, mg_slice_of(""), &a, &stop, &e), MG_OK);
  expect_gone((pid_t)strtol((const char *)a.data, NULL, 10));
  mg_child_free(c);
}

static void what_cannot_start_is_named(void **state) {
  (void)state;
  mg_child *c = make((const char *const[]){"/no/such/program", NULL}, false);
  expect_failure(c, "x", MG_FATAL, "cannot start /no/such/program: No such file or directory");
  expect_failure(c, "x", MG_FATAL, "cannot start /no/such/program: No such file or directory");
  mg_child_free(c);
  mg_error e;
  assert_int_equal(mg_child_new(&c, &(mg_child_config){.argv = (const char *const[]){"true", NULL}, .cwd = "/no/such/folder", .once = true}, &e), MG_OK);
  expect_failure(c, "x", MG_FATAL, "cannot start true in folder /no/such/folder: No such file or directory");
  mg_child_free(c);
  assert_int_equal(mg_child_new(&c, &(mg_child_config){.argv = (const char *const[]){NULL}}, &e), MG_ARG);
}

static void environment_folder_and_memory(void **state) {
  (void)state;
  setenv("MG_TEST_OLD", "old", 1);
  setenv("MG_TEST_KEPT", "kept", 1);
  mg_child *c = NULL;
  mg_error e;
  mg_child_config config = {.argv = (const char *const[]){"sh", "-c", "echo $MG_TEST_OLD $MG_TEST_NEW $MG_TEST_KEPT $(pwd)", NULL},
                            .env = (const char *const[]){"MG_TEST_OLD=replaced", "MG_TEST_NEW=new", NULL},
                            .cwd = "/usr",
                            .once = true};
  assert_int_equal(mg_child_new(&c, &config, &e), MG_OK);
  expect_answer(c, "", "replaced new kept /usr\n");
  mg_child_free(c);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) /* these reserve terabytes of addresses */
  config = (mg_child_config){.argv = (const char *const[]){self, "__child", "lines", NULL}, .memory_mb = 256};
  assert_int_equal(mg_child_new(&c, &config, &e), MG_OK);
  expect_answer(c, "memory", "none");
  mg_child_free(c);
#endif
  c = line_program();
  expect_answer(c, "memory", "some");
  mg_child_free(c);
}

static void inherits_nothing(void **state) {
  (void)state;
  int null = open("/dev/null", O_RDONLY | O_CLOEXEC), leak = fcntl(null, F_DUPFD, 50); /* as a script's io.open: not CLOEXEC */
  assert_true(leak >= 50);
  mg_child *c = line_program();
  expect_answer(c, "fds", "0 1 2 ");
  expect_answer(c, "signals", "clean");
  mg_child_free(c);
  close(leak);
  close(null);
}

static void stops_on_the_signal(void **state) {
  (void)state;
  mg_child *c = line_program();
  expect_answer(c, "count", "1");
  mg_ms start = mg_now_ms();
  alarm_in_ms(50);
  expect_failure(c, "hang", MG_TIMEOUT, "no answer in time");
  assert_true(mg_now_ms() - start < 20000);
  assert_int_equal(stop, 1);
  expect_failure(c, "count", MG_TIMEOUT, "no answer in time"); /* still asked to stop */
  stop = 0;
  expect_answer(c, "count", "1");
  wait(NULL);
  mg_child_free(c);

  /* One that came just before the wait is not missed: it is pending while SIGUSR1 is blocked outside. */
  c = line_program();
  sigset_t usr1;
  sigemptyset(&usr1);
  sigaddset(&usr1, SIGUSR1);
  sigprocmask(SIG_BLOCK, &usr1, NULL);
  raise(SIGUSR1);
  expect_failure(c, "hang", MG_TIMEOUT, "no answer in time");
  sigprocmask(SIG_UNBLOCK, &usr1, NULL);
  stop = 0;
  mg_child_free(c);

  c = make((const char *const[]){"sleep", "1000", NULL}, true);
  alarm_in_ms(50);
  expect_failure(c, "", MG_TIMEOUT, "no answer in time");
  stop = 0;
  wait(NULL);
  mg_child_free(c);
}

static void the_group_is_told_and_killed(void **state) {
  (void)state;
  _Atomic int32_t group = 0;
  mg_child *c = NULL;
  mg_error e;
  mg_slice a;
  assert_int_equal(mg_child_new(&c, &(mg_child_config){.argv = (const char *const[]){self, "__child", "lines", NULL}, .group = &group}, &e), MG_OK);
  assert_int_equal(mg_child_call(c, mg_slice_of("fork"), &a, &stop, &e), MG_OK);
  pid_t grandchild = (pid_t)strtol((const char *)a.data, NULL, 10), leader = atomic_load(&group);
  assert_true(leader > 1);
  assert_int_equal(getpgid(grandchild), leader);
  expect_failure(c, "exit3", MG_LOST, "exited with status 3");
  assert_int_equal(atomic_load(&group), 0);
  expect_gone(grandchild);
  mg_child_free(c);
}

static _Atomic int32_t doomed_group;
static int doomed_said;

static void tell_and_die(int number) {
  (void)number;
  int32_t pid = atomic_load(&doomed_group);
  if (write(doomed_said, &pid, sizeof pid) != sizeof pid) _exit(1);
  raise(SIGKILL);
}

static void dies_with_its_parent(void **state) {
  (void)state;
  int said[2];
  assert_int_equal(pipe2(said, O_CLOEXEC), 0);
  pid_t parent = fork();
  if (parent == 0) { /* killed in the middle of a call of a program that heeds no end of input */
    mg_child *c = NULL;
    mg_slice a;
    mg_error e;
    doomed_said = said[1];
    signal(SIGALRM, tell_and_die);
    struct itimerval soon = {.it_value = {0, 100000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    if (mg_child_new(&c, &(mg_child_config){.argv = (const char *const[]){"sleep", "1000", NULL}, .group = &doomed_group}, &e) != MG_OK) _exit(1);
    (void)mg_child_call(c, mg_slice_of("x"), &a, NULL, &e);
    _exit(1);
  }
  int32_t child = 0;
  assert_int_equal(read(said[0], &child, sizeof child), sizeof child);
  assert_int_equal(waitpid(parent, NULL, 0), parent);
  assert_true(child > 1);
  expect_gone(child);
  close(said[0]);
  close(said[1]);
}

static int open_descriptors(void) {
  DIR *d = opendir("/proc/self/fd");
  int n = 0;
  while (readdir(d) != NULL) n++;
  closedir(d);
  return n;
}

static void leaks_no_descriptor_and_no_zombie(void **state) {
  (void)state;
  int before = open_descriptors();
  for (int round = 0; round < 20; round++) {
    mg_child *c = line_program();
    expect_answer(c, "a", "a");
    expect_failure(c, "exit3", MG_LOST, "exited with status 3");
    expect_answer(c, "a", "a");
    mg_child_free(c);
    c = make((const char *const[]){"/no/such/program", NULL}, true);
    expect_failure(c, "a", MG_FATAL, "cannot start /no/such/program: No such file or directory");
    mg_child_free(c);
  }
  assert_int_equal(open_descriptors(), before);
  assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
  assert_int_equal(errno, ECHILD);
}

static void a_slot_is_shared(void **state) {
  (void)state;
  mg_slot *mine = NULL, *theirs = NULL;
  int fd = -1;
  mg_error e;
  assert_int_equal(mg_slot_create(&mine, &fd, &e), MG_OK);
  assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
  assert_int_equal(mg_slot_map(&theirs, fd, &e), MG_OK);
  atomic_store(&theirs->done, 17);
  theirs->arena[MG_SLOT_ARENA_BYTES - 1] = 3;
  assert_int_equal(atomic_load(&mine->done), 17);
  assert_int_equal(mine->arena[MG_SLOT_ARENA_BYTES - 1], 3);
  mg_slot_unmap(mine);
  mg_slot_unmap(theirs);
  close(fd);
  assert_int_equal(mg_slot_map(&theirs, fd, &e), MG_FATAL);
  int other = open("/dev/null", O_RDWR | O_CLOEXEC);
  assert_int_equal(mg_slot_map(&theirs, other, &e), MG_FATAL);
  close(other);
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "__child") == 0) return run_child(argv[2]);
  ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
  if (n <= 0) return 1;
  alarm(120);
  struct sigaction usr1 = {.sa_handler = on_usr1};
  sigaction(SIGUSR1, &usr1, NULL);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(keeps_one_process),
      cmocka_unit_test(a_failure_costs_one_case),
      cmocka_unit_test(death_between_calls_is_nobodys),
      cmocka_unit_test(late_output_is_not_the_next_answer),
      cmocka_unit_test(answers_only_after_the_question),
      cmocka_unit_test(large_both_ways),
      cmocka_unit_test(stderr_never_blocks),
      cmocka_unit_test(once_is_a_process_a_call),
      cmocka_unit_test(what_cannot_start_is_named),
      cmocka_unit_test(environment_folder_and_memory),
      cmocka_unit_test(inherits_nothing),
      cmocka_unit_test(stops_on_the_signal),
      cmocka_unit_test(the_group_is_told_and_killed),
      cmocka_unit_test(dies_with_its_parent),
      cmocka_unit_test(leaks_no_descriptor_and_no_zombie),
      cmocka_unit_test(a_slot_is_shared),
  };
  return cmocka_run_group_tests_name("impl_exec", tests, NULL, NULL);
}
