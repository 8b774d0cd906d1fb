/* pilot.h - what the first cases of a plan say about how many it needs (`mguard run --plan-power`). Main thread. */
#ifndef MG_CLI_PILOT_H
#define MG_CLI_PILOT_H

#include "script/plan.h"

/* Cuts the plan down to its pilot: the first 500 cases, all of them judged at the end. MG_ARG without a baseline. */
mg_err mg_pilot_cut(mg_plan *p, uint64_t *planned, mg_error *e);
/* Prints the forecast from the pilot's pairs; planned is what the plan had said. design_effect: of the pilot's clusters; NAN or below 1 counts as 1. */
void mg_pilot_say(const mg_plan *p, uint64_t planned, const mg_pairs *pairs, double design_effect);

#endif
