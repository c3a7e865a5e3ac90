/* procs: which processes belong to the OS. */
#include "procs.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "path.h"
#include "text.h"

void procs_clear(struct procs *procs)
{
	free(procs->proc);
	*procs = (struct procs){ 0 };
}

/* A whole small file of /proc; its length or -errno. */
static ssize_t read_proc(const char *path, char *text, size_t size)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return n;
}

int procs_read(struct proc *proc, pid_t pid)
{
	char path[64], text[1024], *open, *close;
	char run;
	int tty;

	snprintf(path, sizeof path, "/proc/%d/stat", pid);
	if (read_proc(path, text, sizeof text) <= 0)
		return -ESRCH;
	/* The name stands in parentheses and may hold any byte, also ")": the last one ends it. */
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close || close < open)
		return -EPROTO;
	*close = '\0';
	*proc = (struct proc){ .pid = pid };
	snprintf(proc->name, sizeof proc->name, "%s", open + 1);
	if (sscanf(close + 1, " %c %d %*d %*d %d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d %" SCNu64, &run, &proc->parent, &tty, &proc->start) !=
	    4)
		return -EPROTO;
	proc->zombie = run == 'Z' || run == 'X';
	proc->has_tty = tty != 0;
	return 0;
}

bool procs_alive(pid_t pid, uint64_t start)
{
	struct proc proc;

	return procs_read(&proc, pid) == 0 && !proc.zombie && proc.start == start;
}

static int procs_add(struct procs *procs, const struct proc *proc)
{
	if ((procs->count & (procs->count - 1)) == 0) {
		struct proc *grown = reallocarray(procs->proc, procs->count ? procs->count * 2 : 1, sizeof *grown);

		if (!grown)
			return -ENOMEM;
		procs->proc = grown;
	}
	procs->proc[procs->count++] = *proc;
	return 0;
}

/* The next numeric entry of /proc; 0 at the end. */
static pid_t next_pid(DIR *proc)
{
	for (struct dirent *entry = readdir(proc); entry; entry = readdir(proc))
		if (isdigit((unsigned char)entry->d_name[0]))
			return (pid_t)atol(entry->d_name);
	return 0;
}

int procs_all(struct procs *all)
{
	auto_closedir DIR *dir = opendir("/proc");
	struct proc proc;
	int r = 0;

	*all = (struct procs){ 0 };
	if (!dir)
		return -errno;
	for (pid_t pid = next_pid(dir); pid != 0 && r == 0; pid = next_pid(dir))
		if (pid != getpid() && procs_read(&proc, pid) == 0 && !proc.zombie)
			r = procs_add(all, &proc);
	return r;
}

static int by_pid(const void *a, const void *b)
{
	const struct proc *pa = a, *pb = b;

	return (pa->pid > pb->pid) - (pa->pid < pb->pid);
}

int procs_ns(pid_t pid, struct host_ns *ns)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
	if (stat(path, &st) < 0)
		return -errno;
	ns->dev = st.st_dev;
	ns->ino = st.st_ino;
	return 0;
}

static bool same_ns(const struct host_ns *a, const struct host_ns *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

bool procs_ns_has_device(pid_t pid, unsigned dev_major, unsigned dev_minor)
{
	char path[64], *line = NULL;
	auto_fclose FILE *in = NULL;
	size_t size = 0;
	bool has = false;

	snprintf(path, sizeof path, "/proc/%d/mountinfo", pid);
	in = fopen(path, "re");
	while (in && !has && getline(&line, &size, in) > 0) {
		unsigned a, b;

		has = sscanf(line, "%*d %*d %u:%u", &a, &b) == 2 && a == dev_major && b == dev_minor;
	}
	free(line);
	return has;
}

int procs_root_mount(pid_t pid)
{
	char path[64], *line = NULL;
	auto_fclose FILE *in = NULL;
	size_t size = 0;
	int found = 0;

	snprintf(path, sizeof path, "/proc/%d/mountinfo", pid);
	in = fopen(path, "re");
	while (in && found == 0 && getline(&line, &size, in) > 0) {
		char target[8];
		int id;

		if (sscanf(line, "%d %*d %*s %*s %7s", &id, target) == 2 && strcmp(target, "/") == 0)
			found = id;
	}
	free(line);
	return found;
}

void procs_link(pid_t pid, const char *name, char target[PATH_MAX])
{
	char path[320];
	ssize_t n;

	snprintf(path, sizeof path, "/proc/%d/%s", pid, name);
	n = readlink(path, target, PATH_MAX - 1);
	target[n > 0 ? n : 0] = '\0';
}

static bool link_is_below(pid_t pid, const char *name, const char *root, char target[PATH_MAX])
{
	procs_link(pid, name, target);
	return target[0] == '/' && path_is_below(target, root);
}

/* What decides for one process, beside its namespace. A namespace of its own is looked into once per namespace, not once per process. */
struct belonging {
	const struct state *state;
	struct host_ns own;
	pid_t supervisor;
	struct host_ns *foreign; /* namespaces already looked into */
	bool *foreign_has;
	size_t foreign_count;
};

static bool foreign_has_device(struct belonging *b, pid_t pid, const struct host_ns *ns)
{
	struct host_ns *grown;
	bool *has;

	for (size_t i = 0; i < b->foreign_count; i++)
		if (same_ns(&b->foreign[i], ns))
			return b->foreign_has[i];
	grown = reallocarray(b->foreign, b->foreign_count + 1, sizeof *grown);
	if (grown)
		b->foreign = grown;
	has = reallocarray(b->foreign_has, b->foreign_count + 1, sizeof *has);
	if (has)
		b->foreign_has = has;
	if (!grown || !has)
		return false;
	b->foreign[b->foreign_count] = *ns;
	return b->foreign_has[b->foreign_count++] = procs_ns_has_device(pid, b->state->dev_major, b->state->dev_minor);
}

/*
 * Whether what the process has as root is the directory that was bound: mountinfo's fourth field is its path in its filesystem, the end of its path
 * on the host (or the other way round, where that filesystem is itself a bind).
 */
static bool has_directory_as_root(pid_t pid, const char *directory)
{
	char path[64], *line = NULL;
	auto_fclose FILE *in = NULL;
	size_t size = 0;
	bool has = false;

	snprintf(path, sizeof path, "/proc/%d/mountinfo", pid);
	in = fopen(path, "re");
	while (in && !has && getline(&line, &size, in) > 0) {
		char root[PATH_MAX], target[8];

		if (sscanf(line, "%*d %*d %*s %4095s %7s", root, target) != 2 || strcmp(target, "/") != 0)
			continue;
		text_decode_octal(root);
		has = text_ends_with(directory, root) || text_ends_with(root, directory);
	}
	free(line);
	return has;
}

/*
 * Started by `enter`, or left by a supervisor that was killed, and then in a namespace of its own. Who has the device but another root is the host's:
 * somebody has mounted the disk once more. A directory has its device in common with the host: there the root itself has to be ours.
 */
static bool is_in_copy(struct belonging *b, const struct proc *proc, const struct host_ns *ns)
{
	const struct state *state = b->state;
	char root[PATH_MAX];

	if (!link_is_below(proc->pid, "root", state->root, root) || !foreign_has_device(b, proc->pid, ns))
		return false;
	return state->type || state->overlay || (state->device && has_directory_as_root(proc->pid, state->device));
}

/* A process of the host: in its namespace, and not (with mount = host) chroot'ed into the root. */
static bool is_of_host(const struct belonging *b, pid_t pid)
{
	char root[PATH_MAX];
	struct host_ns ns = { 0 };

	return procs_ns(pid, &ns) == 0 && same_ns(&ns, &b->own) && !(b->state->namespace_host && link_is_below(pid, "root", b->state->root, root));
}

/*
 * Whether it comes from the supervisor, and not by way of a process of the host: who has escaped and starts a container there, or boots another OS, is our
 * descendant too, as we are a subreaper.
 */
static bool descends_from_os(const struct belonging *b, const struct procs *all, const struct proc *proc)
{
	struct proc key = *proc;

	/* The table is no snapshot: bounded, in case it holds a circle. */
	for (size_t i = 0; i < all->count && key.parent > 1 && key.parent != b->supervisor; i++) {
		const struct proc *parent;

		key.pid = key.parent;
		parent = bsearch(&key, all->proc, all->count, sizeof key, by_pid);
		if (!parent || is_of_host(b, parent->pid))
			return false;
		key = *parent;
	}
	return key.parent == b->supervisor;
}

static bool belongs(struct belonging *b, const struct procs *all, const struct proc *proc)
{
	bool host = b->state->namespace_host;
	char root[PATH_MAX];
	struct host_ns ns = { 0 };

	if (proc->pid == b->supervisor || procs_ns(proc->pid, &ns) < 0)
		return false;
	/* The path of a root says something only in our own namespace: two OSes may have theirs at the same path. */
	if (same_ns(&ns, &b->own))
		return host && link_is_below(proc->pid, "root", b->state->root, root);
	if (!host && same_ns(&ns, &b->state->ns))
		return true;
	if (b->supervisor && descends_from_os(b, all, proc))
		return true;
	/* With mount = host every service of the host with a namespace of its own has a copy of our root, too: it does not have it as its root. */
	return is_in_copy(b, proc, &ns);
}

int procs_find(struct procs *procs, const struct state *state, pid_t supervisor, struct err *err)
{
	struct belonging b = { .state = state, .supervisor = supervisor };
	struct procs all = { 0 };
	int r = host_own_ns(&b.own);

	*procs = (struct procs){ 0 };
	if (r == 0)
		r = procs_all(&all);
	if (r == 0 && all.count > 0) {
		qsort(all.proc, all.count, sizeof *all.proc, by_pid);
		for (size_t i = 0; i < all.count && r == 0; i++)
			if (belongs(&b, &all, &all.proc[i]))
				r = procs_add(procs, &all.proc[i]);
	}
	free(b.foreign);
	free(b.foreign_has);
	procs_clear(&all);
	return r < 0 ? err_set(err, -r, "cannot read the processes in /proc") : 0;
}
