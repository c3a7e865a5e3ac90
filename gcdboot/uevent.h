/* uevent: sleeps until the kernel tells of a block device. */
#ifndef GCDBOOT_UEVENT_H
#define GCDBOOT_UEVENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Opens the kernel's uevent socket, which queues from now on: open it before the first look, so that what appears between the look and the
 * wait still wakes. Returns the descriptor, or -errno where there is none to be had (a container); uevent_wait() then only sleeps.
 */
int uevent_open(void);

/* The block devices that events told of. */
struct uevent_devices {
	dev_t dev[64];
	size_t count;
	bool all; /* more than can be told: the queue overflowed, or there was no room */
};

/*
 * Waits for an event of a block device, at most timeout_ms, or until `other` (-1: none) can be read. All that is queued is taken at once, so that a burst
 * wakes once, and its devices are added to `devices`. Returns true where an event came (or where the queue overflowed, and one may have been lost),
 * false after the time, or for `other`.
 */
bool uevent_wait(int fd, int other, int timeout_ms, struct uevent_devices *devices);

/* Whether the message ("add@/devices/...", then NAME=VALUE strings, each NUL-terminated) is of the block subsystem. Pure. */
bool uevent_is_block(const char *message, size_t len);

/* The device's number, from MAJOR= and MINOR= in the message; 0 where it has none. Pure. */
dev_t uevent_device(const char *message, size_t len);

#endif
