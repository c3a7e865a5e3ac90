/* state: what is known about one booted OS, kept in /run/gcdboot/NAME/state so that it outlives the supervisor. */
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <libmount.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static const char *const phases[] = { "none", "building", "booting", "up", "stopping", "stuck" };
static const char *const runs[] = { "pending", "running", "ended", "left-out" };
static const char *const kinds[] = { "run", "daemon", "require" };

void state_clear(struct state *state)
{
	for (size_t i = 0; i < state->command_count; i++)
		free(state->command[i].line);
	free(state->command);
	free(state->conf_file);
	free(state->source);
	free(state->device);
	free(state->type);
	free(state->root);
	free(state->staging);
	free(state->attached);
	free(state->detach);
	free(state->interop_link);
	strlist_clear(&state->made);
	strlist_clear(&state->swaps_before);
	strlist_clear(&state->swaps);
	strlist_clear(&state->caps_drop);
	strlist_clear(&state->env_pass);
	strlist_clear(&state->skipped);
	*state = (struct state){ 0 };
}

int state_add_command(struct state *state, enum conf_command_kind kind, const char *line)
{
	struct state_command *grown = reallocarray(state->command, state->command_count + 1, sizeof *grown);
	char *copy = strdup(line);

	if (grown)
		state->command = grown;
	if (!grown || !copy) {
		free(copy);
		return -ENOMEM;
	}
	state->command[state->command_count++] = (struct state_command){ .kind = kind, .line = copy };
	return 0;
}

/* The words that may follow a key: one mangled string. */
static void put_string(FILE *out, const char *key, const char *value)
{
	auto_free char *mangled = value ? mnt_mangle(value) : NULL;

	if (mangled)
		fprintf(out, "%s %s\n", key, mangled);
}

static void put_list(FILE *out, const char *key, const struct strlist *list)
{
	for (size_t i = 0; i < list->count; i++)
		put_string(out, key, list->str[i]);
}

static void put_command(FILE *out, const struct state_command *command)
{
	auto_free char *mangled = mnt_mangle(command->line);

	if (mangled)
		fprintf(out, "command %s %s %d %" PRIu64 " %d %d %" PRId64 " %s\n", kinds[command->kind], runs[command->run], command->pid, command->start,
			command->status, command->timed_out, command->took_ms, mangled);
}

char *state_format(const struct state *state)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fprintf(out, "phase %s\n", phases[state->phase]);
	fprintf(out, "pid %d\n", state->pid);
	fprintf(out, "since %lld\n", (long long)state->since);
	put_string(out, "boot-id", state->boot_id[0] ? state->boot_id : NULL);
	put_string(out, "conf", state->conf_file);
	put_string(out, "source", state->source);
	put_string(out, "device", state->device);
	put_string(out, "type", state->type);
	put_string(out, "root", state->root);
	fprintf(out, "overlay %d\n", state->overlay);
	put_string(out, "staging", state->staging);
	fprintf(out, "block %d\n", state->block);
	fprintf(out, "namespace-host %d\n", state->namespace_host);
	/* Not where there is none: the builder's report must not take away what the supervisor knows. */
	if (state->confirm_ms)
		fprintf(out, "confirm %" PRId64 " %" PRId64 " %d\n", state->confirm_ms, state->confirm_by, state->confirmed);
	fprintf(out, "ns %" PRIu64 " %" PRIu64 "\n", (uint64_t)state->ns.dev, (uint64_t)state->ns.ino);
	fprintf(out, "mount-before %d\n", state->mount_before);
	fprintf(out, "root-mount %d\n", state->root_mount);
	fprintf(out, "dev %u %u\n", state->dev_major, state->dev_minor);
	fprintf(out, "bound %u\n", state->bound);
	put_list(out, "made", &state->made);
	put_list(out, "swap-before", &state->swaps_before);
	put_list(out, "swap", &state->swaps);
	put_list(out, "cap-drop", &state->caps_drop);
	put_list(out, "env-pass", &state->env_pass);
	put_list(out, "skipped", &state->skipped);
	put_string(out, "attached", state->attached);
	put_string(out, "detach", state->detach);
	put_string(out, "interop-link", state->interop_link);
	for (size_t i = 0; i < state->command_count; i++)
		put_command(out, &state->command[i]);
	if (fclose(out) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int name_index(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(name, names[i]) == 0)
			return (int)i;
	return -1;
}
#define NAME_INDEX(name, names) name_index(name, names, sizeof(names) / sizeof *(names))

static int get_string(char **to, const char *value)
{
	char *text = mnt_unmangle(value);

	if (!text)
		return -ENOMEM;
	free(*to);
	*to = text;
	return 0;
}

static int get_list(struct strlist *list, const char *value)
{
	auto_free char *text = mnt_unmangle(value);

	return text ? strlist_add(list, text) : -ENOMEM;
}

static int get_command(struct state *state, const char *value)
{
	char kind[16], run[16];
	struct state_command c = { 0 };
	auto_free char *line = NULL;
	int timed_out, at = 0, k, r, pid;

	if (sscanf(value, "%15s %15s %d %" SCNu64 " %d %d %" SCNd64 " %n", kind, run, &pid, &c.start, &c.status, &timed_out, &c.took_ms, &at) != 7 || at == 0)
		return -EPROTO;
	k = NAME_INDEX(kind, kinds);
	r = NAME_INDEX(run, runs);
	line = mnt_unmangle(value + at);
	if (k < 0 || r < 0)
		return -EPROTO;
	if (!line || state_add_command(state, (enum conf_command_kind)k, line) < 0)
		return -ENOMEM;
	c.kind = (enum conf_command_kind)k;
	c.run = (enum state_run)r;
	c.pid = pid;
	c.timed_out = timed_out;
	c.line = state->command[state->command_count - 1].line;
	state->command[state->command_count - 1] = c;
	return 0;
}

static int get_ns(struct state *state, const char *value)
{
	uint64_t dev, ino;

	if (sscanf(value, "%" SCNu64 " %" SCNu64, &dev, &ino) != 2)
		return -EPROTO;
	state->ns.dev = dev;
	state->ns.ino = ino;
	return 0;
}

static int get_confirm(struct state *state, const char *value)
{
	int confirmed;

	if (sscanf(value, "%" SCNd64 " %" SCNd64 " %d", &state->confirm_ms, &state->confirm_by, &confirmed) != 3)
		return -EPROTO;
	state->confirmed = confirmed;
	return 0;
}

static int get_number(struct state *state, const char *key, const char *value)
{
	if (strcmp(key, "pid") == 0)
		state->pid = (pid_t)atol(value);
	else if (strcmp(key, "since") == 0)
		state->since = (time_t)atoll(value);
	else if (strcmp(key, "block") == 0)
		state->block = atoi(value);
	else if (strcmp(key, "overlay") == 0)
		state->overlay = atoi(value);
	else if (strcmp(key, "namespace-host") == 0)
		state->namespace_host = atoi(value);
	else if (strcmp(key, "mount-before") == 0)
		state->mount_before = atoi(value);
	else if (strcmp(key, "root-mount") == 0)
		state->root_mount = atoi(value);
	else if (strcmp(key, "bound") == 0)
		state->bound = (unsigned)strtoul(value, NULL, 10);
	else if (strcmp(key, "dev") == 0)
		return sscanf(value, "%u %u", &state->dev_major, &state->dev_minor) == 2 ? 0 : -EPROTO;
	return 0;
}

static int get_line(struct state *state, const char *key, const char *value)
{
	const struct {
		const char *key;
		char **string;
		struct strlist *list;
	} texts[] = {
		{ "conf", &state->conf_file, NULL },
		{ "source", &state->source, NULL },
		{ "device", &state->device, NULL },
		{ "type", &state->type, NULL },
		{ "root", &state->root, NULL },
		{ "staging", &state->staging, NULL },
		{ "made", NULL, &state->made },
		{ "swap-before", NULL, &state->swaps_before },
		{ "swap", NULL, &state->swaps },
		{ "cap-drop", NULL, &state->caps_drop },
		{ "env-pass", NULL, &state->env_pass },
		{ "skipped", NULL, &state->skipped },
		{ "attached", &state->attached, NULL },
		{ "detach", &state->detach, NULL },
		{ "interop-link", &state->interop_link, NULL },
	};
	int phase;

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
		if (strcmp(key, texts[i].key) == 0)
			return texts[i].string ? get_string(texts[i].string, value) : get_list(texts[i].list, value);
	if (strcmp(key, "command") == 0)
		return get_command(state, value);
	if (strcmp(key, "ns") == 0)
		return get_ns(state, value);
	if (strcmp(key, "confirm") == 0)
		return get_confirm(state, value);
	if (strcmp(key, "boot-id") == 0)
		snprintf(state->boot_id, sizeof state->boot_id, "%s", value);
	if (strcmp(key, "phase") != 0)
		return get_number(state, key, value);
	phase = NAME_INDEX(value, phases);
	if (phase >= 0)
		state->phase = (enum state_phase)phase;
	return phase < 0 ? -EPROTO : 0;
}

int state_parse(struct state *state, const char *text, struct err *err)
{
	auto_free char *copy = strdup(text);
	char *save = NULL;
	int r;

	if (!copy)
		return err_set(err, ENOMEM, "cannot read the state");
	for (char *line = strtok_r(copy, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *value = strchr(line, ' ');

		if (!value)
			return err_set(err, -EPROTO, "the state has a line without a value: %s", line);
		*value++ = '\0';
		r = get_line(state, line, value);
		if (r < 0)
			return err_set(err, -r, "the state's %s cannot be read", line);
	}
	return 0;
}

int state_save(const struct state *state, const char *dir, struct err *err)
{
	auto_free char *text = state_format(state), *path = NULL, *new = NULL;
	auto_close int fd = -1;
	size_t len;

	if (!text || asprintf(&path, "%s/state", dir) < 0 || asprintf(&new, "%s/state.new", dir) < 0)
		return err_set(err, ENOMEM, "cannot write the state to %s", dir);
	len = strlen(text);
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, errno, "cannot write %s", new);
	if (write(fd, text, len) != (ssize_t)len || rename(new, path) < 0) {
		int error = errno ? errno : ENOSPC;

		unlink(new);
		return err_set(err, error, "cannot write %s", path);
	}
	return 0;
}

int state_load(struct state *state, const char *dir, struct err *err)
{
	auto_free char *path = NULL, *text = NULL;
	auto_fclose FILE *in = NULL;
	size_t size = 0;

	if (asprintf(&path, "%s/state", dir) < 0)
		return err_set(err, ENOMEM, "cannot read the state in %s", dir);
	in = fopen(path, "re");
	if (!in)
		return err_set(err, errno, "cannot read %s", path);
	/* One read for the whole file: a NUL cannot be in it. */
	if (getdelim(&text, &size, '\0', in) < 0)
		return err_set(err, -EPROTO, "%s is empty", path);
	return state_parse(state, text, err);
}

bool state_awaits_confirm(const struct state *state)
{
	return state->confirm_ms && !state->confirmed && state->phase < PHASE_STOPPING;
}

int64_t state_confirm_left(const struct state *state)
{
	int64_t left = state->confirm_by - util_boottime_ms();

	return left > 0 ? left : 0;
}

void state_confirm_text(const struct state *state, const char *name, char text[160])
{
	bool is_default = strcmp(name, "default") == 0;
	int64_t left_ms = state_confirm_left(state);
	char left[48];

	if (left_ms == 0) {
		snprintf(text, 160, "not confirmed in time, to be stopped");
		return;
	}
	util_span(left_ms, left);
	snprintf(text, 160, "to be confirmed within %s: gcdboot%s%.64s confirm", left, is_default ? "" : " -n ", is_default ? "" : name);
}

bool state_degraded(const struct state *state)
{
	for (size_t i = 0; i < state->command_count; i++) {
		const struct state_command *c = &state->command[i];

		/* Up, and not begun: the supervisor was killed on the way. */
		if (c->run == RUN_PENDING && state->phase == PHASE_UP)
			return true;
		/* A daemon is not expected to end at all while the OS is up. */
		if (c->run == RUN_ENDED && (c->kind == COMMAND_DAEMON || c->status != 0 || c->timed_out))
			return true;
	}
	return false;
}

void state_time(time_t when, char text[32])
{
	struct tm tm;

	localtime_r(&when, &tm);
	strftime(text, 32, "%Y-%m-%d %H:%M:%S", &tm);
}
