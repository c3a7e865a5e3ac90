/* uevent: sleeps until the kernel tells of a block device. */
#include "uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

#include "util.h"

#define KERNEL_GROUP 1 /* the kernel's own messages; group 2 is udev's */
#define MESSAGE_MAX 8192

int uevent_open(void)
{
	struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = KERNEL_GROUP };
	auto_close int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_KOBJECT_UEVENT);

	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0)
		return -errno;
	return take_fd(&fd);
}

bool uevent_is_block(const char *message, size_t len)
{
	static const char wanted[] = "SUBSYSTEM=block";
	size_t n;

	for (size_t at = 0; at < len; at += n + 1) {
		n = strnlen(message + at, len - at);
		if (n == sizeof wanted - 1 && memcmp(message + at, wanted, n) == 0)
			return true;
	}
	return false;
}

/* Takes everything that is queued. Returns whether any of it is reason for a look. */
static bool uevent_drain(int fd)
{
	char message[MESSAGE_MAX];
	bool block = false;

	for (;;) {
		struct sockaddr_nl from = { 0 };
		socklen_t from_len = sizeof from;
		ssize_t n = recvfrom(fd, message, sizeof message, 0, (struct sockaddr *)&from, &from_len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != ENOBUFS)
			return block;
		/*
		 * ENOBUFS: the queue overflowed, and what was lost may have been the event that we wait for. A process may send to the group too (nl_pid
		 * is then its own): no harm, but no event either.
		 */
		if (n < 0 || (from.nl_pid == 0 && uevent_is_block(message, (size_t)n)))
			block = true;
	}
}

bool uevent_wait(int fd, int timeout_ms)
{
	int64_t deadline = util_now_ms() + timeout_ms;
	struct pollfd wait = { .fd = fd, .events = POLLIN }; /* poll(2) ignores a negative descriptor and sleeps */
	int64_t left;

	while ((left = deadline - util_now_ms()) > 0) {
		if (poll(&wait, 1, (int)left) > 0 && uevent_drain(fd))
			return true;
	}
	return false;
}
