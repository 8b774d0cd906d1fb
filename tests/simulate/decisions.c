/* decisions.c - what the stopping rules decide, looking at every prefix they allow; and the printed table. */
#include "tests/simulate/simulate.h"

#include "judge/stats/power.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

simulate_decisions simulate_stop(uint32_t cell, uint64_t replicates, const mg_stop_plan *plan, double p_b, double p_c) {
  simulate_decisions d = {0, 0, 0};
  mg_stop stop;
  mg_error e;
  if (mg_stop_init(&stop, plan, &e)) {
    fprintf(stderr, "%s\n", e.text);
    abort();
  }
  for (uint64_t r = 0; r < replicates; r++) {
    mg_philox random;
    mg_philox_init(&random, SIMULATE_SEED, cell, r);
    mg_pairs p = {0, 0, 0, 0};
    uint64_t at = 0, next;
    while ((next = mg_stop_next(&stop, at))) {
      mg_pairs more = simulate_pairs(&random, next - at, p_b, p_c, .9);
      p = (mg_pairs){p.both + more.both, p.base_only + more.base_only, p.cand_only + more.cand_only, p.neither + more.neither};
      at = next;
      mg_stop_word word = mg_stop_look(&stop, at, &p).word;
      if (word == MG_GO_ON) continue;
      d.adopted += word == MG_STOP_ADOPT;
      d.rejected += word == MG_STOP_REJECT;
      break;
    }
    d.cases += (double)at;
  }
  double n = (double)replicates;
  return (simulate_decisions){d.adopted / n, d.rejected / n, d.cases / n};
}

void simulate_row(FILE *out, const char *cell, const simulate_coverage *c, int count) {
  fprintf(out, "| %s |", cell);
  for (int k = 0; k < count; k++) fprintf(out, " %.3f |", c[k].coverage);
  fprintf(out, "\n| mean width |");
  for (int k = 0; k < count; k++) {
    if (isnan(c[k].width))
      fprintf(out, " - |");
    else
      fprintf(out, " %.4f |", c[k].width);
  }
  fprintf(out, "\n");
}

void simulate_head(FILE *out, const char *first, const simulate_coverage *c, int count) {
  fprintf(out, "\n| %s |", first);
  for (int k = 0; k < count; k++) fprintf(out, " %s |", c[k].method);
  fprintf(out, "\n|---|");
  for (int k = 0; k < count; k++) fprintf(out, "---|");
  fprintf(out, "\n");
}

static void paired_table(FILE *out, uint64_t replicates) {
  static const double shares[][2] = {{.005, .005}, {.02, .02}, {.05, .02}, {.1, .1}, {.1, .2}};
  static const uint64_t sizes[] = {50, 200, 1000};
  uint32_t cell = 100;
  simulate_coverage c[SIMULATE_PAIRED];
  for (size_t i = 0; i < 5; i++)
    for (size_t k = 0; k < 3; k++, cell++) {
      char name[80];
      simulate_paired(cell, replicates, sizes[k], shares[i][0], shares[i][1], .9 - shares[i][1], c);
      if (cell == 100) simulate_head(out, "paired: p_b, p_c, n (stream)", c, SIMULATE_PAIRED);
      snprintf(name, sizeof name, "%g, %g, %llu (%u)", shares[i][0], shares[i][1], (unsigned long long)sizes[k], cell);
      simulate_row(out, name, c, SIMULATE_PAIRED);
    }
}

static void unpaired_table(FILE *out, uint64_t replicates) {
  static const double rates[][2] = {{.5, .5}, {.9, .92}, {.99, .98}, {.3, .1}};
  static const uint64_t sizes[] = {20, 100, 400};
  uint32_t cell = 200;
  simulate_coverage c[SIMULATE_UNPAIRED];
  for (size_t i = 0; i < 4; i++)
    for (size_t k = 0; k < 3; k++, cell++) {
      char name[80];
      simulate_unpaired(cell, replicates, sizes[k], rates[i][0], rates[i][1], c);
      if (cell == 200) simulate_head(out, "unpaired: rate 1, rate 2, n each (stream)", c, SIMULATE_UNPAIRED);
      snprintf(name, sizeof name, "%g, %g, %llu (%u)", rates[i][0], rates[i][1], (unsigned long long)sizes[k], cell);
      simulate_row(out, name, c, SIMULATE_UNPAIRED);
    }
}

static void clustered_table(FILE *out, uint64_t replicates) {
  static const double shares[][2] = {{.1, .1}, {.02, .005}, {.02, 0}};
  static const uint64_t sizes[] = {10, 20, 50, 200};
  simulate_coverage c[SIMULATE_CLUSTERED];
  uint32_t cell = 300;
  for (size_t i = 0; i < 3; i++)
    for (size_t k = 0; k < 4; k++, cell++) {
      char name[80];
      simulate_clustered(cell, replicates, sizes[k], shares[i][0], shares[i][1], c);
      if (cell == 300) simulate_head(out, "clusters of ten: p_b, p_c, clusters (stream)", c, SIMULATE_CLUSTERED);
      snprintf(name, sizeof name, "%g, %g, %llu (%u)", shares[i][0], shares[i][1], (unsigned long long)sizes[k], cell);
      simulate_row(out, name, c, SIMULATE_CLUSTERED);
    }
}

typedef struct question {
  const char *name;
  double low, high, p_b, p_c;
} question;

static void decision_table(FILE *out, uint64_t replicates) {
  static const question questions[] = {
      {"noninferiority(.02), delta = -.02", -.02, INFINITY, .04, .02},
      {"noninferiority(.02), delta = -.02, noisy", -.02, INFINITY, .11, .09},
      {"superiority(0), delta = 0", 0, INFINITY, .03, .03},
      {"equivalence(.02), delta = .02", -.02, .02, .02, .04},
      {"noninferiority(.02), delta = 0", -.02, INFINITY, .02, .02},
      {"superiority(0), delta = .03", 0, INFINITY, .02, .05},
      {"noninferiority(.02), delta = -.05", -.02, INFINITY, .07, .02},
  };
  static const struct {
    const char *name;
    mg_stop_kind kind;
    mg_spending spending;
  } rules[] = {
      {"fixed", MG_STOP_FIXED, MG_SPEND_OBF},
      {"group of 5, O'Brien-Fleming", MG_STOP_GROUP, MG_SPEND_OBF},
      {"group of 5, Pocock", MG_STOP_GROUP, MG_SPEND_POCOCK},
      {"any-time", MG_STOP_ANYTIME, MG_SPEND_OBF},
  };
  uint32_t cell = 400;
  fprintf(out, "\n| question, 1000 cases | rule (stream) | adopted | rejected | mean cases | adopted, exact |\n"
               "|---|---|---|---|---|---|\n");
  for (size_t q = 0; q < sizeof questions / sizeof *questions; q++)
    for (size_t r = 0; r < 4; r++, cell++) {
      const question *w = &questions[q];
      mg_stop_plan plan = {.kind = rules[r].kind, .max = 1000, .alpha = .05, .low = w->low, .high = w->high, .looks = 5, .spending = rules[r].spending};
      simulate_decisions d = simulate_stop(cell, replicates, &plan, w->p_b, w->p_c);
      fprintf(out, "| %s | %s (%u) | %.4f | %.4f | %.0f | ", w->name, rules[r].name, cell, d.adopted, d.rejected, d.cases);
      if (r == 0)
        fprintf(out, "%.4f |\n", mg_power_tango(1000, w->p_b, w->p_c, w->low, w->high, .05));
      else
        fprintf(out, "|\n");
    }
  static const double thetas[] = {.5, .75};
  for (int k = 0; k < 2; k++, cell++) {
    mg_stop_plan plan = {.kind = MG_STOP_SPRT, .max = 100000, .alpha = .05, .beta = .2, .low = 0, .high = INFINITY, .theta0 = .5, .theta1 = .75};
    simulate_decisions d = simulate_stop(cell, replicates, &plan, .06 * (1 - thetas[k]), .06 * thetas[k]);
    fprintf(out, "| theta = %g, .06 discordant | sprt .5 against .75 (%u) | %.4f | %.4f | %.0f | |\n", thetas[k], cell, d.adopted, d.rejected, d.cases);
  }
}

bool simulate_table(FILE *out, uint64_t replicates, const char *part) {
  static const struct {
    const char *name;
    void (*print)(FILE *out, uint64_t replicates);
    uint64_t divided; /* costly rows get fewer replicates */
  } parts[] = {{"paired", paired_table, 1},
               {"unpaired", unpaired_table, 1},
               {"clusters", clustered_table, 10},
               {"decisions", decision_table, 1},
               {"measures", simulate_measures_tables, 1}};
  bool found = false;
  if (strcmp(part, "seed") == 0) {
    fprintf(out,
            "Seed %u, %llu replicates a row (clusters: a tenth, metrics: a twentieth, endpoints: a quarter); a share of .95 has a standard error of %.4f.\n",
            SIMULATE_SEED, (unsigned long long)replicates, sqrt(.95 * .05 / (double)replicates));
    return true;
  }
  for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
    if (strcmp(part, parts[i].name) != 0) continue;
    parts[i].print(out, replicates / parts[i].divided);
    found = true;
  }
  return found;
}
