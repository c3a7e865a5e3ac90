/*
 * openvz_node [--no-handles] LOG COMMAND [ARG...]: runs the command as in a container of an OpenVZ node with a kernel of the 3.10 line, as far as system
 * calls go, until the last process in it has ended; then ends with the command's exit status. What it answers itself:
 *
 *	/proc/vz              is there (for access(2) and faccessat(2)), /proc/bc is not
 *	mount(2)              a remount of /proc or /sys is EBUSY; a new mount of a block device, or of a filesystem that lives on one, EPERM
 *	swapon(2)             EPERM
 *	fstatfs(2)            EBADF for a descriptor opened with O_PATH (learnt with 3.12)
 *	/proc/PID/fdinfo/N    has no line "mnt_id:" (learnt with 3.15)
 *	name_to_handle_at(2)  with --no-handles: EOPNOTSUPP, as where a filesystem has none; then nothing tells the mount of a descriptor
 *
 * What it refused of mount(2) is written to LOG, a line each. Newer system calls are old_kernel's business: openvz_node LOG old_kernel COMMAND. It stands in
 * for the node's kernel, which does this for every way to name a path; this one for the paths as gcdboot and the shell write them.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0 /* to be added here; until then it is refused */
#endif

#define TEXT_MAX 4096
#define REAP_MS 100

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define ASK_ON(number) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), ANSWER(SECCOMP_RET_USER_NOTIF)

#define ERROR_ON(number, error) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), ANSWER(SECCOMP_RET_ERRNO | (error))

static struct sock_filter filter[] = {
	LOAD(offsetof(struct seccomp_data, arch)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
	ANSWER(SECCOMP_RET_ALLOW),
	LOAD(offsetof(struct seccomp_data, nr)),
#ifdef SYS_access
	ASK_ON(SYS_access),
#endif
	ASK_ON(SYS_faccessat),
	ASK_ON(SYS_openat),
	ASK_ON(SYS_mount),
	ASK_ON(SYS_fstatfs),
	ERROR_ON(SYS_swapon, EPERM),
	ANSWER(SECCOMP_RET_ALLOW),
};

static struct sock_filter handle_filter[] = {
	LOAD(offsetof(struct seccomp_data, arch)),
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCHITECTURE, 1, 0),
	ANSWER(SECCOMP_RET_ALLOW),
	LOAD(offsetof(struct seccomp_data, nr)),
	ERROR_ON(SYS_name_to_handle_at, EOPNOTSUPP),
	ANSWER(SECCOMP_RET_ALLOW),
};

static FILE *refusals;

static void must(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "openvz_node: %s: %s\n", what, strerror(errno));
	exit(126);
}

/* ---- what a call was given */

/* A string in the memory of the process; "" where it cannot be read. Not across the page it ends in: the next one may not be there. */
static void read_text(pid_t pid, __u64 address, char text[TEXT_MAX])
{
	size_t done = 0;

	while (address && done < TEXT_MAX - 1) {
		size_t want = 4096 - (address + done) % 4096;
		struct iovec to = { text + done, want < TEXT_MAX - 1 - done ? want : TEXT_MAX - 1 - done };
		struct iovec from = { (void *)(size_t)(address + done), to.iov_len };
		ssize_t n = process_vm_readv(pid, &to, 1, &from, 1, 0);

		if (n <= 0)
			break;
		if (memchr(text + done, '\0', (size_t)n))
			return;
		done += (size_t)n;
	}
	text[done] = '\0';
}

/* stat(2) of a path of the process, from its root. */
static int stat_for(pid_t pid, const char *path, struct stat *st)
{
	char full[TEXT_MAX + 64];

	snprintf(full, sizeof full, "/proc/%d/%s%s", pid, path[0] == '/' ? "root" : "cwd/", path);
	return stat(full, st);
}

/* ---- the answers: 0 (the kernel goes on with the call), or the error to give */

static int answer_mount(pid_t pid, const __u64 *args)
{
	char source[TEXT_MAX], target[TEXT_MAX], type[TEXT_MAX];
	static const char *const virtual[] = { "proc", "sysfs", "tmpfs", "devpts", "mqueue", "cgroup", "devtmpfs", "ramfs" };
	bool is_new = !(args[3] & (MS_BIND | MS_MOVE | MS_REMOUNT | MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE));
	bool known = false;
	struct stat st;

	read_text(pid, args[0], source);
	read_text(pid, args[1], target);
	read_text(pid, args[2], type);
	if ((args[3] & MS_REMOUNT) && (strcmp(target, "/proc") == 0 || strcmp(target, "/sys") == 0)) {
		fprintf(refusals, "remount %s\n", target);
		return EBUSY;
	}
	if (!is_new)
		return 0;
	for (size_t i = 0; i < sizeof virtual / sizeof *virtual; i++)
		known |= strcmp(type, virtual[i]) == 0;
	if (known && !(source[0] == '/' && stat_for(pid, source, &st) == 0 && S_ISBLK(st.st_mode)))
		return 0;
	fprintf(refusals, "mount %s as %s on %s\n", source, type, target);
	return EPERM;
}

static bool is_path_descriptor(pid_t pid, int fd)
{
	char path[64], line[256];
	unsigned flags = 0;
	FILE *in;

	snprintf(path, sizeof path, "/proc/%d/fdinfo/%d", pid, fd);
	in = fopen(path, "re");
	while (in && fgets(line, sizeof line, in))
		if (sscanf(line, "flags: %o", &flags) == 1)
			break;
	if (in)
		fclose(in);
	return flags & O_PATH;
}

/* A copy of the fdinfo file without the line, opened in the process; its descriptor there, or -1 where it is another file. */
static int give_fdinfo(int listener, __u64 id, pid_t pid, const char *path)
{
	const char *rest = path[0] == '/' ? path + 1 : path;
	char who[16], number[16], full[160], line[256];
	struct seccomp_notif_addfd add = { .id = id, .flags = SECCOMP_ADDFD_FLAG_SEND, .newfd_flags = O_CLOEXEC };
	FILE *in, *copy;
	int fd;

	if (sscanf(rest, "proc/%15[a-z0-9]/fdinfo/%15[0-9]", who, number) != 2)
		return -1;
	/* "self" is who looks; a number is one of the process's own /proc. */
	if (strcmp(who, "self") == 0)
		snprintf(full, sizeof full, "/proc/%d/fdinfo/%s", pid, number);
	else
		snprintf(full, sizeof full, "/proc/%d/root/proc/%s/fdinfo/%s", pid, who, number);
	in = fopen(full, "re");
	if (!in)
		return -1;
	copy = tmpfile();
	must(copy, "tmpfile");
	while (fgets(line, sizeof line, in))
		if (strncmp(line, "mnt_id:", 7) != 0)
			fputs(line, copy);
	fclose(in);
	rewind(copy);
	add.srcfd = (__u32)fileno(copy);
	fd = ioctl(listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
	fclose(copy);
	return fd;
}

static void answer(int listener)
{
	struct seccomp_notif request = { 0 };
	struct seccomp_notif_resp response = { 0 };
	char path[TEXT_MAX];
	pid_t pid;

	if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &request) < 0)
		return; /* it was interrupted, or killed */
	pid = (pid_t)request.pid;
	response.id = request.id;
	response.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	if (request.data.nr == SYS_mount) {
		response.error = -answer_mount(pid, request.data.args);
	} else if (request.data.nr == SYS_fstatfs) {
		response.error = is_path_descriptor(pid, (int)request.data.args[0]) ? -EBADF : 0;
	} else if (request.data.nr == SYS_openat) {
		read_text(pid, request.data.args[1], path);
		if (strstr(path, "/fdinfo/") && give_fdinfo(listener, request.id, pid, path) >= 0)
			return;
	} else {
		read_text(pid, request.data.args[request.data.nr == SYS_faccessat], path);
		if (strcmp(path, "/proc/vz") == 0)
			response.flags = 0;
	}
	if (response.error)
		response.flags = 0;
	ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &response);
}

/* ---- the two processes */

static void send_descriptor(int socket, int fd)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char byte = 0;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);

	*header = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(header), &fd, sizeof fd);
	must(sendmsg(socket, &message, 0) == 1, "sendmsg");
}

static int receive_descriptor(int socket)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	char byte;
	struct iovec data = { &byte, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	int fd = -1;

	must(recvmsg(socket, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message), "recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
	return fd;
}

static _Noreturn void container(int socket, bool handles, char **command)
{
	struct sock_fprog program = { .len = sizeof filter / sizeof *filter, .filter = filter };
	struct sock_fprog no_handles = { .len = sizeof handle_filter / sizeof *handle_filter, .filter = handle_filter };
	int listener = (int)syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program);

	must(listener >= 0, "seccomp");
	must(handles || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &no_handles) == 0, "prctl(PR_SET_SECCOMP)");
	send_descriptor(socket, listener);
	close(listener);
	close(socket);
	execvp(command[0], command);
	must(false, command[0]);
	abort();
}

int main(int argc, char **argv)
{
	struct pollfd poll_listener = { .events = POLLIN };
	int pair[2], status = 0;
	bool handles, ended = false;
	pid_t child;

	handles = argc < 2 || strcmp(argv[1], "--no-handles") != 0;
	argc -= !handles;
	argv += !handles;
	if (argc < 3) {
		fprintf(stderr, "usage: openvz_node [--no-handles] LOG COMMAND [ARG...]\n");
		return 2;
	}
	if (!ARCHITECTURE) {
		fprintf(stderr, "openvz_node: does not know the system calls of this architecture\n");
		return 126;
	}
	refusals = fopen(argv[1], "ae");
	must(refusals, argv[1]);
	setlinebuf(refusals);
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0, "socketpair");
	child = fork();
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		container(pair[1], handles, argv + 2);
	}
	must(child > 0, "fork");
	close(pair[1]);
	poll_listener.fd = receive_descriptor(pair[0]);
	/* The listener hangs up when the last process with the filter has ended; before Linux 6.11, when it has been waited for, too. */
	do {
		if (poll_listener.revents & POLLIN)
			answer(poll_listener.fd);
		if (!ended)
			ended = waitpid(child, &status, WNOHANG) == child;
	} while (poll(&poll_listener, 1, ended ? -1 : REAP_MS) >= 0 && !(poll_listener.revents & POLLHUP));
	must(ended || waitpid(child, &status, 0) == child, "waitpid");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
