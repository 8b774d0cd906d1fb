/* fake_executor.h - an executor of the tests that speaks the slot's protocol and misbehaves on order. A test program whose main gets "__executor" as its first
 * argument becomes one.
 *
 * Every case passes, but: the baseline fails clause 1 where case % 10 == 3, the candidate fails clause 2 where case % 7 == 0; cases with case % 2 == 0 are
 * labelled "even". The candidate's name is the order list: "ACTION@CASE:PHASE,...", PHASE g, b or c:
 *   segv, exit (status 7), kill (by itself, SIGKILL), hang (heeds no signal), loop (ends with a timeout when told), slow (20 ms), long (1 s), once (hangs the first time
 *   the case is run), full (stops short before the case), fault (of the checks), orphan (leaves a process that holds the socket, then SEGV), silent (closes
 *   the socket and stays), load (SEGV in phase LOAD before the case, for ever), junk (breaks the arena)
 * "refuse" refuses the whole RUN. The script's name is the order of the start: "fault", "segv", "hang", "slow" (100 ms), "twice" (another fingerprint each time),
 * "fragile" (every start but the first dies), "/..." any path: fine.
 * FAKE_LOG names a file to which "CASE ROLE PID\n" is appended before each role, and "teardown PID\n" at the end; beside it stand its marks. */
#ifndef MG_TESTS_FAKE_EXECUTOR_H
#define MG_TESTS_FAKE_EXECUTOR_H

int fake_executor(int socket_fd, int slot_fd);

#endif
