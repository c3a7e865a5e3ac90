/*
 * old_kernel COMMAND [ARG...]: runs the command with the system call table of Linux 3.10: what came later answers ENOSYS, as an unknown number does there.
 * old_kernel --ask: asks each later call that matters here, with arguments that do nothing, and prints its name, the kernel it came with, and the answer.
 *
 * Later options of older calls answer as there, too: prctl(2) EINVAL, also for later capabilities, open(2) with O_TMPFILE EISDIR. Not so: seccomp(2) of 3.17 works, as the filter of the
 * test that plays a container needs it; programs for another architecture are let through; what old calls tell is the running kernel's ("mnt_id" in
 * /proc/PID/fdinfo, of 3.15).
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The last call that 3.10 knows: finit_module(2) in both tables. */
#if defined(__x86_64__)
#define ARCHITECTURE AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#define ARCHITECTURE 0 /* to be added here, with its last call; until then it is refused */
#endif
#define LAST SYS_finit_module

#define X32_BIT 0x40000000

/* prctl(2): the first and the last of the options that are counted through; others, such as PR_SET_PTRACER, are large. */
#define PRCTL_FIRST_LATER 41
#define PRCTL_COUNTED_MAX 0x1000

#define LOW_WORD(n) (offsetof(struct seccomp_data, args) + (n) * sizeof(__u64))

#define LOAD(offset) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (offset))
#define IF(test, value, jump_true, jump_false) BPF_JUMP(BPF_JMP | (test) | BPF_K, (value), (jump_true), (jump_false))
#define ANSWER(value) BPF_STMT(BPF_RET | BPF_K, (value))
#define ANSWER_ERROR(error) ANSWER(SECCOMP_RET_ERRNO | (error))

static struct sock_filter filter[] = {
	LOAD(offsetof(struct seccomp_data, arch)),
	IF(BPF_JEQ, ARCHITECTURE, 1, 0),
	ANSWER(SECCOMP_RET_ALLOW),
	LOAD(offsetof(struct seccomp_data, nr)),
	/* What is later. */
	IF(BPF_JGT, LAST, 0, 4),
	IF(BPF_JGE, X32_BIT, 2, 0),
	IF(BPF_JEQ, SYS_seccomp, 1, 0),
	ANSWER_ERROR(ENOSYS),
	ANSWER(SECCOMP_RET_ALLOW),
	/* What has learnt something later. */
	IF(BPF_JEQ, SYS_prctl, 0, 9),
	LOAD(LOW_WORD(0)),
	IF(BPF_JEQ, PR_CAPBSET_READ, 3, 0),
	IF(BPF_JEQ, PR_CAPBSET_DROP, 2, 0),
	IF(BPF_JGE, PRCTL_FIRST_LATER, 0, 4),
	IF(BPF_JGT, PRCTL_COUNTED_MAX, 3, 2),
	LOAD(LOW_WORD(1)),
	IF(BPF_JGT, CAP_BLOCK_SUSPEND, 0, 1),
	ANSWER_ERROR(EINVAL),
	ANSWER(SECCOMP_RET_ALLOW),
	IF(BPF_JEQ, SYS_openat, 0, 4),
	LOAD(LOW_WORD(2)),
	IF(BPF_JSET, O_TMPFILE & ~O_DIRECTORY, 0, 1),
	ANSWER_ERROR(EISDIR),
	ANSWER(SECCOMP_RET_ALLOW),
#ifdef SYS_open
	IF(BPF_JEQ, SYS_open, 0, 3),
	LOAD(LOW_WORD(1)),
	IF(BPF_JSET, O_TMPFILE & ~O_DIRECTORY, 0, 1),
	ANSWER_ERROR(EISDIR),
#endif
	ANSWER(SECCOMP_RET_ALLOW),
};

/* Calls that gcdboot, glibc or the programs of a system use where they are there. Those without a name in Debian 12's headers have one number everywhere. */
static const struct {
	const char *name, *since;
	long number;
} later[] = {
	{ "sched_setattr", "3.14", SYS_sched_setattr },
	{ "renameat2", "3.15", SYS_renameat2 },
	{ "getrandom", "3.17", SYS_getrandom },
	{ "memfd_create", "3.17", SYS_memfd_create },
	{ "execveat", "3.19", SYS_execveat },
	{ "membarrier", "4.3", SYS_membarrier },
	{ "copy_file_range", "4.5", SYS_copy_file_range },
	{ "preadv2", "4.6", SYS_preadv2 },
	{ "pwritev2", "4.6", SYS_pwritev2 },
	{ "statx", "4.11", SYS_statx },
	{ "rseq", "4.18", SYS_rseq },
	{ "pidfd_send_signal", "5.1", SYS_pidfd_send_signal },
	{ "open_tree", "5.2", SYS_open_tree },
	{ "move_mount", "5.2", SYS_move_mount },
	{ "fsopen", "5.2", SYS_fsopen },
	{ "fsconfig", "5.2", SYS_fsconfig },
	{ "fsmount", "5.2", SYS_fsmount },
	{ "fspick", "5.2", SYS_fspick },
	{ "pidfd_open", "5.3", SYS_pidfd_open },
	{ "clone3", "5.3", SYS_clone3 },
	{ "openat2", "5.6", SYS_openat2 },
	{ "pidfd_getfd", "5.6", SYS_pidfd_getfd },
	{ "faccessat2", "5.8", SYS_faccessat2 },
	{ "close_range", "5.9", SYS_close_range },
	{ "epoll_pwait2", "5.11", SYS_epoll_pwait2 },
	{ "mount_setattr", "5.12", SYS_mount_setattr },
	{ "futex_waitv", "5.16", SYS_futex_waitv },
	{ "fchmodat2", "6.6", 452 },
	{ "statmount", "6.8", 457 },
	{ "listmount", "6.8", 458 },
	{ "open_tree_attr", "6.15", 467 },
};

static void tell(const char *name, const char *since, long answer)
{
	printf("%s %s %s\n", name, since, answer == 0 ? "0" : strerrorname_np(errno));
}

static int ask(void)
{
	for (size_t i = 0; i < sizeof later / sizeof *later; i++)
		tell(later[i].name, later[i].since, syscall(later[i].number, -1, 0, 0, 0, 0, 0));
	tell("PR_CAP_AMBIENT", "4.3", prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0, 0));
	tell("CAP_AUDIT_READ", "3.16", prctl(PR_CAPBSET_READ, CAP_AUDIT_READ, 0, 0, 0) >= 0 ? 0 : -1);
	tell("O_TMPFILE", "3.11", open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600) >= 0 ? 0 : -1);
	return 0;
}

int main(int argc, char **argv)
{
	struct sock_fprog program = { .len = sizeof filter / sizeof *filter, .filter = filter };

	if (argc == 2 && strcmp(argv[1], "--ask") == 0)
		return ask();
	if (argc < 2) {
		fprintf(stderr, "usage: old_kernel COMMAND [ARG...] | --ask\n");
		return 2;
	}
	if (!ARCHITECTURE) {
		fprintf(stderr, "old_kernel: does not know the system calls of this architecture\n");
		return 126;
	}
	/* As prctl(2) of 3.10 has it, and with privilege instead of no_new_privs, which the programs inside would see. */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0) {
		perror("old_kernel: prctl(PR_SET_SECCOMP)");
		return 126;
	}
	execvp(argv[1], argv + 1);
	fprintf(stderr, "old_kernel: %s: %s\n", argv[1], strerror(errno));
	return 127;
}
