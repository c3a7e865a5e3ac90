/* report_text: the status of an OS for people. */
#include <errno.h>
#include <libsmartcols.h>
#include <string.h>
#include <time.h>

#include "report.h"
#include "text.h"

/* A table with the given headings, the last column not truncated. NULL where memory is short. */
static struct libscols_table *new_table(const char *const *headings, size_t count)
{
	struct libscols_table *table = scols_new_table();

	for (size_t i = 0; table && i < count; i++)
		if (!scols_table_new_column(table, headings[i], 0, i + 1 == count ? SCOLS_FL_WRAP : 0)) {
			scols_unref_table(table);
			return NULL;
		}
	return table;
}

static int add_line(struct libscols_table *table, const char *const *cells, size_t count)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);

	if (!line)
		return -ENOMEM;
	for (size_t i = 0; i < count; i++) {
		auto_free char *safe = text_safe(cells[i] ? cells[i] : "");

		if (!safe || scols_line_set_data(line, i, safe) != 0)
			return -ENOMEM;
	}
	return 0;
}

/* Prints it, indented by an empty first column's width, with a heading line above. */
static int print_table(struct libscols_table *table, const char *title, FILE *out)
{
	int r;

	scols_table_set_stream(table, out);
	if (scols_table_get_nlines(table) == 0)
		return 0;
	fprintf(out, "\n%s\n", title);
	r = scols_print_table(table);
	return r;
}

static int print_mounts(const struct report *report, FILE *out)
{
	static const char *const headings[] = { "TARGET", "SOURCE", "TYPE", "OPTIONS" };
	struct libscols_table *table = new_table(headings, 4);
	int r = table ? 0 : -ENOMEM;

	for (size_t i = 0; i < report->table.count && r == 0; i++) {
		const struct table_mount *mount = &report->table.mount[i];

		r = add_line(table, (const char *const[]){ mount->target, mount->source, mount->type, mount->options }, 4);
	}
	if (r == 0)
		r = print_table(table, "Mounted in the OS:", out);
	scols_unref_table(table);
	return r;
}

static int print_commands(const struct report *report, FILE *out)
{
	static const char *const headings[] = { "KIND", "PID", "TIME", "OUTCOME", "COMMAND" };
	static const char *const kinds[] = { "run", "daemon", "require" };
	struct libscols_table *table = new_table(headings, 5);
	int r = table ? 0 : -ENOMEM;

	for (size_t i = 0; i < report->state.command_count && r == 0; i++) {
		const struct state_command *command = &report->state.command[i];
		char pid[16] = "", took[32] = "", end[64];

		if (command->pid)
			snprintf(pid, sizeof pid, "%d", command->pid);
		if (command->run == RUN_ENDED && command->kind != COMMAND_DAEMON)
			snprintf(took, sizeof took, "%.3f s", (double)command->took_ms / 1000);
		report_command_end(command, end);
		r = add_line(table, (const char *const[]){ kinds[command->kind], pid, took, end, command->line }, 5);
	}
	if (r == 0)
		r = print_table(table, "Boot commands:", out);
	scols_unref_table(table);
	return r;
}

static int print_procs(const struct report *report, FILE *out)
{
	static const char *const headings[] = { "PID", "NAME" };
	struct libscols_table *table = new_table(headings, 2);
	int r = table ? 0 : -ENOMEM;

	for (size_t i = 0; i < report->procs.count && r == 0; i++) {
		char pid[16];

		snprintf(pid, sizeof pid, "%d", report->procs.proc[i].pid);
		r = add_line(table, (const char *const[]){ pid, report->procs.proc[i].name }, 2);
	}
	if (r == 0)
		r = print_table(table, "Running in the OS:", out);
	scols_unref_table(table);
	return r;
}

static const char *phase_words(const struct report *report)
{
	switch (report->state.phase) {
	case PHASE_BUILDING:
	case PHASE_BOOTING:
		return "coming up";
	case PHASE_STOPPING:
		return "being stopped";
	case PHASE_STUCK:
		return "stopped, but not everything could be given back";
	default:
		return report->degraded ? "up, degraded" : "up";
	}
}

static void print_overlay(const struct report *report, FILE *out)
{
	const double mib = 1024.0 * 1024.0;

	if (!report->state.overlay)
		return;
	fputs("  overlay     a tmpfs: what is written is gone at stop", out);
	if (report->overlay_size)
		fprintf(out, "; %.1f MiB of %.1f used", (double)report->overlay_used / mib, (double)report->overlay_size / mib);
	fputc('\n', out);
}

static void print_head(const struct report *report, FILE *out)
{
	const struct state *state = &report->state;
	auto_free char *device = text_safe(state->device ? state->device : "?"), *root = text_safe(state->root ? state->root : "?");
	auto_free char *source = text_safe(state->source ? state->source : "?");
	char since[32], confirm[160] = "not confirmed";

	state_time(state->since, since);
	fprintf(out, "%s: %s since %s\n", report->name, phase_words(report), since);
	if (report->supervised)
		fprintf(out, "  supervisor  pid %d\n", state->pid);
	else
		fprintf(out, "  supervisor  gone (pid %d was killed); the OS lives on: `gcdboot` takes it over, `gcdboot stop` stops it\n", state->pid);
	fprintf(out, "  root        %s on %s\n", device ? device : "?", root ? root : "?");
	if (report->gone)
		fprintf(out,
			"  disk        GONE: it was taken away while the OS runs on it; what is not on it yet is lost. `gcdboot stop` clears away the rest\n");
	fprintf(out, "  source      %s\n", source ? source : "?");
	if (state->type)
		fprintf(out, "  type        %s\n", state->type);
	print_overlay(report, out);
	if (state->attached)
		fprintf(out, "  attached    %s of Windows%s\n", state->attached, state->detach ? ", detached at stop" : "");
	fprintf(out, "  namespace   %s\n", state->namespace_host ? "the host's" : "its own");
	fprintf(out, "  bound       %u mount%s of the host%s\n", state->bound, state->bound == 1 ? "" : "s", state->skipped.count ? ", but not:" : "");
	for (size_t i = 0; i < state->skipped.count; i++)
		fprintf(out, "              %s\n", state->skipped.str[i]);
	if (state_awaits_confirm(state))
		state_confirm_text(state, report->name, confirm);
	if (state->confirm_ms)
		fprintf(out, "  confirm     %s\n", state->confirmed ? "confirmed" : confirm);
	for (size_t i = 0; i < state->swaps.count; i++)
		fprintf(out, "  swap        %s\n", report_swap(report, i));
}

int report_print_text(const struct report *report, FILE *out, struct err *err)
{
	int r;

	if (!report->running) {
		fprintf(out, "%s: not running\n", report->name);
		return 0;
	}
	if (!report->state.root) {
		fprintf(out, "%s: coming up\n", report->name);
		return 0;
	}
	print_head(report, out);
	r = print_commands(report, out);
	if (r == 0)
		r = print_procs(report, out);
	if (r == 0)
		r = print_mounts(report, out);
	return r < 0 ? err_set(err, ENOMEM, "cannot print the status") : 0;
}
