/* plan_print: what the three printers of a plan share. */
#ifndef GCDBOOT_PLAN_PRINT_H
#define GCDBOOT_PLAN_PRINT_H

#include "plan.h"

/* Each prints to `out` and returns 0 or -ENOMEM; whether it could be written is seen by the caller, once, at the end. */
int plan_print_text(const struct plan *plan, FILE *out);
int plan_print_sh(const struct plan *plan, FILE *out);
int plan_print_json(const struct plan *plan, FILE *out);

#endif
