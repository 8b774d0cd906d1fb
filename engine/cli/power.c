/* power.c - `mguard power`: how many cases a comparison needs, and how likely an answer is at a given number. */
#include "cli/args.h"
#include "cli/cli.h"
#include "judge/stats/power.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const mg_flag flags[] = {{"baseline", "RATE", "the baseline's pass rate (0.9)", NULL},
                                {"delta", "D", "expected pass rate of the candidate less the baseline's (0)", NULL},
                                {"discordant", "SHARE", "cases that only one of the two passes (default: as if they failed independently)", NULL},
                                {"goal", "NAME", "superiority, noninferiority or equivalence (noninferiority with --margin, else superiority)", NULL},
                                {"margin", "M", "difference of pass rates that the goal allows (superiority: asks for)", NULL},
                                {"alpha", "A", "two-sided error, each side errs with half of it (0.05)", NULL},
                                {"target", "POWER", "wanted chance of an adopt (0.8)", NULL},
                                {"cases", "N", "also the power at this number of cases", NULL},
                                {NULL, NULL, NULL, NULL}};

static const mg_command command = {"power",
                                   "",
                                   "How many cases a paired comparison needs, with the exact chance that the verdict is adopt.",
                                   "Examples:\n"
                                   "  mguard power --baseline .9 --delta .02 --discordant .05       is it better?\n"
                                   "  mguard power --discordant .04 --margin .02                    is it no worse than .02?",
                                   flags,
                                   0,
                                   0};

typedef struct question {
  const char *goal;
  double baseline, delta, discordant, margin, alpha, target, cases;
  double p_b, p_c, low, high;
} question;

static bool numbers(const mg_args *a, question *q) {
  return mg_args_number(a, &command, "baseline", 0, 1, .9, &q->baseline) && mg_args_number(a, &command, "delta", -1, 1, 0, &q->delta) &&
         mg_args_number(a, &command, "discordant", 0, 1, NAN, &q->discordant) && mg_args_number(a, &command, "margin", 0, 1, NAN, &q->margin) &&
         mg_args_number(a, &command, "alpha", 1e-9, .5, .05, &q->alpha) && mg_args_number(a, &command, "target", .01, .9999, .8, &q->target) &&
         mg_args_number(a, &command, "cases", 1, 1e9, NAN, &q->cases);
}

/* The rates and shares belong together; each contradiction is named with what would be possible. */
static int shares(question *q) {
  double candidate = q->baseline + q->delta;
  if (candidate < 0 || candidate > 1)
    return mg_complain("power", MG_EXIT_USAGE, "--baseline %g with --delta %g: the candidate's pass rate would be %g", q->baseline, q->delta, candidate);
  double independent = q->baseline * (1 - candidate) + candidate * (1 - q->baseline);
  if (isnan(q->discordant)) q->discordant = independent;
  double most = fmin(q->baseline, 1 - candidate) + fmin(candidate, 1 - q->baseline);
  if (q->discordant < fabs(q->delta) - 1e-12 || q->discordant > most + 1e-12)
    return mg_complain("power", MG_EXIT_USAGE, "--discordant %g is impossible with --baseline %g and --delta %g: it lies between %g and %g", q->discordant,
                       q->baseline, q->delta, fabs(q->delta), most);
  q->p_b = fmax(0, (q->discordant - q->delta) / 2);
  q->p_c = fmax(0, (q->discordant + q->delta) / 2);
  return 0;
}

static int goal(const mg_args *a, question *q) {
  const char *name = mg_args_get(a, &command, "goal");
  if (!name) name = isnan(q->margin) ? "superiority" : "noninferiority";
  q->goal = name;
  if (strcmp(name, "superiority") == 0) {
    q->margin = isnan(q->margin) ? 0 : q->margin;
    q->low = q->margin;
    q->high = INFINITY;
  } else if (strcmp(name, "noninferiority") == 0 || strcmp(name, "equivalence") == 0) {
    if (!(q->margin > 0)) return mg_complain("power", MG_EXIT_USAGE, "--goal %s needs a --margin above 0: the difference that would not matter", name);
    q->low = -q->margin;
    q->high = name[0] == 'e' ? q->margin : INFINITY;
  } else {
    return mg_complain("power", MG_EXIT_USAGE, "--goal must be superiority, noninferiority or equivalence, got %s", name);
  }
  if (q->delta <= q->low || q->delta >= q->high)
    return mg_complain("power", MG_EXIT_USAGE,
                       "no number of cases shows %s with margin %g where the true difference is %g: expect more of the "
                       "candidate (--delta) or ask for less (--margin)",
                       name, q->margin, q->delta);
  return 0;
}

static double power_at(const question *q, uint64_t n) { return mg_power_tango(n, q->p_b, q->p_c, q->low, q->high, q->alpha); }

static void row(const question *q, uint64_t n, const char *note) { (void)printf("  %10llu   %.4f%s\n", (unsigned long long)n, power_at(q, n), note); }

static void print_comparisons(const question *q) {
  if (strcmp(q->goal, "superiority") == 0 && q->margin == 0) {
    double formula = mg_n_mcnemar(q->p_b, q->p_c, q->alpha, q->target);
    uint64_t n = (uint64_t)ceil(formula);
    (void)printf("  by formula (McNemar)       %llu; exact power of the mid-p test there %.4f\n", (unsigned long long)n,
                 mg_power_mcnemar(n, q->p_b, q->p_c, q->alpha, true));
  } else if (isinf(q->high) && q->low < 0 && q->discordant > 0) {
    double formula = mg_n_noninferiority(q->delta, q->discordant, q->margin, q->alpha, q->target);
    uint64_t n = (uint64_t)ceil(formula);
    (void)printf("  by formula (Wald)          %llu; exact power there %.4f, which is why it is not the answer\n", (unsigned long long)n, power_at(q, n));
  }
  if (q->low < 0) (void)printf("  if no case differs         %llu\n", (unsigned long long)mg_n_clean(q->margin, q->alpha));
  if (q->delta != 0)
    (void)printf("  on separate cases          %.0f for each implementation, to see a difference of %g at all\n",
                 ceil(mg_n_unpaired(q->baseline, q->baseline + q->delta, q->alpha, q->target)), q->delta);
}

int mg_cli_power(int argc, char **argv) {
  mg_args a;
  question q;
  int code = mg_args_parse(&a, &command, argc, argv);
  if (code >= 0) return code;
  if (!numbers(&a, &q)) return MG_EXIT_USAGE;
  if ((code = shares(&q)) || (code = goal(&a, &q))) return code;
  uint64_t n = mg_n_tango(q.p_b, q.p_c, q.low, q.high, q.alpha, q.target);
  if (n == 0)
    return mg_complain("power", MG_EXIT_USAGE,
                       "more than 1,000,000,000 cases would be needed; choose a wider --margin or a "
                       "larger --delta");
  (void)printf("%s", q.goal);
  if (q.margin > 0) (void)printf(" with margin %g", q.margin);
  (void)printf(": pass rates %g and %g, %g of the cases passed by one of the two only\n(baseline only %g, candidate only %g); "
               "alpha %g two-sided, wanted power %g\n\n",
               q.baseline, q.baseline + q.delta, q.discordant, q.p_b, q.p_c, q.alpha, q.target);
  (void)printf("cases needed: %llu, exact power %.4f\n", (unsigned long long)n, power_at(&q, n));
  print_comparisons(&q);
  (void)printf("\n       cases   chance of adopt\n");
  static const double factors[] = {.25, .5, .75, 1, 1.5, 2};
  uint64_t asked = isnan(q.cases) ? 0 : (uint64_t)q.cases, before = 0;
  for (size_t i = 0; i < sizeof factors / sizeof *factors; i++) {
    uint64_t at = (uint64_t)ceil((double)n * factors[i]);
    if (asked > before && asked < at) row(&q, asked, "  <- --cases");
    row(&q, at, at == asked ? "  <- --cases" : at == n ? "  <- needed" : "");
    before = at;
  }
  if (asked > before) row(&q, asked, "  <- --cases");
  return 0;
}
