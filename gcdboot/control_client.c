/* control_client: asks the supervisor; no wait on it is without a bound. */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>

#include "control.h"
#include "util.h"

#define ASK_TIMEOUT_MS 5000

/* Waits until fd can be read, the other side is gone (both 0), or timeout_ms (-1: for ever) is over (-ETIMEDOUT). */
static int wait_readable(int fd, int timeout_ms)
{
	struct pollfd wait = { .fd = fd, .events = POLLIN };
	int64_t end = util_now_ms() + timeout_ms;
	int ready = poll(&wait, 1, timeout_ms);

	while (ready < 0 && errno == EINTR) {
		int64_t left = end - util_now_ms();

		ready = poll(&wait, 1, timeout_ms < 0 ? -1 : left > 0 ? (int)left : 0);
	}
	if (ready < 0)
		return -errno;
	return ready == 0 ? -ETIMEDOUT : 0;
}

/* connect(2) waits while the listener's queue is full, which SO_SNDTIMEO bounds. */
static int connect_within(const char *socket_path, int wait_ms, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000 };
	auto_close int fd = -1;
	int r;

	if (strlen(socket_path) >= sizeof address.sun_path)
		return err_set(err, ENAMETOOLONG, "cannot connect to %s", socket_path);
	memcpy(address.sun_path, socket_path, strlen(socket_path) + 1);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, errno, "cannot make a socket");
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	do
		r = connect(fd, (struct sockaddr *)&address, sizeof address);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return err_set(err, errno == EAGAIN ? ETIMEDOUT : errno, "cannot connect to %s", socket_path);
	return take_fd(&fd);
}

static int ask_within(const char *socket_path, enum control_type type, int timeout_ms, int wait_ms, struct err *err)
{
	struct control_request request = {
		.magic = CONTROL_MAGIC,
		.version = CONTROL_VERSION,
		.type = (uint16_t)type,
		.timeout_ms = timeout_ms,
	};
	auto_close int fd = connect_within(socket_path, wait_ms, err);
	ssize_t n;

	if (fd < 0)
		return fd;
	do
		n = send(fd, &request, sizeof request, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_set(err, errno == EAGAIN ? ETIMEDOUT : errno, "cannot send a request to %s", socket_path);
	return take_fd(&fd);
}

int control_ask(const char *socket_path, enum control_type type, int timeout_ms, struct err *err)
{
	return ask_within(socket_path, type, timeout_ms, ASK_TIMEOUT_MS, err);
}

static void close_fds(int fds[CONTROL_FDS])
{
	for (int i = 0; i < CONTROL_FDS; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

/* Takes the descriptors out of the message. The buffer has room for CONTROL_FDS of them: more never arrive here, the kernel drops them. */
static void take_fds(struct msghdr *message, int fds[CONTROL_FDS])
{
	int count = 0;

	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
		size_t size = header->cmsg_len - CMSG_LEN(0);

		if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= size && count < CONTROL_FDS; at += sizeof(int))
			memcpy(&fds[count++], CMSG_DATA(header) + at, sizeof(int));
	}
}

int control_receive(int fd, struct control_reply *reply, int fds[CONTROL_FDS], int timeout_ms, struct err *err)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * CONTROL_FDS)];
	} control;
	struct iovec iov = { .iov_base = reply, .iov_len = sizeof *reply };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space };
	ssize_t n;
	int r;

	for (int i = 0; i < CONTROL_FDS; i++)
		fds[i] = -1;
	memset(reply, 0, sizeof *reply);
	r = wait_readable(fd, timeout_ms);
	if (r < 0)
		return err_set(err, -r, "no answer from the supervisor");
	do
		n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return err_set(err, errno, "cannot read the supervisor's answer");
	if (n == 0)
		return err_set(err, -ECONNRESET, "the supervisor went away without an answer");
	take_fds(&message, fds);
	reply->text[sizeof reply->text - 1] = '\0';
	/* MSG_TRUNC is fine: a later supervisor's reply may be longer. MSG_CTRUNC is not: nothing here asks for more descriptors. */
	if ((size_t)n < offsetof(struct control_reply, text) || reply->magic != CONTROL_MAGIC || reply->version < CONTROL_VERSION ||
	    (message.msg_flags & MSG_CTRUNC)) {
		close_fds(fds);
		return err_set(err, -EPROTO, "the answer is not one of gcdboot's");
	}
	return 0;
}

/* Receives until the answer is there; the lines to show before it (none are sent today) are passed over. */
static int receive_fds(int fd, int fds[CONTROL_FDS], int64_t deadline, struct err *err)
{
	struct control_reply reply;
	int r;

	do {
		int64_t left = deadline - util_now_ms();

		/* Asked for here too: one that always has a line ready would keep us for ever. */
		if (left <= 0)
			return err_set(err, ETIMEDOUT, "no answer from the supervisor");
		r = control_receive(fd, &reply, fds, (int)left, err);
		if (r < 0)
			return r;
		if (reply.type != CONTROL_DONE)
			close_fds(fds);
	} while (reply.type == CONTROL_LINE);

	if (reply.type == CONTROL_FAILED)
		return err_set(err, reply.status < 0 && reply.status > -4096 ? reply.status : -EIO, "the supervisor refused: %s", reply.text);
	if (reply.type != CONTROL_DONE || fds[0] < 0 || fds[1] < 0) {
		close_fds(fds);
		return err_set(err, -EPROTO, "the supervisor sent no descriptors");
	}
	return 0;
}

int control_get_fds_within(const char *socket_path, enum control_type type, int fds[CONTROL_FDS], int wait_ms, struct err *err)
{
	int64_t deadline = util_now_ms() + wait_ms;
	auto_close int fd = -1;
	int r;

	for (int i = 0; i < CONTROL_FDS; i++)
		fds[i] = -1;
	/* A zero SO_SNDTIMEO would be no limit at all. */
	if (wait_ms <= 0)
		return err_set(err, ETIMEDOUT, "%s", socket_path);
	fd = ask_within(socket_path, type, -1, wait_ms, err);
	if (fd < 0)
		return fd;
	r = receive_fds(fd, fds, deadline, err);
	return r < 0 ? err_prefix(err, r, "%s", socket_path) : 0;
}

int control_get_fds(const char *socket_path, enum control_type type, int fds[CONTROL_FDS], struct err *err)
{
	return control_get_fds_within(socket_path, type, fds, ASK_TIMEOUT_MS, err);
}
