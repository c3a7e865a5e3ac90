/* control_server: the supervisor's side of the control socket. */
#ifndef GCDBOOT_CONTROL_SERVER_H
#define GCDBOOT_CONTROL_SERVER_H

#include <stddef.h>
#include <sys/stat.h>

#include "control.h"

/* Binds and listens on path, mode 0600; removes what lies there. Returns a non-blocking descriptor or -errno. */
int control_listen(const char *path, struct err *err);

/* Accepts one peer; its non-blocking descriptor or -errno. */
int control_accept(int listener);

/* Reads a peer's request. 0; -EAGAIN where it has not come yet; -EPERM for a peer that is not root; -EPROTO for garbage; other -errno. */
int control_request_read(int fd, struct control_request *request);

/* Sends one reply with descriptors (fds may be NULL with fd_count 0). Never blocks. Returns 0 or -errno. */
int control_reply_send(int fd, enum control_type type, int status, const char *text, const int *fds, size_t fd_count);

#endif
