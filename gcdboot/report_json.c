/* report_json: the status of an OS for programs. */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "report.h"
#include "text.h"

/* A string of unknown bytes; null where there is none. jansson refuses what is not UTF-8. */
static json_t *json_text(const char *bytes)
{
	auto_free char *utf8 = bytes ? text_utf8(bytes) : NULL;

	return utf8 ? json_string(utf8) : json_null();
}

static json_t *json_strings(const struct strlist *list)
{
	json_t *array = json_array();

	for (size_t i = 0; i < list->count; i++)
		json_array_append_new(array, json_text(list->str[i]));
	return array;
}

static json_t *json_swaps(const struct report *report)
{
	json_t *array = json_array();

	for (size_t i = 0; i < report->state.swaps.count; i++)
		json_array_append_new(array, json_text(report_swap(report, i)));
	return array;
}

/* null where the root is none. Its sizes are 0 where they could not be asked for. */
static json_t *json_overlay(const struct report *report)
{
	if (!report->state.overlay)
		return json_null();
	return json_pack("{s:s, s:I, s:I}", "type", "tmpfs", "size", (json_int_t)report->overlay_size, "used", (json_int_t)report->overlay_used);
}

static json_t *json_command(const struct state_command *command)
{
	static const char *const kinds[] = { "run", "daemon", "require" };
	static const char *const runs[] = { "pending", "running", "ended", "left-out" };
	char end[64];
	json_t *object = json_pack("{s:s, s:o, s:s}", "kind", kinds[command->kind], "command", json_text(command->line), "state", runs[command->run]);

	report_command_end(command, end);
	json_object_set_new(object, "outcome", json_string(end));
	if (command->pid)
		json_object_set_new(object, "pid", json_integer(command->pid));
	if (command->run == RUN_ENDED) {
		if (command->kind != COMMAND_DAEMON)
			json_object_set_new(object, "took-ms", json_integer(command->took_ms));
		if (command->status != -1 && WIFEXITED(command->status))
			json_object_set_new(object, "exit-status", json_integer(WEXITSTATUS(command->status)));
		if (command->status != -1 && WIFSIGNALED(command->status))
			json_object_set_new(object, "signal", json_integer(WTERMSIG(command->status)));
		json_object_set_new(object, "failed", json_boolean(command->kind == COMMAND_DAEMON || command->status != 0 || command->timed_out));
	}
	return object;
}

static json_t *json_commands(const struct report *report)
{
	json_t *array = json_array();

	for (size_t i = 0; i < report->state.command_count; i++)
		json_array_append_new(array, json_command(&report->state.command[i]));
	return array;
}

static json_t *json_processes(const struct report *report)
{
	json_t *array = json_array();

	for (size_t i = 0; i < report->procs.count; i++)
		json_array_append_new(array, json_pack("{s:i, s:o}", "pid", report->procs.proc[i].pid, "name", json_text(report->procs.proc[i].name)));
	return array;
}

static json_t *json_mounts(const struct report *report)
{
	json_t *array = json_array();

	for (size_t i = 0; i < report->table.count; i++) {
		const struct table_mount *mount = &report->table.mount[i];

		json_array_append_new(array, json_pack("{s:o, s:o, s:o, s:o}", "target", json_text(mount->target), "source", json_text(mount->source), "type",
						       json_text(mount->type), "options", json_text(mount->options)));
	}
	return array;
}

static const char *phase_name(const struct state *state)
{
	static const char *const names[] = { "building", "building", "booting", "up", "stopping", "stuck" };

	return names[state->phase];
}

static void add_running(json_t *object, const struct report *report)
{
	const struct state *state = &report->state;
	char since[32];

	strftime(since, sizeof since, "%Y-%m-%dT%H:%M:%S%z", localtime(&state->since));
	json_object_set_new(object, "phase", json_string(phase_name(state)));
	json_object_set_new(object, "degraded", json_boolean(report->degraded));
	json_object_set_new(object, "since", json_string(since));
	json_object_set_new(object, "supervisor", json_pack("{s:i, s:b}", "pid", state->pid, "alive", report->supervised));
	json_object_set_new(object, "config", json_text(state->conf_file));
	json_object_set_new(object, "source", json_text(state->source));
	json_object_set_new(object, "device", json_text(state->device));
	json_object_set_new(object, "device-present", json_boolean(!report->gone));
	json_object_set_new(object, "type", json_text(state->type));
	json_object_set_new(object, "overlay", json_overlay(report));
	json_object_set_new(object, "attached", json_text(state->attached));
	json_object_set_new(object, "detach", json_text(state->detach));
	json_object_set_new(object, "root", json_text(state->root));
	json_object_set_new(object, "namespace", json_string(state->namespace_host ? "host" : "private"));
	json_object_set_new(object, "bound", json_integer(state->bound));
	json_object_set_new(object, "confirmed", json_boolean(state->confirmed || !state->confirm_ms));
	if (state_awaits_confirm(state))
		json_object_set_new(object, "confirm-left-ms", json_integer(state_confirm_left(state)));
	json_object_set_new(object, "skipped", json_strings(&state->skipped));
	json_object_set_new(object, "swap", json_swaps(report));
	json_object_set_new(object, "commands", json_commands(report));
	json_object_set_new(object, "processes", json_processes(report));
	json_object_set_new(object, "mounts", json_mounts(report));
}

int report_print_json(const struct report *report, FILE *out, struct err *err)
{
	json_t *object = json_pack("{s:o, s:b}", "name", json_text(report->name), "running", report->running);
	int r;

	if (object && report->running && report->state.root)
		add_running(object, report);
	r = object ? json_dumpf(object, out, JSON_INDENT(2)) : -1;
	json_decref(object);
	if (r < 0 || fputc('\n', out) == EOF)
		return err_set(err, errno, "cannot print the status");
	return 0;
}
