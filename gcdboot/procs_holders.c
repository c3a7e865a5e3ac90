/* procs_holders: which processes hold the mounts of the OS. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

#include "mountid.h"
#include "path.h"
#include "procs.h"
#include "table.h"
#include "text.h"

/* The longest list of holders that helps anybody. */
#define HOLDERS_MAX 50

struct search {
	struct strlist *holders;
	const char *root;
	unsigned dev_major, dev_minor; /* 0:0: unknown */
	struct host_ns ns;             /* the caller's */
	struct table table;            /* the caller's mounts */
	const struct proc *proc;       /* that is looked at */
};

static void add_holder(const struct search *search, const char *what, const char *path)
{
	auto_free char *name = text_safe(search->proc->name), *target = text_safe(path);

	if (search->holders->count < HOLDERS_MAX)
		strlist_addf(search->holders, "pid %d (%s): %s %s", search->proc->pid, name ? name : "?", what, target ? target : "?");
}

static const struct table_mount *own_mount(const struct search *search, int id)
{
	for (size_t i = 0; id > 0 && i < search->table.count; i++)
		if (search->table.mount[i].id == id)
			return &search->table.mount[i];
	return NULL;
}

static bool is_device(const struct search *search, unsigned dev_major, unsigned dev_minor)
{
	return (search->dev_major || search->dev_minor) && search->dev_major == dev_major && search->dev_minor == dev_minor;
}

/*
 * A path below the root says little where the root is not mounted in our own namespace: somebody may stand in the empty mount point. Only the mount
 * tells. 0: unknown.
 */
static bool is_in_root(const struct search *search, int mount_id)
{
	const struct table_mount *mount = own_mount(search, mount_id);

	return !mount || path_is_below(mount->target, search->root) || is_device(search, mount->major, mount->minor);
}

/* The mount that a working directory, root, executable or mapped file stands on; 0: unknown. O_PATH waits for no server. */
static int mount_of_link(const char *path)
{
	auto_close int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? 0 : mountid_of(fd);
}

static void look_at_links(const struct search *search)
{
	static const char *const links[][2] = {
		{ "cwd", "has as working directory" },
		{ "root", "has as root" },
		{ "exe", "runs" },
	};
	char path[64], target[PATH_MAX];

	for (size_t i = 0; i < sizeof links / sizeof *links; i++) {
		procs_link(search->proc->pid, links[i][0], target);
		snprintf(path, sizeof path, "/proc/%d/%s", search->proc->pid, links[i][0]);
		if (target[0] == '/' && path_is_below(target, search->root) && is_in_root(search, mount_of_link(path)))
			add_holder(search, links[i][1], target);
	}
}

/*
 * Whether it lies on the device, though its path does not say so: its mount is gone, or it is one more of the host's. Only what is on no mount of
 * ours is looked at itself: before statx(2) (Linux 4.11) a server that hangs would be asked.
 */
static bool is_on_device(const struct search *search, int fd, int mount_id)
{
	const struct table_mount *mount = own_mount(search, mount_id);
	struct statx sx;
	struct stat st;

	if (mount)
		return is_device(search, mount->major, mount->minor);
	if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &sx) == 0)
		return is_device(search, sx.stx_dev_major, sx.stx_dev_minor);
	return fstat(fd, &st) == 0 && is_device(search, major(st.st_dev), minor(st.st_dev));
}

static void look_at_descriptor(const struct search *search, const char *number)
{
	char path[320], what[320], target[PATH_MAX];
	auto_close int fd = -1;
	int mount;

	snprintf(path, sizeof path, "fd/%s", number);
	procs_link(search->proc->pid, path, target);
	if (target[0] != '/')
		return; /* a socket, a pipe */
	snprintf(path, sizeof path, "/proc/%d/fd/%s", search->proc->pid, number);
	fd = open(path, O_PATH | O_CLOEXEC);
	mount = fd < 0 ? 0 : mountid_of(fd);
	if (path_is_below(target, search->root) ? is_in_root(search, mount) : fd >= 0 && is_on_device(search, fd, mount)) {
		snprintf(what, sizeof what, "has open as descriptor %s", number);
		add_holder(search, what, target);
	}
}

static void look_at_descriptors(const struct search *search)
{
	auto_closedir DIR *dir = NULL;
	char path[64];

	snprintf(path, sizeof path, "/proc/%d/fd", search->proc->pid);
	dir = opendir(path);
	for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir))
		if (entry->d_name[0] != '.')
			look_at_descriptor(search, entry->d_name);
}

/* A line of proc_pid_maps(5) tells addresses and device; the mount has to be asked for. */
static bool map_holds(const struct search *search, const char *line, const char *target)
{
	unsigned long from, to;
	unsigned dev_major, dev_minor;
	char path[96];

	if (sscanf(line, "%lx-%lx %*s %*x %x:%x", &from, &to, &dev_major, &dev_minor) != 4)
		return false;
	if (is_device(search, dev_major, dev_minor))
		return true;
	snprintf(path, sizeof path, "/proc/%d/map_files/%lx-%lx", search->proc->pid, from, to);
	return path_is_below(target, search->root) && is_in_root(search, mount_of_link(path));
}

static void look_at_maps(const struct search *search)
{
	char path[64], *line = NULL, *target;
	auto_fclose FILE *in = NULL;
	size_t size = 0;

	snprintf(path, sizeof path, "/proc/%d/maps", search->proc->pid);
	in = fopen(path, "re");
	while (in && getline(&line, &size, in) > 0) {
		line[strcspn(line, "\n")] = '\0';
		target = strchr(line, '/');
		if (target && map_holds(search, line, target)) {
			add_holder(search, "has mapped", target);
			break; /* one mapping is enough to hold it */
		}
	}
	free(line);
}

static void look_at_namespace(const struct search *search)
{
	struct host_ns ns;

	if ((search->dev_major || search->dev_minor) && procs_ns(search->proc->pid, &ns) == 0 && (ns.dev != search->ns.dev || ns.ino != search->ns.ino) &&
	    procs_ns_has_device(search->proc->pid, search->dev_major, search->dev_minor))
		add_holder(search, "has it mounted in a namespace of its own, root", "/");
}

static void look_at(const struct search *search)
{
	size_t before = search->holders->count;

	look_at_links(search);
	look_at_descriptors(search);
	look_at_maps(search);
	if (search->holders->count == before)
		look_at_namespace(search);
}

/* A loop device keeps its file open without any process. */
static void look_at_loops(const struct search *search)
{
	auto_closedir DIR *dir = opendir("/sys/block");

	for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
		char path[300], backing[PATH_MAX] = "";
		auto_fclose FILE *in = NULL;

		snprintf(path, sizeof path, "/sys/block/%s/loop/backing_file", entry->d_name);
		in = fopen(path, "re");
		if (!in || !fgets(backing, sizeof backing, in))
			continue;
		backing[strcspn(backing, "\n")] = '\0';
		if (path_is_below(backing, search->root)) {
			auto_free char *safe = text_safe(backing);

			strlist_addf(search->holders, "/dev/%s is attached to %s: losetup -d /dev/%s", entry->d_name, safe ? safe : "?", entry->d_name);
		}
	}
}

int procs_holders(struct strlist *holders, const char *root_path, unsigned dev_major, unsigned dev_minor, struct err *err)
{
	struct search search = { .holders = holders, .root = root_path, .dev_major = dev_major, .dev_minor = dev_minor };
	struct procs all;
	int r = procs_all(&all);

	if (r == 0)
		r = host_own_ns(&search.ns);
	/* Without the table a path alone has to do. */
	if (r == 0 && table_read(&search.table, NULL, NULL) < 0)
		search.table = (struct table){ 0 };
	for (size_t i = 0; i < all.count && r == 0; i++) {
		search.proc = &all.proc[i];
		look_at(&search);
	}
	if (r == 0)
		look_at_loops(&search);
	table_clear(&search.table);
	procs_clear(&all);
	return r < 0 ? err_set(err, -r, "cannot read the processes in /proc") : 0;
}
