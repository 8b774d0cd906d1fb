/* executor.h - the child process that runs cases: `mguard __executor SOCKET SLOT`. Single thread, blocking. Protocol in slot.h. */
#ifndef MG_EXECUTE_EXECUTOR_H
#define MG_EXECUTE_EXECUTOR_H

/* Serves until the socket closes; returns the process's exit code. */
int mg_executor_main(int socket_fd, int slot_fd);

#endif
