/* notify: tells the service manager that started us how far we are. */
#include "notify.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "util.h"

void notify_send(const char *socket_path, const char *message)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = socket_path ? strlen(socket_path) : 0;
	auto_close int fd = -1;

	if (len < 2 || len >= sizeof address.sun_path || (socket_path[0] != '/' && socket_path[0] != '@'))
		return;
	memcpy(address.sun_path, socket_path, len);
	/* "@" stands for the NUL of an abstract address. */
	if (address.sun_path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	/* A manager that does not listen will say so itself when its time is up. */
	if (fd >= 0 &&
	    sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		return;
}
