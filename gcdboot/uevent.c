/* uevent: sleeps until the kernel tells of a block device. */
#include "uevent.h"

#include <errno.h>
#include <linux/netlink.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>

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

/* The value of NAME=, where the message has it; it ends with a NUL or with the message. */
static const char *find_value(const char *message, size_t len, const char *name, size_t *value_len)
{
	size_t name_len = strlen(name), n;

	for (size_t at = 0; at < len; at += n + 1) {
		n = strnlen(message + at, len - at);
		if (n > name_len && memcmp(message + at, name, name_len) == 0 && message[at + name_len] == '=') {
			*value_len = n - name_len - 1;
			return message + at + name_len + 1;
		}
	}
	return NULL;
}

bool uevent_is_block(const char *message, size_t len)
{
	size_t n = 0;
	const char *value = find_value(message, len, "SUBSYSTEM", &n);

	return value && n == 5 && memcmp(value, "block", n) == 0;
}

static bool find_number(const char *message, size_t len, const char *name, unsigned *number)
{
	size_t n = 0;
	const char *value = find_value(message, len, name, &n);

	*number = 0;
	for (size_t i = 0; value && i < n && value[i] >= '0' && value[i] <= '9'; i++)
		*number = *number * 10 + (unsigned)(value[i] - '0');
	return value && n > 0;
}

dev_t uevent_device(const char *message, size_t len)
{
	unsigned maj, min;

	return find_number(message, len, "MAJOR", &maj) && find_number(message, len, "MINOR", &min) ? makedev(maj, min) : 0;
}

static void add_device(struct uevent_devices *devices, dev_t dev)
{
	if (devices->count == sizeof devices->dev / sizeof *devices->dev)
		devices->all = true;
	else if (dev)
		devices->dev[devices->count++] = dev;
}

/* Takes everything that is queued. Returns whether any of it is reason for a look. */
static bool uevent_drain(int fd, struct uevent_devices *devices)
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
		if (n < 0)
			block = devices->all = true;
		else if (from.nl_pid == 0 && uevent_is_block(message, (size_t)n)) {
			add_device(devices, uevent_device(message, (size_t)n));
			block = true;
		}
	}
}

bool uevent_wait(int fd, int other, int timeout_ms, struct uevent_devices *devices)
{
	int64_t deadline = util_now_ms() + timeout_ms;
	/* poll(2) ignores a negative descriptor and sleeps */
	struct pollfd wait[] = { { .fd = fd, .events = POLLIN }, { .fd = other, .events = POLLIN } };
	int64_t left;

	while ((left = deadline - util_now_ms()) > 0) {
		if (poll(wait, 2, (int)left) <= 0)
			continue;
		if (uevent_drain(fd, devices))
			return true;
		if (wait[1].revents)
			return false;
	}
	return false;
}
