/* interop_link: on WSL, a link beside the interop sockets by which the processes of the OS find one that lives. */
#include "interop_link.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "log.h"
#include "util.h"

#define SOON_MS 300
#define SOON_LOOKS 10
#define LOOK_EVERY_MS 15000 /* the file of a socket stays when its session is killed: only a look tells */

/* Where the directory is not there yet, a later look finds it. */
static void watch(struct interop_link *link)
{
	if (!link->watching && link->inotify >= 0)
		link->watching = inotify_add_watch(link->inotify, INTEROP_DIR, IN_CREATE | IN_DELETE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE_SELF) >= 0;
}

void interop_link_begin(struct interop_link *link, const char *path, const char *preferred)
{
	*link = (struct interop_link){ .inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), .active = true, .preferred = preferred };
	if (path)
		snprintf(link->path, sizeof link->path, "%s", path);
	else
		snprintf(link->path, sizeof link->path, INTEROP_DIR "/%d_interop", getpid());
	snprintf(link->variable, sizeof link->variable, "WSL_INTEROP=%s", link->path);
	interop_link_look(link);
}

int interop_link_fd(const struct interop_link *link)
{
	return link->active ? link->inotify : -1;
}

int interop_link_due_ms(const struct interop_link *link)
{
	int64_t left = link->look_at - util_now_ms();

	if (!link->active)
		return -1;
	return left > 0 ? (int)left : 0;
}

/* Whether the link leads to `target`. */
static bool leads_to(const struct interop_link *link, const char *target)
{
	char buffer[PATH_MAX];
	ssize_t len = readlink(link->path, buffer, sizeof buffer - 1);

	if (len < 0)
		return false;
	buffer[len] = '\0';
	return strcmp(buffer, target) == 0;
}

/* A living socket of that name is WSL's own. A dead one is left over from another process that once had our number: nobody misses it. */
static bool is_taken(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && !S_ISLNK(st.st_mode) && !(S_ISSOCK(st.st_mode) && !interop_answers(path));
}

void interop_link_remove(const char *path)
{
	if (path && !is_taken(path))
		unlink(path);
}

/* Made beside and renamed, so that whoever looks always finds one. */
static bool make_link(const struct interop_link *link, const char *target)
{
	char new[INTEROP_PATH + 8];

	if (is_taken(link->path))
		return false;
	snprintf(new, sizeof new, "%s.new", link->path);
	unlink(new);
	if (symlink(target, new) == 0 && rename(new, link->path) == 0)
		return true;
	log_info("cannot make %s: %s", link->path, strerror(errno));
	unlink(new);
	return false;
}

/* Whether something has happened in the directory. */
static bool drain(const struct interop_link *link)
{
	char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool any = false;

	while (read(link->inotify, events, sizeof events) > 0)
		any = true;
	return any;
}

void interop_link_look(struct interop_link *link)
{
	char found[INTEROP_PATH];
	struct err err;

	if (!link->active)
		return;
	/* A socket that has just been made is not listened on yet, and that gives no event. */
	if (drain(link))
		link->soon = SOON_LOOKS;
	link->look_at = util_now_ms() + LOOK_EVERY_MS;
	watch(link);
	if (link->target[0] && leads_to(link, link->target) && interop_answers(link->target))
		return;
	if (interop_find(INTEROP_DIR, link->preferred, found, &err) < 0) {
		/* With a link to a dead socket the interpreter would look no further up. */
		if (link->target[0])
			log_info("%s", err.msg);
		interop_link_remove(link->path);
		link->target[0] = '\0';
		if (link->soon > 0) {
			link->soon--;
			link->look_at = util_now_ms() + SOON_MS;
		}
	} else if (make_link(link, found)) {
		log_info("Windows programs run in the OS by %s, which leads to %s", link->path, found);
		strcpy(link->target, found);
	}
	/* Our own doings are no news. */
	drain(link);
}

void interop_link_end(struct interop_link *link)
{
	if (!link->active)
		return;
	interop_link_remove(link->path);
	cleanup_close(&link->inotify);
	link->active = false;
}
