/* control: the socket between the supervisor and those who ask it, and its wire format. */
#ifndef GCDBOOT_CONTROL_H
#define GCDBOOT_CONTROL_H

#include <stdint.h>

#include "err.h"

/*
 * /run/gcdboot/NAME/control is a SOCK_SEQPACKET socket. A peer sends one struct control_request; the supervisor answers with one or more
 * struct control_reply packets, the last of which has type CONTROL_DONE or CONTROL_FAILED. Only a peer with uid 0 (SO_PEERCRED) is answered.
 * Both structs may grow at their end: a receiver takes what it knows of and ignores the rest, so a later request can carry argv and descriptors.
 */
#define CONTROL_MAGIC 0x42444347u /* "GCDB" */
#define CONTROL_VERSION 1
#define CONTROL_TEXT 1024
#define CONTROL_FDS 2

enum control_type {
	/* requests */
	CONTROL_GET_OS = 1, /* fds: the OS's mount namespace and its root directory (O_PATH) */
	CONTROL_GET_HOST,   /* fds: the host's mount namespace and its root directory (O_PATH) */
	CONTROL_STOP,       /* timeout_ms; CONTROL_LINE for each thing to tell, then DONE or FAILED */
	CONTROL_CONFIRM,    /* DONE: confirmed, or nothing to confirm; text tells which. FAILED with -ETIME: too late */
	/* replies */
	CONTROL_LINE = 100, /* text: one line to show */
	CONTROL_DONE,       /* status 0; with fds or text where asked for */
	CONTROL_FAILED,     /* status: -errno; text: why */
};

struct control_request {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	int32_t timeout_ms; /* -1: the configured one */
};

struct control_reply {
	uint32_t magic;
	uint16_t version;
	uint16_t type;
	int32_t status;
	char text[CONTROL_TEXT]; /* NUL-terminated */
};

/*
 * control_client.c (no library but libc: chroot_escape links it too).
 * Connects to `socket_path` and sends the request. Returns the connected descriptor or -errno (-ECONNREFUSED, -ENOENT: nobody listens).
 */
int control_ask(const char *socket_path, enum control_type type, int timeout_ms, struct err *err);

/*
 * Receives one reply, with up to CONTROL_FDS descriptors (-1 where none came; the caller owns them; close-on-exec is set). Waits at most
 * timeout_ms (-1: for ever). Returns 0, -ETIMEDOUT, -ECONNRESET where the supervisor went away, -EPROTO for what it cannot read.
 */
int control_receive(int fd, struct control_reply *reply, int fds[CONTROL_FDS], int timeout_ms, struct err *err);

/* Asks for descriptors (CONTROL_GET_OS, CONTROL_GET_HOST) and returns 0 with both, or -errno. Waits at most 5 s. */
int control_get_fds(const char *socket_path, enum control_type type, int fds[CONTROL_FDS], struct err *err);

/* As control_get_fds(), but waits at most wait_ms: for one who has several sockets to try. */
int control_get_fds_within(const char *socket_path, enum control_type type, int fds[CONTROL_FDS], int wait_ms, struct err *err);

#endif
