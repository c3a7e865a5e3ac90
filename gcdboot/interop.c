/* interop: the sockets by which WSL runs Windows programs, of which some are dead. */
#include "interop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#include "text.h"
#include "util.h"

#define CONNECT_MS 300

static int place(const struct interop_socket *socket)
{
	int fixed = strcmp(socket->name, "1_interop") == 0 ? 0 : strcmp(socket->name, "2_interop") == 0 ? 1 : 2;

	return socket->owner == 0 ? fixed : fixed + 3;
}

static int compare(const void *a, const void *b)
{
	const struct interop_socket *x = a, *y = b;

	if (place(x) != place(y))
		return place(x) - place(y);
	if (x->made.tv_sec != y->made.tv_sec)
		return x->made.tv_sec < y->made.tv_sec ? 1 : -1;
	if (x->made.tv_nsec != y->made.tv_nsec)
		return x->made.tv_nsec < y->made.tv_nsec ? 1 : -1;
	return strcmp(x->name, y->name);
}

void interop_order(struct interop_socket *sockets, size_t count)
{
	if (count)
		qsort(sockets, count, sizeof *sockets, compare);
}

bool interop_answers(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval limit = { .tv_usec = CONNECT_MS * 1000 };
	auto_close int fd = -1;
	int r;

	if (strlen(path) >= sizeof address.sun_path)
		return false;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	/* connect(2) waits while the listener's queue is full. */
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
	do
		r = connect(fd, (struct sockaddr *)&address, sizeof address);
	while (r < 0 && errno == EINTR);
	/* EPROTOTYPE: of another type, and somebody listens; whoever did not gives ECONNREFUSED. */
	return r == 0 || errno == EPROTOTYPE;
}

static bool is_interop_name(const char *name)
{
	return text_ends_with(name, "_interop") && strlen(name) < sizeof((struct interop_socket *)0)->name;
}

/* The sockets of the directory, malloc'ed; *count of them. */
static struct interop_socket *list(const char *dir, size_t *count)
{
	auto_closedir DIR *opened = opendir(dir);
	struct interop_socket *sockets = NULL, *grown;

	*count = 0;
	for (struct dirent *entry = opened ? readdir(opened) : NULL; entry; entry = readdir(opened)) {
		struct stat st;

		if (!is_interop_name(entry->d_name) || fstatat(dirfd(opened), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode))
			continue;
		grown = reallocarray(sockets, *count + 1, sizeof *sockets);
		if (!grown)
			break;
		sockets = grown;
		sockets[*count] = (struct interop_socket){ .owner = st.st_uid, .made = st.st_mtim };
		strcpy(sockets[(*count)++].name, entry->d_name);
	}
	return sockets;
}

/* Copies the path where somebody answers there. */
static bool take(char path[INTEROP_PATH], const char *candidate)
{
	if (strlen(candidate) >= INTEROP_PATH || !interop_answers(candidate))
		return false;
	memmove(path, candidate, strlen(candidate) + 1);
	return true;
}

int interop_find(const char *dir, const char *preferred, char path[INTEROP_PATH], struct err *err)
{
	auto_free struct interop_socket *sockets = NULL;
	auto_free char *real = preferred && *preferred ? realpath(preferred, NULL) : NULL;
	char candidate[PATH_MAX];
	size_t count;

	if (real && take(path, real))
		return 0;
	sockets = list(dir, &count);
	interop_order(sockets, count);
	for (size_t i = 0; i < count; i++) {
		snprintf(candidate, sizeof candidate, "%s/%s", dir, sockets[i].name);
		if (take(path, candidate))
			return 0;
	}
	if (count == 0)
		return err_set(err, -ENOTCONN,
			       "no interop socket in %s, by which Windows programs are run: interop is off, or nobody has logged on to Windows yet", dir);
	return err_set(err, -ENOTCONN, "none of the %zu interop socket%s in %s answers, by which Windows programs are run: their sessions have ended", count,
		       count == 1 ? "" : "s", dir);
}

const char *interop_variable(char *const *environment, const char *name)
{
	size_t len = strlen(name);

	for (; environment && *environment; environment++)
		if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
			return *environment + len + 1;
	return NULL;
}
