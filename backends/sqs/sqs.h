/* sqs.h - queue on Amazon SQS (or what speaks its JSON protocol), over libcurl.
 *
 * Queues, Q being the name at the end of queue_url (without .fifo): the queue itself, tasks · Q-dead dead letters · Q-results-RUN results and
 * beats of a run · Q-board announcements of runs and control messages, read by everybody and taken by nobody. They are made where they are
 * missing and may be made. Tasks may be on a FIFO queue; the others are standard ones but for the dead letters, which are like the tasks.
 *
 * A lease is a receipt handle with a visibility timeout of whole seconds. There is no connection to lose: calls that fail for now are made again
 * inside, and MG_CONN says that nothing has answered for some seconds. Receipts stay good meanwhile. */
#ifndef MG_SQS_H
#define MG_SQS_H

#include "dispatch/backend.h"

extern const mg_backend_ops mg_sqs_backend;

#endif
