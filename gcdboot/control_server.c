/* control_server: the supervisor's side of the control socket. */
#include "control_server.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "util.h"

int control_listen(const char *path, struct err *err)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	auto_close int fd = -1;
	mode_t old;
	int r;

	if (strlen(path) >= sizeof address.sun_path)
		return err_set(err, ENAMETOOLONG, "cannot listen on %s", path);
	strcpy(address.sun_path, path);
	/* We hold the lock: a socket that is there was left by a supervisor that is gone. */
	unlink(path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, errno, "cannot make a socket");
	old = umask(0177);
	r = bind(fd, (struct sockaddr *)&address, sizeof address);
	umask(old);
	if (r < 0 || listen(fd, 64) < 0)
		return err_set(err, errno, "cannot listen on %s", path);
	return take_fd(&fd);
}

int control_request_read(int fd, struct control_request *request)
{
	struct ucred peer;
	socklen_t size = sizeof peer;
	ssize_t n;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	if (peer.uid != 0)
		return -EPERM;
	memset(request, 0, sizeof *request);
	n = recv(fd, request, sizeof *request, MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof *request || request->magic != CONTROL_MAGIC)
		return -EPROTO;
	return 0;
}

int control_accept(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	return fd < 0 ? -errno : fd;
}

int control_reply_send(int fd, enum control_type type, int status, const char *text, const int *fds, size_t fd_count)
{
	struct control_reply reply = { .magic = CONTROL_MAGIC, .version = CONTROL_VERSION, .type = (uint16_t)type, .status = status };
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * CONTROL_FDS)];
	} control = { 0 };
	struct iovec iov = { .iov_base = &reply, .iov_len = sizeof reply };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (text)
		snprintf(reply.text, sizeof reply.text, "%s", text);
	if (fd_count > 0 && fd_count <= CONTROL_FDS) {
		struct cmsghdr *header;

		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
	}
	/* A peer that does not read must not stop the supervisor: non-blocking, and what does not fit is lost to that peer only. */
	return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}
