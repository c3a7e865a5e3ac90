/* teardown: takes back what a boot did to mounts, swap and directories. */
#include "teardown.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "log.h"
#include "mnt.h"
#include "path.h"
#include "table.h"
#include "text.h"

#define RETRY_MS 20
#define GRACE_MS 3000

int teardown_list_swaps(struct strlist *swaps)
{
	auto_fclose FILE *in = fopen("/proc/swaps", "re");
	char *line = NULL;
	size_t size = 0;
	int r = 0;

	if (!in)
		return errno == ENOENT ? 0 : -errno; /* a kernel without swap */
	while (r == 0 && getline(&line, &size, in) > 0) {
		if (line[0] != '/')
			continue;
		line[strcspn(line, " \t\n")] = '\0';
		text_decode_octal(line);
		r = strlist_add(swaps, line);
	}
	free(line);
	return r;
}

bool teardown_is_own_swap(const struct state *state, const char *swap)
{
	return path_is_below(swap, state->root) && !strlist_has(&state->swaps_before, swap);
}

static void swaps_off(const struct state *state)
{
	struct strlist now = { 0 };
	int r = teardown_list_swaps(&now);

	for (size_t i = 0; i < now.count && r == 0; i++) {
		if (!teardown_is_own_swap(state, now.str[i]))
			continue;
		r = mnt_swapoff(now.str[i]);
		if (r < 0)
			log_warn("cannot turn off the swap on %s: %s", now.str[i], strerror(-r));
		else
			log_info("swap on %s is off", now.str[i]);
		r = 0;
	}
	strlist_clear(&now);
}

/* The mounts of a table in the order of their ids, so that a parent is found without a search through all of them. */
static int by_id(const void *a, const void *b)
{
	const struct table_mount *ma = *(const struct table_mount *const *)a, *mb = *(const struct table_mount *const *)b;

	return (ma->id > mb->id) - (ma->id < mb->id);
}

static const struct table_mount **index_by_id(const struct table *table)
{
	const struct table_mount **index = calloc(table->count, sizeof *index);

	for (size_t i = 0; index && i < table->count; i++)
		index[i] = &table->mount[i];
	if (index)
		qsort(index, table->count, sizeof *index, by_id);
	return index;
}

static const struct table_mount *find_by_id(const struct table_mount *const *index, size_t count, int id)
{
	const struct table_mount key = { .id = id }, *pointer = &key;
	const struct table_mount *const *found = bsearch(&pointer, index, count, sizeof *index, by_id);

	return found ? *found : NULL;
}

/*
 * The root's own mount. Without an id (the boot was killed before it could be written down) it is what is on top at the mount point, unless that was
 * there before.
 */
static const struct table_mount *find_root(const struct table *table, const struct table_mount *const *index, const struct state *state)
{
	const struct table_mount *root;

	if (state->root_mount)
		root = find_by_id(index, table->count, state->root_mount);
	else
		root = table_find_target(table, state->root);
	return root && root->id != state->mount_before && strcmp(root->target, state->root) == 0 ? root : NULL;
}

/* Marks the mounts in the tree below root; parents may come behind their children in the table (MS_MOVE), so passes go on until nothing is added. */
static void mark_tree(const struct table *table, const struct table_mount *const *index, const struct table_mount *root, bool *in_tree)
{
	bool added = true;

	in_tree[root - table->mount] = true;
	while (added) {
		added = false;
		for (size_t i = 0; i < table->count; i++) {
			const struct table_mount *parent;

			if (in_tree[i] || !path_is_below(table->mount[i].target, root->target))
				continue;
			parent = find_by_id(index, table->count, table->mount[i].parent);
			if (parent && in_tree[parent - table->mount])
				added = in_tree[i] = true;
		}
	}
}

static void add_left(struct strlist *left, const char *target, int r)
{
	auto_free char *safe = text_safe(target);

	strlist_addf(left, "%s: %s", safe ? safe : "?", strerror(-r));
}

/* One look at the OS's mount table, while what is in it is unmounted. */
struct pass {
	struct table table;
	const struct table_mount **by_id;
	const struct table_mount *root; /* NULL: it is not mounted any more */
	bool *in_tree, *gone;           /* by mount: below the root, or part of an overlay that was never finished; unmounted in this pass */
};

static void pass_end(struct pass *pass)
{
	free(pass->by_id);
	free(pass->in_tree);
	free(pass->gone);
	table_clear(&pass->table);
}

static int pass_begin(struct pass *pass, const struct state *state, struct err *err)
{
	int r = table_read(&pass->table, NULL, err);

	if (r < 0)
		return r;
	pass->by_id = index_by_id(&pass->table);
	pass->in_tree = calloc(pass->table.count, sizeof *pass->in_tree);
	pass->gone = calloc(pass->table.count, sizeof *pass->gone);
	if (!pass->by_id || !pass->in_tree || !pass->gone)
		return err_set(err, ENOMEM, "cannot unmount %s", state->root);
	pass->root = find_root(&pass->table, pass->by_id, state);
	if (pass->root)
		mark_tree(&pass->table, pass->by_id, pass->root, pass->in_tree);
	for (size_t i = 0; state->staging && i < pass->table.count; i++)
		if (strcmp(pass->table.mount[i].target, state->staging) == 0)
			mark_tree(&pass->table, pass->by_id, &pass->table.mount[i], pass->in_tree);
	return 0;
}

/* Whether the filesystem is mounted outside of the root too: it is the host's, and what we have is a bind of it. */
static bool is_bind_of_host(const struct pass *pass, const struct table_mount *mount)
{
	for (size_t i = 0; i < pass->table.count; i++)
		if (!pass->in_tree[i] && pass->table.mount[i].major == mount->major && pass->table.mount[i].minor == mount->minor)
			return true;
	return false;
}

static bool has_children(const struct pass *pass, const struct table_mount *mount)
{
	for (size_t i = 0; i < pass->table.count; i++)
		if (pass->in_tree[i] && !pass->gone[i] && pass->table.mount[i].parent == mount->id)
			return true;
	return false;
}

/*
 * Never lazily what the OS brought: its writes would go on behind our back. A bind of the host's own filesystem is another thing: whoever has a file
 * of it open (an escaped process, with the OS's /dev/null) would have it open through the host as well.
 */
static int unmount_one(const struct pass *pass, const struct table_mount *mount)
{
	int r = mnt_umount(mount->target);

	if (r != -EBUSY || mount == pass->root || has_children(pass, mount) || !is_bind_of_host(pass, mount))
		return r;
	return mnt_detach(mount->target);
}

/* One pass over what is still mounted, the latest first. Returns how many are left (0: all gone), or -errno; names them in `left`. */
static int unmount_pass(const struct state *state, struct strlist *left, bool *moved, struct err *err)
{
	struct pass pass = { 0 };
	int r = pass_begin(&pass, state, err);

	*moved = false;
	strlist_clear(left);
	for (size_t i = pass.table.count; r == 0 && i-- > 0;) {
		int one = pass.in_tree[i] ? unmount_one(&pass, &pass.table.mount[i]) : 0;

		if (one < 0)
			add_left(left, pass.table.mount[i].target, one);
		else if (pass.in_tree[i])
			*moved = pass.gone[i] = true;
	}
	pass_end(&pass);
	return r < 0 ? r : (int)left->count;
}

static int unmount_all(const struct state *state, int timeout_ms, struct strlist *left, struct err *err)
{
	int64_t deadline = util_now_ms() + timeout_ms;
	bool moved;
	int r;

	/* One pass may free what the next one needs; one that moves nothing waits for the kernel or a process to let go. */
	while ((r = unmount_pass(state, left, &moved, err)) > 0) {
		if (moved)
			continue;
		if (util_now_ms() >= deadline)
			return err_set(err, -EBUSY, "cannot unmount %s", state->root);
		poll(NULL, 0, RETRY_MS);
	}
	return r;
}

/* The child: does the work and writes what is left, then the error, each as a NUL-terminated string, to `out`. */
static int teardown_child(const struct state *state, int ns, int timeout_ms, FILE *out)
{
	struct strlist left = { 0 };
	struct err err = { 0 };
	int r = 0;

	if (ns >= 0 && setns(ns, CLONE_NEWNS) < 0)
		r = err_set(&err, errno, "cannot enter the OS's mount namespace");
	if (r == 0) {
		swaps_off(state);
		r = unmount_all(state, timeout_ms, &left, &err);
	}
	for (size_t i = 0; i < left.count; i++)
		fwrite(left.str[i], 1, strlen(left.str[i]) + 1, out);
	fwrite("", 1, 1, out);
	fwrite(err.msg, 1, strlen(err.msg) + 1, out);
	strlist_clear(&left);
	fclose(out);
	return -r & 0xff;
}

static void read_report(FILE *in, struct strlist *left, struct err *err)
{
	char *text = NULL;
	size_t size = 0;

	while (getdelim(&text, &size, '\0', in) > 0 && text[0] != '\0')
		strlist_add(left, text);
	if (getdelim(&text, &size, '\0', in) > 0)
		snprintf(err->msg, sizeof err->msg, "%s", text);
	free(text);
}

int teardown_mounts(const struct state *state, int ns, int busy_ms, int timeout_ms, struct strlist *left, struct err *err)
{
	int pipe_fd[2], status = 0;
	auto_fclose FILE *in = NULL;
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return err_set(err, errno, "cannot unmount %s", state->root);
	pid = fork();
	if (pid == 0) {
		FILE *out = fdopen(pipe_fd[1], "w");

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		_exit(out ? teardown_child(state, ns, busy_ms, out) : ENOMEM);
	}
	close(pipe_fd[1]);
	in = fdopen(pipe_fd[0], "r");
	if (pid < 0 || !in)
		return err_set(err, errno, "cannot unmount %s", state->root);
	/* The report comes at once, at the end. A child that hangs in the kernel is left to it: stop must end. */
	if (poll(&(struct pollfd){ .fd = pipe_fd[0], .events = POLLIN }, 1, timeout_ms + GRACE_MS) == 0) {
		kill(pid, SIGKILL);
		return err_set(err, -ETIMEDOUT, "cannot unmount %s: the kernel did not answer", state->root);
	}
	read_report(in, left, err);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : err_set(err, -EIO, "cannot unmount %s: the process that does it was killed", state->root);
}

void teardown_directories(const struct state *state)
{
	for (size_t i = state->made.count; i-- > 0;)
		if (rmdir(state->made.str[i]) < 0 && errno != ENOENT)
			log_warn("cannot remove %s, which the boot made: %s", state->made.str[i], strerror(errno));
}
