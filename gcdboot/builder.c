/* builder: the child process that finds the disk, mounts it, binds the host into it, and hands the result to the supervisor. */
#include "builder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "build.h"

#define DEATH_MS 2000
#define DEATH_LOOK_MS 2

/*
 * The report: "0" or an errno and a space, then the state or the message, then a NUL. The first packet carries the two descriptors of a success. Before it
 * come any number of notes, each with its NUL: "attached DRIVE", or "attached " where it was not.
 */
#define NOTE "attached "

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

static void send_note(void *arg, const char *drive)
{
	char note[64];

	snprintf(note, sizeof note, NOTE "%s", drive ? drive : "");
	send_report(*(const int *)arg, note, NULL);
}

static void child(const struct build *setup, int socket)
{
	struct build own = *setup;
	struct state state = { .phase = PHASE_BOOTING };
	auto_free char *text = NULL, *report = NULL;
	struct err err = { 0 };
	int fds[2] = { -1, -1 }, r;

	own.note_attached = send_note;
	own.arg = &socket;
	r = fds[1] = build(&own, &state, &err);
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

int builder_start(struct builder *builder, const struct build *setup, struct err *err)
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
		/* Ctrl-C is the supervisor's business, also where that is in the foreground: it ends us, and says why. */
		setsid();
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		close(pair[0]);
		child(setup, pair[1]);
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

/* Takes in what has arrived. Returns 1 when the report (or a note) is complete, 0 when more is to come, -errno. */
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

/* Takes the notes that stand before the report. Returns whether the state has changed. */
static bool take_notes(struct builder *builder, struct state *state)
{
	bool changed = false;
	char *end;

	while (builder->report_len > strlen(NOTE) && strncmp(builder->report, NOTE, strlen(NOTE)) == 0 &&
	       (end = memchr(builder->report, '\0', builder->report_len))) {
		const char *drive = builder->report + strlen(NOTE);

		free(state->attached);
		state->attached = *drive ? strdup(drive) : NULL;
		changed = true;
		builder->report_len -= (size_t)(end + 1 - builder->report);
		memmove(builder->report, end + 1, builder->report_len);
	}
	return changed;
}

int builder_read(struct builder *builder, struct state *state, struct err *err)
{
	int r = receive(builder);

	if (r >= 0 && take_notes(builder, state) && builder->report_len == 0)
		return -EINPROGRESS;
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
	else
		builder->pid = 0; /* done; it is reaped like any other child, and its number may then be another's */
	return r;
}

/* It must not mount any more when we go on. One that hangs in the kernel is not waited for longer than this: its death is certain. */
static void kill_and_wait(pid_t pid)
{
	kill(pid, SIGKILL);
	for (int waited = 0; waited < DEATH_MS && waitpid(pid, NULL, WNOHANG) == 0; waited += DEATH_LOOK_MS)
		poll(NULL, 0, DEATH_LOOK_MS);
}

void builder_abandon(struct builder *builder)
{
	if (builder->pid > 0)
		kill_and_wait(builder->pid);
	cleanup_close(&builder->socket);
	cleanup_close(&builder->ns);
	cleanup_close(&builder->root);
	free(builder->report);
	*builder = (struct builder){ .socket = -1, .ns = -1, .root = -1 };
}
