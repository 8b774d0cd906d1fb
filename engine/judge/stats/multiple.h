/* multiple.h - p values corrected for asking several questions at once ("which relations regressed").
 *
 * Holm holds the chance of any false claim in all cases, Hochberg where the tests are independent or positively
 * dependent; BH and BY hold the share of false claims (BY under any dependence). Sources: Holm (1979), Hochberg (1988),
 * Benjamini & Hochberg (1995), Benjamini & Yekutieli (2001). Any thread; allocates 8 bytes a p value. */
#ifndef MG_JUDGE_STATS_MULTIPLE_H
#define MG_JUDGE_STATS_MULTIPLE_H

#include "base/err.h"

#include <stddef.h>

typedef enum mg_correction { MG_HOLM, MG_HOCHBERG, MG_BH, MG_BY } mg_correction;

/* adjusted[i] is small enough to claim i where it is <= alpha. p and adjusted may be the same array; count 0 is fine.
 * MG_ARG where a p is not in [0, 1]. */
mg_err mg_adjust(mg_correction how, const double *p, double *adjusted, size_t count, mg_error *e);

#endif
