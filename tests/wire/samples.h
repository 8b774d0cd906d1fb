/* samples.h - one filled-in message of each type, for the tests of wire/. Everything is static: nothing to free. */
#ifndef MG_TESTS_WIRE_SAMPLES_H
#define MG_TESTS_WIRE_SAMPLES_H

#include "wire/message.h"

mg_task mg_sample_task(void);         /* generated cases */
mg_task mg_sample_payload_task(void); /* three cases, the second with arguments */
mg_result mg_sample_result(void);     /* every field in use; do not fini */
mg_result mg_sample_refusal(void);
mg_beat mg_sample_beat(void); /* three tasks, one running; do not fini */
mg_control mg_sample_control(void);

#endif
