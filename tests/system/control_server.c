/* control_server: answers on a control socket in the host's place, rightly or in one of the wrong ways. For tests. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../gcdboot/control.h"

#define FDS_MAX 8

static void fail(const char *what)
{
	perror(what);
	exit(1);
}

static int listen_on(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 1) < 0)
		fail(path);
	return fd;
}

static void send_bytes(int peer, const void *bytes, size_t size, const int *fds, size_t fd_count)
{
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(size_t)bytes, .iov_len = size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd_count > 0) {
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		CMSG_FIRSTHDR(&message)->cmsg_level = SOL_SOCKET;
		CMSG_FIRSTHDR(&message)->cmsg_type = SCM_RIGHTS;
		CMSG_FIRSTHDR(&message)->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, sizeof(int) * fd_count);
	}
	sendmsg(peer, &message, MSG_NOSIGNAL);
}

static void send_reply(int peer, enum control_type type, int status, const int *fds, size_t fd_count)
{
	struct control_reply reply = { .magic = CONTROL_MAGIC, .version = CONTROL_VERSION, .type = (uint16_t)type, .status = status };

	snprintf(reply.text, sizeof reply.text, "%s", type == CONTROL_FAILED ? "not today" : "");
	send_bytes(peer, &reply, sizeof reply, fds, fd_count);
}

/* A later version's reply: longer than what this one knows of. */
static void send_longer(int peer, const int *fds)
{
	struct {
		struct control_reply reply;
		char more[64];
	} longer = { .reply = { .magic = CONTROL_MAGIC, .version = CONTROL_VERSION + 1, .type = CONTROL_DONE } };

	send_bytes(peer, &longer, sizeof longer, fds, 2);
}

static void send_lines_for_ever(int peer)
{
	struct control_reply line = { .magic = CONTROL_MAGIC, .version = CONTROL_VERSION, .type = CONTROL_LINE };

	while (send(peer, &line, sizeof line, MSG_NOSIGNAL) > 0)
		continue;
}

static void answer(int peer, const char *mode, const int host[2])
{
	int file = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int files[4] = { file, file, file, file };
	const int no_root[2] = { host[0], file };
	const int no_namespace[2] = { file, host[1] };
	struct control_request request;

	if (recv(peer, &request, sizeof request, 0) != (ssize_t)sizeof request || request.magic != CONTROL_MAGIC || request.type != CONTROL_GET_HOST)
		fprintf(stderr, "control_server: this is no request\n");
	else if (strcmp(mode, "host") == 0)
		send_reply(peer, CONTROL_DONE, 0, host, 2);
	else if (strcmp(mode, "longer") == 0)
		send_longer(peer, host);
	else if (strcmp(mode, "garbage") == 0)
		send_bytes(peer, memset(&request, 0x5a, sizeof request), sizeof request, files, 2);
	else if (strcmp(mode, "short") == 0)
		send_bytes(peer, "GCDB", 4, NULL, 0);
	else if (strcmp(mode, "failed") == 0)
		send_reply(peer, CONTROL_FAILED, -EBUSY, NULL, 0);
	else if (strcmp(mode, "nofds") == 0)
		send_reply(peer, CONTROL_DONE, 0, NULL, 0);
	else if (strcmp(mode, "onefd") == 0)
		send_reply(peer, CONTROL_DONE, 0, host, 1);
	else if (strcmp(mode, "manyfds") == 0)
		send_reply(peer, CONTROL_DONE, 0, files, 4);
	else if (strcmp(mode, "noroot") == 0)
		send_reply(peer, CONTROL_DONE, 0, no_root, 2);
	else if (strcmp(mode, "nonamespace") == 0)
		send_reply(peer, CONTROL_DONE, 0, no_namespace, 2);
	else if (strcmp(mode, "lines") == 0)
		send_lines_for_ever(peer);
	else if (strcmp(mode, "hang") == 0)
		recv(peer, &request, sizeof request, 0);
	else if (strcmp(mode, "close") != 0)
		fprintf(stderr, "control_server: no mode %s\n", mode);
	close(file);
}

int main(int argc, char **argv)
{
	int host[2] = { open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), open("/", O_PATH | O_DIRECTORY | O_CLOEXEC) };
	int listener, peer;

	if (argc != 3) {
		fprintf(stderr,
			"Usage: control_server SOCKET host|longer|garbage|short|failed|nofds|onefd|manyfds|noroot|nonamespace|lines|hang|close|noaccept\n");
		return 2;
	}
	if (host[0] < 0 || host[1] < 0)
		fail("the host's descriptors");
	listener = listen_on(argv[1]);
	/* Who starts it waits for this line. */
	puts("listening");
	fflush(stdout);
	while (strcmp(argv[2], "noaccept") == 0)
		pause();
	while ((peer = accept4(listener, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		answer(peer, argv[2], host);
		close(peer);
	}
	fail("accept");
}
