/* builder: the child process that finds the disk, mounts it, binds the host into it, and hands the result to the supervisor. */
#include "builder.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "apply.h"
#include "device.h"
#include "inroot.h"
#include "log.h"
#include "mnt.h"
#include "plan.h"
#include "rundir.h"
#include "teardown.h"

#define UNMOUNT_MS 2000

/* The report: "0" or an errno and a space, then the state or the message, then a NUL. The first packet carries the two descriptors of a success. */

static void tick(void *arg, int waited_ms)
{
	(void)arg;
	(void)waited_ms;
	log_step_tick();
}

static int find_root(const struct conf *conf, struct device_found *found, struct err *err)
{
	int r;

	log_step("finding %s", conf->root.source);
	r = device_find(found, conf, tick, NULL, err);
	if (r < 0)
		log_step_failed("%s", "");
	else
		log_step_done("%s%s%s", found->path, found->type ? ", " : "", found->type ? found->type : "");
	return r;
}

static int check_filesystem(const struct conf *conf, const struct device_found *found, int log_fd, struct err *err)
{
	int r;

	if (!conf->root.fsck || found->kind != DEVICE_BLOCK)
		return 0;
	log_step("checking the filesystem on %s", found->path);
	r = device_fsck(found->path, found->type, log_fd, err);
	if (r < 0)
		log_step_failed("%s", "");
	else
		log_step_done("%s", "");
	return r;
}

/* The kernel's id of the mount behind fd: statx(2) since 5.8, /proc/self/fdinfo since 3.15. 0 where neither tells. */
static int mount_id(int fd)
{
	struct statx st;
	char path[64], line[256];
	auto_fclose FILE *in = NULL;
	int id = 0;

	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_MNT_ID, &st) == 0 && (st.stx_mask & STATX_MNT_ID))
		return (int)st.stx_mnt_id;
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", fd);
	in = fopen(path, "re");
	while (in && id == 0 && fgets(line, sizeof line, in))
		if (sscanf(line, "mnt_id: %d", &id) != 1)
			id = 0;
	return id;
}

static int mount_root(const struct conf *conf, const struct device_found *found, const char *path, struct state *state, struct err *err)
{
	struct mnt_root root = {
		.source = found->path,
		.target = path,
		.type = strcmp(conf->root.type, "auto") != 0 ? conf->root.type : found->type,
		.options = conf->root.options,
		.directory = found->kind == DEVICE_DIRECTORY,
		.image = found->kind == DEVICE_IMAGE,
		.offset = found->offset,
		.size = found->size,
	};
	struct stat st;
	int fd, r;

	log_step("mounting %s on %s", found->path, path);
	r = mnt_root(&root, err);
	if (r < 0) {
		log_step_failed("%s", "");
		return r;
	}
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0) {
		r = err_set(err, errno, "cannot open the root on %s", path);
		log_step_failed("%s", "");
		return r;
	}
	state->root_mount = mount_id(fd);
	state->dev_major = major(st.st_dev);
	state->dev_minor = minor(st.st_dev);
	log_step_done("%s", "");
	return fd;
}

static int bind_mounts(const struct conf *conf, const struct plan *plan, int root, struct state *state, struct err *err)
{
	struct apply_result result = { 0 };
	int r;

	log_step("binding the mounts of the host");
	r = apply_binds(plan, root, conf->bind.timeout_ms, &result, err);
	if (r < 0)
		log_step_failed("%s", "");
	else if (result.skipped.count)
		log_step_done("%u, %zu skipped", result.bound, result.skipped.count);
	else
		log_step_done("%u", result.bound);
	for (size_t i = 0; r == 0 && i < result.skipped.count; i++)
		log_warn("not bound: %s", result.skipped.str[i]);
	state->bound = result.bound;
	state->skipped = result.skipped;
	return r;
}

/* The script that a command line begins with, where that is a plain absolute path; NULL where the shell would have to look closer. */
static char *script_of(const char *line)
{
	size_t len = 0;

	while (isalnum((unsigned char)line[len]) || (line[len] && strchr("/._+-", line[len])))
		len++;
	if (line[0] != '/' || (line[len] != '\0' && line[len] != ' ' && line[len] != '\t'))
		return NULL;
	return strndup(line, len);
}

static int check_script(const struct conf *conf, const struct conf_command *command, int root, struct err *err)
{
	auto_free char *script = script_of(command->line);
	auto_close int fd = -1;
	const char *why;
	struct stat st;

	if (!script)
		return 0;
	fd = inroot_open(root, script, O_PATH, NULL);
	if (fd < 0)
		why = strerror(-fd);
	else if (fstat(fd, &st) < 0)
		why = strerror(errno);
	else if (S_ISDIR(st.st_mode))
		why = "is a directory";
	else if (!(st.st_mode & 0111))
		why = "is not executable (chmod +x it)";
	else
		return 0;
	if (command->line_number)
		return err_usage(err, "%s:%d: %s in the root: %s", conf->file, command->line_number, script, why);
	return err_usage(err, "%s in the root: %s", script, why);
}

static bool exists(int root, const char *path)
{
	auto_close int fd = inroot_open(root, path, O_PATH, NULL);

	return fd >= 0;
}

/* The boot commands, as far as the root has what they are for. */
static int list_commands(const struct conf *conf, int root, struct state *state, struct err *err)
{
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < conf->boot.command_count && r == 0; i++) {
		const struct conf_command *command = &conf->boot.command[i];

		r = state_add_command(state, command->kind, command->line);
		if (r < 0)
			return err_set(err, -r, "cannot list the boot commands");
		if (command->only_if_file && !exists(root, command->only_if_file)) {
			state->command[state->command_count - 1].run = RUN_LEFT_OUT;
			continue;
		}
		any = true;
		r = check_script(conf, command, root, err);
	}
	if (r == 0 && any && !exists(root, "/bin/sh"))
		r = err_set(err, -ENOENT, "the root has no /bin/sh to run the boot commands with: is %s the right filesystem?", state->device);
	return r;
}

/* Everything that touches the machine, in order. Returns the root's descriptor or -errno. */
static int carry_out(const struct conf *conf, const struct plan *plan, const struct device_found *found, struct state *state, struct err *err)
{
	int root, r;

	if (!conf->namespace_host) {
		r = mnt_unshare(err);
		if (r < 0)
			return r;
	}
	root = mount_root(conf, found, plan->root_path, state, err);
	if (root < 0)
		return root;
	r = list_commands(conf, root, state, err);
	if (r == 0)
		r = bind_mounts(conf, plan, root, state, err);
	if (r == 0)
		r = host_own_ns(&state->ns) < 0 ? err_set(err, errno, "cannot look at /proc/self/ns/mnt") : 0;
	if (r == 0)
		return root;
	close(root);
	return r;
}

/* With mount = host no namespace goes away with us. */
static void undo(const struct conf *conf, const struct state *state)
{
	struct strlist left = { 0 };
	struct err err;

	if (!conf->namespace_host || state->root_mount == 0)
		return;
	if (teardown_mounts(state, -1, UNMOUNT_MS, &left, &err) < 0)
		log_warn("%s", err.msg);
	for (size_t i = 0; i < left.count; i++)
		log_warn("still mounted: %s", left.str[i]);
	strlist_clear(&left);
}

static int build(const struct conf *conf, const char *root_path, int log_fd, struct state *state, struct err *err)
{
	struct device_found found = { 0 };
	struct table table = { 0 };
	struct plan plan = { 0 };
	int r = find_root(conf, &found, err);

	if (r == 0)
		r = check_filesystem(conf, &found, log_fd, err);
	if (r < 0)
		return r;
	state->device = strdup(found.path);
	state->type = found.type ? strdup(found.type) : NULL;
	state->block = found.kind == DEVICE_BLOCK;
	state->root = strdup(root_path);
	state->namespace_host = conf->namespace_host;
	if (conf->bind.all)
		r = table_read(&table, NULL, err);
	if (r == 0)
		r = plan_make(&plan, conf, &table, root_path, RUNDIR_BASE, err);
	if (r < 0)
		return r;
	r = carry_out(conf, &plan, &found, state, err);
	if (r < 0)
		undo(conf, state);
	return r;
}

static int send_report(int socket, const char *text, const int fds[2])
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * 2)];
	} control = { 0 };
	struct iovec iov = { .iov_base = (char *)text, .iov_len = 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	size_t len = strlen(text) + 1;

	if (fds) {
		struct cmsghdr *header;

		message.msg_control = control.space;
		message.msg_controllen = sizeof control.space;
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * 2);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * 2);
	}
	if (sendmsg(socket, &message, MSG_NOSIGNAL) != 1)
		return -errno;
	for (size_t sent = 1; sent < len;) {
		ssize_t n = send(socket, text + sent, len - sent, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return -errno;
		sent += n > 0 ? (size_t)n : 0;
	}
	return 0;
}

static void child(const struct conf *conf, const char *root_path, int log_fd, int socket)
{
	struct state state = { .phase = PHASE_BOOTING };
	auto_free char *text = NULL, *report = NULL;
	struct err err = { 0 };
	int fds[2] = { -1, -1 }, r;

	r = fds[1] = build(conf, root_path, log_fd, &state, &err);
	if (r >= 0) {
		fds[0] = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
		if (fds[0] < 0)
			r = err_set(&err, errno, "cannot open /proc/self/ns/mnt");
	}
	text = r >= 0 ? state_format(&state) : NULL;
	if (r < 0)
		r = asprintf(&report, "%d %d %s", -r, err.usage, err.msg);
	else
		r = asprintf(&report, "0 0 %s", text ? text : "");
	if (r > 0)
		send_report(socket, report, fds[0] >= 0 ? fds : NULL);
	/* Not exit(): threads may still hang in the kernel, and the launcher's buffers are not ours to write. */
	_exit(0);
}

int builder_start(struct builder *builder, const struct conf *conf, const char *root_path, int log_fd, struct err *err)
{
	pid_t parent = getpid();
	int pair[2];

	*builder = (struct builder){ .socket = -1, .ns = -1, .root = -1 };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(err, errno, "cannot make a socket pair");
	builder->pid = fork();
	if (builder->pid < 0) {
		close(pair[0]);
		close(pair[1]);
		return err_set(err, errno, "cannot fork");
	}
	if (builder->pid == 0) {
		sigset_t none;

		/* If the supervisor is killed, so is the builder, and its namespace with all that was mounted in it. */
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		close(pair[0]);
		child(conf, root_path, log_fd, pair[1]);
	}
	close(pair[1]);
	builder->socket = pair[0];
	return 0;
}

static void take_fds(struct builder *builder, struct msghdr *message)
{
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		int fds[2];

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS || header->cmsg_len != CMSG_LEN(sizeof fds))
			continue;
		memcpy(fds, CMSG_DATA(header), sizeof fds);
		builder->ns = fds[0];
		builder->root = fds[1];
	}
}

/* Takes in what has arrived. Returns 1 when the report is complete, 0 when more is to come, -errno. */
static int receive(struct builder *builder)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * 2)];
	} control;
	char buffer[4096];
	struct iovec iov = { .iov_base = buffer, .iov_len = sizeof buffer };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space };
	ssize_t n = recvmsg(builder->socket, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	char *grown;

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	take_fds(builder, &message);
	grown = realloc(builder->report, builder->report_len + (size_t)n);
	if (!grown)
		return -ENOMEM;
	builder->report = grown;
	memcpy(grown + builder->report_len, buffer, (size_t)n);
	builder->report_len += (size_t)n;
	return grown[builder->report_len - 1] == '\0';
}

static int parse_report(struct builder *builder, struct state *state, struct err *err)
{
	int error, usage, at = 0;

	if (sscanf(builder->report, "%d %d %n", &error, &usage, &at) != 2 || at == 0)
		return err_set(err, -EPROTO, "the builder's report cannot be read");
	if (error != 0) {
		err_set(err, -error, "%s", builder->report + at);
		err->usage = usage;
		return -error;
	}
	if (builder->ns < 0 || builder->root < 0)
		return err_set(err, -EPROTO, "the builder sent no descriptors");
	return state_parse(state, builder->report + at, err);
}

int builder_read(struct builder *builder, struct state *state, struct err *err)
{
	int r = receive(builder);

	if (r == 0)
		return -EAGAIN;
	if (r < 0)
		r = err_set(err, r, "the builder was killed before it was done");
	else
		r = parse_report(builder, state, err);
	close(take_fd(&builder->socket));
	free(builder->report);
	builder->report = NULL;
	if (r < 0)
		builder_abandon(builder);
	return r;
}

void builder_abandon(struct builder *builder)
{
	if (builder->pid > 0)
		kill(builder->pid, SIGKILL);
	cleanup_close(&builder->socket);
	cleanup_close(&builder->ns);
	cleanup_close(&builder->root);
	free(builder->report);
	*builder = (struct builder){ .socket = -1, .ns = -1, .root = -1 };
}
