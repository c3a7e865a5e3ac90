/* host: what this machine is and what its kernel lets us do. Reads only. */
#ifndef GCDBOOT_HOST_H
#define GCDBOOT_HOST_H

#include <stdbool.h>
#include <sys/types.h>

#include "err.h"

enum host_kind { HOST_PLAIN, HOST_WSL, HOST_OPENVZ };

/*
 * Which of the hosts gcdboot knows this is. OpenVZ: /proc/vz without /proc/bc. WSL: the kernel's release names microsoft; or, as people build WSL's kernel
 * themselves, there is what WSL's init brings: its sockets' directory or its binfmt_misc entry, and a drive of Windows in the mount table.
 */
enum host_kind host_kind(void);

/* The machine's name, as uname(2) has it; into a buffer of 65 bytes. */
void host_name(char name[65]);

/* 0, or -EPERM with err: not root, with the command to type. */
int host_check_root(struct err *err);

/* The same, and 0 only with the capabilities that mounting needs; else err says which one is missing. */
int host_check_privilege(struct err *err);

/* A mount namespace, as /proc/PID/ns/mnt tells it. */
struct host_ns {
	dev_t dev;
	ino_t ino;
};

/* The caller's own mount namespace. Returns 0 or -errno. */
int host_own_ns(struct host_ns *ns);

/* A string that is another after each start of the machine (/proc/sys/kernel/random/boot_id, 36 characters); "" where the kernel has none. */
void host_boot_id(char id[40]);

#endif
