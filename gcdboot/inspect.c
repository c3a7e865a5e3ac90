/* inspect: looks into a root without touching it, for `check`. */
#include "inspect.h"

#include <errno.h>
#include <fcntl.h>
#include <libmount.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include "boot_commands.h"
#include "inroot.h"
#include "mnt.h"
#include "readonly.h"

static const char *type_of(const struct conf *conf, const struct device_found *found)
{
	return strcmp(conf->root.type, "auto") != 0 ? conf->root.type : found->type;
}

static int open_root(const struct conf *conf, const struct device_found *found, bool *dirty, struct err *err)
{
	const char *type = type_of(conf, found);
	struct readonly how = { 0 };
	struct mnt_root root = {
		.source = found->path,
		.target = "/proc", /* any directory: only this process's namespace sees it */
		.type = type,
		.offset = found->offset,
		.size = found->size,
	};
	int fd, r;

	r = mnt_unshare(err);
	if (r == 0 && conf->root.overlay)
		r = mnt_has_overlay(err);
	if (r < 0)
		return r;
	if (found->kind == DEVICE_DIRECTORY) {
		fd = open(found->path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? err_set(err, errno, "cannot open %s", found->path) : fd;
	}
	r = readonly_look(&how, found->path, found->offset, type, err);
	*dirty = how.dirty;
	root.options = how.options;
	root.image = found->kind == DEVICE_IMAGE || how.loop;
	if (r == 0)
		r = mnt_root(&root, err);
	if (r < 0)
		return r;
	fd = open(root.target, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_set(err, errno, "cannot open the root of %s", found->path) : fd;
}

/* Whether the OS will be able to write to its root. Here it is mounted read-only in any case. */
static bool is_writable(const struct conf *conf, const struct device_found *found, int root)
{
	unsigned long flags = 0;
	struct statvfs fs;

	if (conf->root.overlay)
		return true;
	mnt_optstr_get_flags(conf->root.options, &flags, mnt_get_builtin_optmap(MNT_LINUX_MAP));
	if ((flags & MS_RDONLY) || readonly_is_type(type_of(conf, found)))
		return false;
	return found->kind != DEVICE_DIRECTORY || fstatvfs(root, &fs) < 0 || !(fs.f_flag & ST_RDONLY);
}

static void inspect_filesystem(struct findings *findings, const struct conf *conf, const struct device_found *found, bool dirty)
{
	const char *type = type_of(conf, found);

	if (conf->root.overlay && dirty)
		findings_add(findings, FINDING_SPOILS, "fsck it, or mount it once",
			     "%s was not unmounted in order, and overlay = tmpfs does not mend it: what was written to it last may be missing", found->path);
	if (!conf->root.overlay && readonly_is_type(type))
		findings_add(findings, FINDING_SPOILS, "overlay = tmpfs in [root]", "the root is a %s: the OS cannot write to it", type);
}

static void inspect_commands(struct findings *findings, const struct conf *conf, int root)
{
	struct state state = { 0 };
	struct err err = { 0 };
	size_t left_out = 0;

	if (boot_commands_list(conf, root, &state, &err) < 0)
		findings_add(findings, FINDING_STOPS, "put it there, or name another command in [boot]", "%s", err.msg);
	else {
		for (size_t i = 0; i < state.command_count; i++)
			left_out += state.command[i].run == RUN_LEFT_OUT;
		if (state.command_count > 0 && left_out == state.command_count)
			findings_add(findings, FINDING_SPOILS, "name what the OS starts with in [boot]",
				     "none of the default boot commands has its file in this root: nothing would be started");
		else
			findings_add(findings, FINDING_OK, NULL, "boot commands: %zu, of which %zu have no file in this root", state.command_count, left_out);
	}
	state_clear(&state);
}

static bool is_empty_dir(int root, const char *path)
{
	auto_close int fd = inroot_open(root, path, O_RDONLY | O_DIRECTORY | O_NONBLOCK, NULL);
	auto_closedir DIR *dir = NULL;
	struct dirent *entry;

	if (fd < 0)
		return true;
	dir = fdopendir(fd);
	if (!dir)
		return true;
	take_fd(&fd); /* the stream's now */
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, "lost+found") != 0)
			return false;
	return true;
}

/* The directories that an OS keeps itself in; a mount of the host on one of them would hide the OS from itself. */
static bool is_own_directory(const char *target)
{
	static const char *const own[] = { "/bin",  "/sbin", "/lib", "/lib64", "/usr",       "/etc",     "/var",    "/opt",
					   "/home", "/root", "/srv", "/boot",  "/usr/local", "/var/lib", "/var/log" };

	for (size_t i = 0; i < sizeof own / sizeof *own; i++)
		if (strcmp(target, own[i]) == 0)
			return true;
	return false;
}

/* Without /proc, /sys and /dev nothing boots: a mount point that is no directory, or is missing and cannot be made. */
static bool inspect_required(struct findings *findings, const struct step *step, int root, bool writable)
{
	auto_close int fd = inroot_open(root, step->target, O_PATH | O_DIRECTORY, NULL);
	const char *why = NULL;

	if (!(step->flags & STEP_REQUIRED) || fd >= 0)
		return false;
	if (fd != -ENOENT)
		why = strerror(-fd);
	else if (!(step->flags & STEP_CREATE))
		why = "it is missing, and create = no";
	else if (!writable)
		why = "it is missing, and the root is read-only";
	if (why)
		findings_add(findings, FINDING_STOPS, "make it a directory in the root", "%s in the root: %s", step->target, why);
	return why != NULL;
}

static void inspect_binds(struct findings *findings, const struct plan *plan, int root, bool writable)
{
	size_t missing = 0;

	for (size_t i = 0; i < plan->count; i++) {
		const struct step *step = &plan->step[i];

		if (step->kind != STEP_BIND)
			continue;
		if (is_own_directory(step->target) && !is_empty_dir(root, step->target)) {
			auto_free char *mend = NULL;

			if (asprintf(&mend, "exclude = %s in [bind], if the OS is to keep its own", step->target) > 0)
				findings_add(findings, FINDING_SPOILS, mend, "the host's %s is a mount: it would cover the OS's own %s", step->target,
					     step->target);
		}
		if (!inspect_required(findings, step, root, writable))
			missing += !(step->flags & (STEP_CREATE | STEP_OPTIONAL)) && !inroot_exists(root, step->target);
	}
	if (missing)
		findings_add(findings, FINDING_SPOILS, "make them in the root, or create = yes in [bind]",
			     "%zu mounts of the host have no mount point in the root, and would be skipped", missing);
}

static void inspect_escape(struct findings *findings, int root)
{
	static const char *const places[] = { "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin" };
	char path[64];

	for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
		snprintf(path, sizeof path, "%s/chroot_escape", places[i]);
		if (inroot_exists(root, path)) {
			findings_add(findings, FINDING_OK, NULL, "the way back: %s in the root", path);
			return;
		}
	}
	findings_add(findings, FINDING_SPOILS, "copy chroot_escape to usr/local/sbin in the root",
		     "there is no chroot_escape in the root: no way back to the host from inside");
}

/* Findings as lines of NUL-terminated strings: severity, text, mend ("" for none). */
static void send_findings(const struct findings *findings, int fd)
{
	FILE *out = fdopen(fd, "w");

	if (!out)
		return;
	for (size_t i = 0; i < findings->count; i++) {
		const struct finding *finding = &findings->finding[i];

		fprintf(out, "%d%c%s%c%s%c", finding->severity, 0, finding->text, 0, finding->mend ? finding->mend : "", 0);
	}
	fclose(out);
}

static void receive_findings(struct findings *findings, int fd)
{
	auto_fclose FILE *in = fdopen(fd, "r");
	char *severity = NULL, *text = NULL, *mend = NULL;
	size_t sizes[3] = { 0 };

	while (in && getdelim(&severity, &sizes[0], '\0', in) > 0 && getdelim(&text, &sizes[1], '\0', in) > 0 && getdelim(&mend, &sizes[2], '\0', in) > 0)
		findings_add(findings, (enum severity)atoi(severity), mend[0] ? mend : NULL, "%s", text);
	free(severity);
	free(text);
	free(mend);
}

static void child(const struct conf *conf, const struct device_found *found, const struct plan *plan, int out)
{
	struct findings findings = { 0 };
	struct err err = { 0 };
	bool dirty = false;
	int root;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	root = open_root(conf, found, &dirty, &err);
	if (root < 0)
		findings_add(&findings, FINDING_STOPS, root == -ENODEV ? NULL : "fsck the filesystem, or choose another source", "%s", err.msg);
	else {
		inspect_filesystem(&findings, conf, found, dirty);
		inspect_commands(&findings, conf, root);
		if (plan)
			inspect_binds(&findings, plan, root, is_writable(conf, found, root));
		inspect_escape(&findings, root);
	}
	send_findings(&findings, out);
	_exit(0);
}

void inspect_root(struct findings *findings, const struct conf *conf, const struct device_found *found, const struct plan *plan)
{
	int pipe_fd[2];
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		return;
	pid = fork();
	if (pid == 0)
		child(conf, found, plan, pipe_fd[1]);
	close(pipe_fd[1]);
	receive_findings(findings, pipe_fd[0]);
	if (pid > 0)
		waitpid(pid, NULL, 0);
}
