/*
 * wsl_init: plays WSL's init on a machine of the tests: the first process of the machine, in its initramfs (rdinit=/wsl_init), and of the one distribution.
 * It makes the distribution's root as WSL does: mount, pid, ipc and uts namespaces of its own, the disk moved over "/", and chroot; no pivot_root. What is
 * mounted there is for tests/bed/wsl/distro to do, with the distribution's own programs.
 *
 * In the initramfs are, besides Debian's modules: /init, which is tests/bed/windows.c (WSL's own /init is its init and its interpreter in one), and /bed, which
 * is copied into the distribution.
 *
 * How it differs from WSL: there are no system distribution, no localhost relay and no plan9 server behind the drives (they come from the machine's outside).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define DISTRO "/distro"
#define BED DISTRO "/usr/local/lib/bed"

/* The end of the first process is a kernel panic, which the console shows. */
__attribute__((noreturn)) static void die(const char *what)
{
	fprintf(stderr, "wsl_init: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void make_mount(const char *source, const char *target, const char *type, unsigned long flags, const char *options)
{
	mkdir(target, 0755);
	if (mount(source, target, type, flags, options) < 0)
		die(target);
}

static void run(const char *root, const char *const argv[])
{
	pid_t pid = fork();

	if (pid == 0) {
		if (chroot(root) < 0 || chdir("/") < 0)
			die(root);
		execv(argv[0], (char *const *)argv);
		_exit(127);
	}
	waitpid(pid, NULL, 0);
}

static void copy_file(const char *from, const char *to)
{
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);

	if (in < 0 || out < 0)
		die(to);
	while (sendfile(out, in, NULL, 1 << 20) > 0)
		;
	close(in);
	close(out);
}

static void copy_bed(void)
{
	char from[512], to[512];
	DIR *dir = opendir("/bed");

	mkdir(BED, 0755);
	for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(from, sizeof from, "/bed/%s", entry->d_name);
		snprintf(to, sizeof to, BED "/%s", entry->d_name);
		copy_file(from, to);
	}
	closedir(dir);
}

/* The file is there to be mounted on. */
static void touch(const char *path)
{
	close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755));
}

/* What WSL mounts into a distribution from its own initramfs: files and directories that the distribution cannot reach by itself. */
static void mount_from_outside(void)
{
	mkdir("/gpu_lib", 0755);
	make_mount("none", "/gpu_lib/rw", "tmpfs", 0, NULL);
	mkdir("/gpu_lib/rw/lower", 0755);
	mkdir("/gpu_lib/rw/upper", 0755);
	mkdir("/gpu_lib/rw/work", 0755);
	touch("/gpu_lib/rw/lower/libcuda.so.1");
	mkdir(DISTRO "/usr/lib/wsl", 0755);
	make_mount("none", DISTRO "/usr/lib/wsl/lib", "overlay", MS_NOSUID | MS_NODEV | MS_NOATIME,
		   "lowerdir=/gpu_lib/rw/lower,upperdir=/gpu_lib/rw/upper,workdir=/gpu_lib/rw/work");
	touch(DISTRO "/init");
	if (mount("/init", DISTRO "/init", NULL, MS_BIND, NULL) < 0 || mount(NULL, DISTRO "/init", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		die(DISTRO "/init");
}

/* Those of the initramfs, which is a tiny one: /modules names them in their order, a line each. */
static void load_modules(void)
{
	FILE *list = fopen("/modules", "re");
	char path[256];

	while (list && fgets(path, sizeof path, list)) {
		int fd;

		path[strcspn(path, " \n")] = '\0';
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
			die(path);
		close(fd);
	}
	if (list)
		fclose(list);
}

static void boot_machine(void)
{
	make_mount("proc", "/proc", "proc", 0, NULL);
	make_mount("sysfs", "/sys", "sysfs", 0, NULL);
	make_mount("none", "/dev", "devtmpfs", 0, NULL);
	load_modules();
	for (int i = 0; i < 600 && access("/dev/vda", F_OK) < 0; i++)
		usleep(50000);
	make_mount("/dev/vda", DISTRO, "ext4", 0, "discard,errors=remount-ro");
	run(DISTRO, (const char *[]){ "/sbin/modprobe", "-a", "virtio_net", "virtio_scsi", "sd_mod", "virtio_console", "virtio_rng", "9pnet_virtio", "9p",
				      "overlay", "binfmt_misc", NULL });
	copy_bed();
	mount_from_outside();
}

/* The first process of the distribution. Its end is that of the machine. */
__attribute__((noreturn)) static void be_distro(void)
{
	if (unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS) < 0)
		die("unshare");
	if (chdir(DISTRO) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		die("moving the distribution over /");
	if (sethostname("wsl", 3) < 0)
		die("sethostname");
	clearenv();
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
	run("/", (const char *[]){ "/bin/sh", "/usr/local/lib/bed/distro", NULL });
	for (;;)
		if (wait(NULL) < 0)
			pause();
}

int main(void)
{
	pid_t pid;

	boot_machine();
	if (unshare(CLONE_NEWPID) < 0)
		die("unshare");
	pid = fork();
	if (pid < 0)
		die("fork");
	if (pid == 0)
		be_distro();
	while (waitpid(pid, NULL, 0) != pid)
		;
	sync();
	reboot(RB_POWER_OFF);
}
