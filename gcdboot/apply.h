/* apply: carries out the binds of a plan below a root descriptor, without ever waiting long for a source that hangs. */
#ifndef GCDBOOT_APPLY_H
#define GCDBOOT_APPLY_H

#include "err.h"
#include "plan.h"
#include "util.h"

struct apply_result {
	unsigned bound;
	struct strlist skipped; /* "TARGET: why"; the caller frees */
};

/*
 * Binds every STEP_BIND of the plan at its target below root_fd. Sources that do not answer cost timeout_ms together; then they, and what lies below
 * them, are skipped. A bind that fails is skipped with its reason, but for a STEP_REQUIRED one and for the kernel's own limit on mounts: those are
 * errors. Nothing is undone here: the caller's mount namespace or journal does that. After a time-out threads may still hang in the kernel: the
 * caller is to leave with _exit(2).
 */
int apply_binds(const struct plan *plan, int root_fd, int timeout_ms, struct apply_result *result, struct err *err);

#endif
