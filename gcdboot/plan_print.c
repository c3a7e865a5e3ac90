/* plan_print: the plan for people; plan_sh.c and plan_json.c have the other two formats. */
#include "plan_print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "util.h"

/* How wide a column may grow before its long entries just stick out. */
#define COLUMN_MAX 40

struct column {
	const char *bytes;
	size_t width; /* 0: nothing comes behind it */
};

static int print_column(FILE *out, struct column column)
{
	auto_free char *safe = text_safe(column.bytes);
	size_t columns;

	if (!safe)
		return -ENOMEM;
	columns = text_columns(safe);
	fputs(safe, out);
	if (column.width)
		fprintf(out, "%*s", (int)(columns < column.width ? column.width - columns + 2 : 2), "");
	return 0;
}

static int widen(size_t *width, const char *bytes)
{
	auto_free char *safe = text_safe(bytes);
	size_t columns = safe ? text_columns(safe) : 0;

	if (columns > *width && columns <= COLUMN_MAX)
		*width = columns;
	return safe ? 0 : -ENOMEM;
}

static void print_seconds(FILE *out, int ms)
{
	if (ms % 1000)
		fprintf(out, "%d.%03d s", ms / 1000, ms % 1000);
	else
		fprintf(out, "%d s", ms / 1000);
}

static int print_find(FILE *out, const struct step *step)
{
	int ret;

	fputs("find      ", out);
	ret = print_column(out, (struct column){ step->source, 0 });
	if (step->options)
		fprintf(out, ", %s", step->options);
	if (step->timeout_ms > 0) {
		fputs(", waiting for it at most ", out);
		print_seconds(out, step->timeout_ms);
	}
	return ret;
}

static int print_attach(FILE *out, const struct step *step)
{
	int ret;

	fputs("attach    ", out);
	ret = print_column(out, (struct column){ step->source, 0 });
	fputs(" from Windows, where ", out);
	if (ret == 0)
		ret = print_column(out, (struct column){ step->options, 0 });
	fputs(" is not there yet", out);
	return ret;
}

static int print_mount(FILE *out, const struct step *step)
{
	int ret;

	fputs("mount     ", out);
	ret = print_column(out, (struct column){ step->source, 0 });
	fputs(" on ", out);
	if (ret == 0)
		ret = print_column(out, (struct column){ step->target, 0 });
	if (ret == 0 && step->type) {
		fputs(" as ", out);
		ret = print_column(out, (struct column){ step->type, 0 });
	}
	if (ret == 0 && step->options) {
		fputs(" with ", out);
		ret = print_column(out, (struct column){ step->options, 0 });
	}
	if (step->flags & STEP_READONLY)
		fputs(", read-only", out);
	return ret;
}

static int print_overlay(FILE *out, const struct step *step)
{
	int ret;

	fputs("overlay   put a tmpfs over ", out);
	ret = print_column(out, (struct column){ step->target, 0 });
	fputs(": what the OS writes goes there, and is gone when it is stopped", out);
	return ret;
}

static int print_bind(FILE *out, const struct step *step, size_t width)
{
	bool renamed = strcmp(step->source, step->target) != 0;
	int ret;

	fputs("bind      ", out);
	ret = print_column(out, (struct column){ step->target, width });
	if (ret == 0 && step->type)
		ret = print_column(out, (struct column){ step->type, 0 });
	else if (!step->type)
		fputs("from the host", out);
	if (ret == 0 && renamed) {
		fputs(step->type ? ", from the host's " : "'s ", out);
		ret = print_column(out, (struct column){ step->source, 0 });
	}
	if (step->flags & STEP_READONLY)
		fputs(", read-only", out);
	if (step->flags & STEP_REQUIRED)
		fputs(", required", out);
	if (step->flags & STEP_OPTIONAL)
		fputs(", if both exist", out);
	if (step->flags & STEP_AUTOFS)
		fputs(", without triggering the automount", out);
	if (step->flags & STEP_DELETED)
		fputs(", unlinked on the host: newer kernels refuse to bind it", out);
	return ret;
}

static int print_command(FILE *out, const struct step *step, const char *verb)
{
	int ret;

	fputs(verb, out);
	ret = print_column(out, (struct column){ step->source, 0 });
	if (step->kind == STEP_REQUIRE)
		fputs(", whose failure stops the boot", out);
	if (step->kind == STEP_DAEMON)
		fputs(", in the background", out);
	if (step->timeout_ms > 0) {
		fputs(", for at most ", out);
		print_seconds(out, step->timeout_ms);
	}
	if (ret == 0 && step->only_if) {
		fputs(", only where the root has ", out);
		ret = print_column(out, (struct column){ step->only_if, 0 });
	}
	return ret;
}

static void print_confirm(FILE *out, const struct step *step)
{
	char within[48];

	util_span(step->timeout_ms, within);
	fprintf(out, "confirm   wait for `gcdboot confirm`: without it the OS is stopped %s after the beginning", within);
}

static int print_step(FILE *out, const struct step *step, size_t width)
{
	switch (step->kind) {
	case STEP_ATTACH:
		return print_attach(out, step);
	case STEP_FIND:
		return print_find(out, step);
	case STEP_FSCK:
		fprintf(out, "fsck      check the filesystem, and stop where it %s", step->flags & STEP_READONLY ? "has errors" : "cannot be mended");
		return 0;
	case STEP_UNSHARE:
		fputs("namespace make a mount namespace: the host's own mounts stay as they are", out);
		return 0;
	case STEP_MOUNT:
		return print_mount(out, step);
	case STEP_OVERLAY:
		return print_overlay(out, step);
	case STEP_BIND:
		return print_bind(out, step, width);
	case STEP_RUN:
		return print_command(out, step, "run       ");
	case STEP_REQUIRE:
		return print_command(out, step, "require   ");
	case STEP_DAEMON:
		return print_command(out, step, "daemon    ");
	case STEP_CONFIRM:
		print_confirm(out, step);
		return 0;
	}
	return 0;
}

static int print_steps(const struct plan *plan, FILE *out)
{
	size_t width = 0;
	int ret = 0, digits = snprintf(NULL, 0, "%zu", plan->count);

	for (size_t i = 0; ret == 0 && i < plan->count; i++)
		if (plan->step[i].kind == STEP_BIND)
			ret = widen(&width, plan->step[i].target);
	for (size_t i = 0; ret == 0 && i < plan->count; i++) {
		fprintf(out, "%*zu  ", digits, i + 1);
		ret = print_step(out, &plan->step[i], width);
		putc('\n', out);
	}
	return ret;
}

static int print_left_out(const struct plan *plan, FILE *out)
{
	size_t width = 0;
	int ret = 0;

	for (size_t i = 0; ret == 0 && i < plan->left_out_count; i++)
		ret = widen(&width, plan->left_out[i].target);
	for (size_t i = 0; ret == 0 && i < plan->left_out_count; i++) {
		fputs("left out  ", out);
		ret = print_column(out, (struct column){ plan->left_out[i].target, width });
		if (ret == 0)
			ret = print_column(out, (struct column){ plan->left_out[i].reason, 0 });
		putc('\n', out);
	}
	return ret;
}

int plan_print_text(const struct plan *plan, FILE *out)
{
	int ret = print_steps(plan, out);

	return ret < 0 ? ret : print_left_out(plan, out);
}

int plan_print(const struct plan *plan, enum plan_format format, FILE *out, struct err *err)
{
	int ret = 0;

	switch (format) {
	case PLAN_TEXT:
		ret = plan_print_text(plan, out);
		break;
	case PLAN_SH:
		ret = plan_print_sh(plan, out);
		break;
	case PLAN_JSON:
		ret = plan_print_json(plan, out);
		break;
	}
	if (ret < 0)
		return err_set(err, -ret, "cannot print the plan");
	if (fflush(out) != 0 || ferror(out))
		return err_set(err, errno ? errno : EIO, "cannot write the plan");
	return 0;
}
