/* case_task.h - a task of a few named cases, outside any run: for replay and check. Main thread. */
#ifndef MG_CLI_CASE_TASK_H
#define MG_CLI_CASE_TASK_H

#include "script/plan.h"
#include "wire/message.h"

/* Cases first .. first+count-1 of the plan, inputs read from its file where it has one. *t borrows payload. */
mg_err mg_case_task(mg_plan *p, mg_task_kind kind, uint64_t first, uint32_t count, mg_task *t, mg_buf *payload, mg_error *e);

#endif
