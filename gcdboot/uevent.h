/* uevent: sleeps until the kernel tells of a block device. */
#ifndef GCDBOOT_UEVENT_H
#define GCDBOOT_UEVENT_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Opens the kernel's uevent socket, which queues from now on: open it before the first look, so that what appears between the look and the
 * wait still wakes. Returns the descriptor, or -errno where there is none to be had (a container); uevent_wait() then only sleeps.
 */
int uevent_open(void);

/*
 * Waits for an event of a block device, at most timeout_ms. All that is queued is taken at once, so that a burst wakes once.
 * Returns true where one came (or where the queue overflowed, and one may have been lost), false after the time.
 */
bool uevent_wait(int fd, int timeout_ms);

/* Whether the message ("add@/devices/...", then NAME=VALUE strings, each NUL-terminated) is of the block subsystem. Pure. */
bool uevent_is_block(const char *message, size_t len);

#endif
