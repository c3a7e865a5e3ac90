/* host: what this machine is and what its kernel lets us do. */
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <strings.h>
#include <sys/capability.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "table.h"
#include "util.h"
#include "windows_drive.h"

static bool has_drive(void)
{
	struct windows_drive drives[WINDOWS_DRIVES_MAX];
	struct table table = { 0 };
	bool has = table_read(&table, NULL, NULL) == 0 && windows_drives(&table, drives) > 0;

	table_clear(&table);
	return has;
}

/* The table is read only where the first sign is there. */
static bool is_wsl(void)
{
	static const char *const signs[] = { "/run/WSL", "/proc/sys/fs/binfmt_misc/WSLInterop", "/proc/sys/fs/binfmt_misc/WSLInterop-late" };
	struct utsname uts;

	if (uname(&uts) == 0 && strcasestr(uts.release, "microsoft"))
		return true;
	for (size_t i = 0; i < sizeof signs / sizeof *signs; i++)
		if (access(signs[i], F_OK) == 0)
			return has_drive();
	return false;
}

enum host_kind host_kind(void)
{
	if (is_wsl())
		return HOST_WSL;
	if (access("/proc/vz", F_OK) == 0 && access("/proc/bc", F_OK) != 0)
		return HOST_OPENVZ;
	return HOST_PLAIN;
}

void host_name(char name[65])
{
	struct utsname uts;

	name[0] = '\0';
	if (uname(&uts) == 0)
		snprintf(name, 65, "%s", uts.nodename);
}

int host_check_root(struct err *err)
{
	if (geteuid() == 0)
		return 0;
	return err_set(err, -EPERM, host_kind() == HOST_WSL ? "needs root: run it as `wsl.exe -u root gcdboot`, or with sudo" : "needs root: run it with sudo");
}

int host_check_privilege(struct err *err)
{
	static const struct {
		cap_value_t cap;
		const char *name, *use;
	} needed[] = {
		{ CAP_SYS_ADMIN, "CAP_SYS_ADMIN", "mount" },
		{ CAP_SYS_CHROOT, "CAP_SYS_CHROOT", "chroot" },
	};
	cap_t caps;
	int r = host_check_root(err);

	if (r < 0)
		return r;
	caps = cap_get_proc();
	if (!caps)
		return err_set(err, errno, "cannot read the own capabilities");
	for (size_t i = 0; i < sizeof needed / sizeof *needed && r == 0; i++) {
		cap_flag_value_t has = CAP_CLEAR;

		cap_get_flag(caps, needed[i].cap, CAP_EFFECTIVE, &has);
		if (has != CAP_SET)
			r = err_set(err, -EPERM, "needs %s (to %s), which this root does not have: a container may have taken it away", needed[i].name,
				    needed[i].use);
	}
	cap_free(caps);
	return r;
}

int host_own_ns(struct host_ns *ns)
{
	struct stat st;

	if (stat("/proc/self/ns/mnt", &st) < 0)
		return -errno;
	ns->dev = st.st_dev;
	ns->ino = st.st_ino;
	return 0;
}

void host_boot_id(char id[40])
{
	auto_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, id, 36) : 0;

	id[n > 0 ? n : 0] = '\0';
}
