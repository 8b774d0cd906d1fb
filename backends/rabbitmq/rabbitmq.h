/* rabbitmq.h - queue on a RabbitMQ server (3.8 or later), over AMQP 0-9-1 by rabbitmq-c's codec.
 *
 * Names on the broker, Q being queue_name: Q tasks · Q.dead dead letters · Q.results.RUN results of a run, expires · Q.retry.MS tasks that wait,
 * expires · Q.beats and Q.controls fanout exchanges, each backend with an exclusive queue of its own behind one. Quorum queues, or
 * classic ones in memory where durable = false.
 *
 * Two connections: one receives and settles, the other publishes, so that an alarm of the broker, which stops publishers, stops neither
 * settling nor reading. Tasks are held as long as the connection holds them: there is no lease to extend and no reclaim; what a connection held that
 * went comes again by the broker. A receipt is void once its connection or channel was replaced. The backend reconnects by itself at the next call. */
#ifndef MG_RABBITMQ_H
#define MG_RABBITMQ_H

#include "dispatch/backend.h"

extern const mg_backend_ops mg_rabbitmq_backend;

#endif
