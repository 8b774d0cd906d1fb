/* report_measures.h - the report's parts on what was measured. Inside observe/ only. */
#ifndef MG_OBSERVE_REPORT_MEASURES_H
#define MG_OBSERVE_REPORT_MEASURES_H

#include "observe/report.h"
#include <jansson.h>

/* Sets metrics, groups, fairness, clusters, relative_risk and alerts; those of which there is nothing are empty or null. */
void mg_report_measures(json_t *report, const mg_report *r);

#endif
