/* cmd_check: everything that would stop or spoil a boot, each with its mend. Touches nothing. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>

#include "check_windows.h"
#include "cmd.h"
#include "device.h"
#include "findings.h"
#include "host.h"
#include "inspect.h"
#include "mountpoint.h"
#include "overlay.h"

static void check_host(struct findings *findings)
{
	static const char *const names[] = { [HOST_PLAIN] = "a plain Linux", [HOST_WSL] = "WSL2", [HOST_OPENVZ] = "an OpenVZ container" };
	struct utsname uts = { 0 };

	uname(&uts);
	findings_add(findings, FINDING_OK, NULL, "the host is %s, kernel %s", names[host_kind()], uts.release);
	if (syscall(SYS_openat2, -1, "", NULL, 0) < 0 && errno == ENOSYS)
		findings_add(findings, FINDING_OK, NULL, "the kernel has no openat2: targets are walked by hand, as safely, more slowly");
}

static void check_privilege(struct findings *findings)
{
	struct err err;

	if (host_check_privilege(&err) < 0)
		findings_add(findings, FINDING_STOPS, "run gcdboot as root of the host itself", "%s", err.msg);
	else
		findings_add(findings, FINDING_OK, NULL, "root, with the capabilities that are needed");
}

/* Whether the OS is up: then its disk is in use, by right. */
static bool check_run(struct findings *findings, const struct rundir *rundir)
{
	struct stat st;

	if (rundir_is_locked(rundir))
		findings_add(findings, FINDING_OK, NULL, "the OS is running: its disk is not looked at");
	if (stat("/run", &st) == 0 && access("/run", W_OK) < 0)
		findings_add(findings, FINDING_STOPS, "make /run writable (a tmpfs, as other hosts have it)", "cannot write to /run: %s", strerror(errno));
	return rundir_is_locked(rundir);
}

/* Something else that is mounted there would be covered; what lies in it would be hidden. */
static void check_mount_point(struct findings *findings, const char *path, const struct table *table, bool directory)
{
	struct stat st;

	if (stat(path, &st) < 0 && errno == ENOENT)
		findings_add(findings, FINDING_OK, NULL, "the mount point %s is not there: it is made at boot, and removed at stop", path);
	else if (stat(path, &st) < 0)
		findings_add(findings, FINDING_STOPS, "choose another [root] path", "the mount point %s: %s", path, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		findings_add(findings, FINDING_STOPS, "choose another [root] path", "the mount point %s is not a directory", path);
	else if (!directory && table_find_target(table, path))
		findings_add(findings, FINDING_SPOILS, "unmount it, or choose another [root] path",
			     "on the mount point %s %s is mounted already: it would be covered", path, table_find_target(table, path)->source);
	else
		findings_add(findings, FINDING_OK, NULL, "the mount point is %s", path);
}

/* The device as it is now: nobody wants to wait half a minute for a check. */
static int check_device(struct findings *findings, const struct conf *conf, struct device_found *found)
{
	struct conf now = *conf;
	struct err err;
	int r;

	now.root.wait_ms = 0;
	r = device_find(found, &now, NULL, &err);
	/* What comes with the disk is no worry of this step's. */
	if (r == -ENODEV && conf->wsl.attach && host_kind() == HOST_WSL) {
		findings_add(findings, FINDING_OK, NULL, "%s is not there yet: Windows is asked at boot for %s", conf->root.source, conf->wsl.attach);
		return -1;
	}
	if (r < 0) {
		findings_add(findings, FINDING_STOPS, "`gcdboot list` shows what there is; [root] source names one", "%s", err.msg);
		return -1;
	}
	findings_add(findings, FINDING_OK, NULL, "%s is %s%s%s", conf->root.source, found->path, found->type ? ", " : "", found->type ? found->type : "");
	return 0;
}

static void check_overlay(struct findings *findings, const struct device_found *found, const struct table *table)
{
	size_t count = found->kind == DEVICE_DIRECTORY ? overlay_left_out(table, found->path) : 0;

	if (count)
		findings_add(findings, FINDING_SPOILS, "bind them with extra in [bind]", "overlay = tmpfs: %zu mount%s below %s will be left out", count,
			     count == 1 ? "" : "s", found->path);
}

static int check_plan(struct findings *findings, const struct conf *conf, const char *path, const struct table *table, struct plan *plan)
{
	struct err err;

	if (plan_make(plan, conf, table, path, RUNDIR_BASE, &err) < 0) {
		findings_add(findings, FINDING_STOPS, "see [bind] in gcdboot.conf(5)", "%s", err.msg);
		return -1;
	}
	findings_add(findings, FINDING_OK, NULL, "%zu mounts to bind, %zu left out (`gcdboot plan` names them)", plan_count_binds(plan), plan->left_out_count);
	return 0;
}

/* Unattended, each start of the machine ends without the OS: that is to be known. */
static void check_confirm(struct findings *findings, const struct conf *conf)
{
	char within[48];

	if (conf->boot.confirm_ms == 0)
		return;
	util_span(conf->boot.confirm_ms, within);
	findings_add(findings, FINDING_OK, NULL, "each boot is undone unless `gcdboot confirm` is typed within %s of its beginning", within);
	if (conf->root.wait_ms >= conf->boot.confirm_ms)
		findings_add(findings, FINDING_SPOILS, "make [boot] confirm longer, or [root] wait shorter",
			     "waiting for the device may take all the time that there is to confirm");
}

/* The first number in a small file of /proc; -1 where there is none. */
static long read_number(const char *path)
{
	auto_fclose FILE *in = fopen(path, "re");
	long number;

	return in && fscanf(in, "%ld", &number) == 1 ? number : -1;
}

/*
 * The OS's namespace begins as a copy of the host's. A container counts both; the kernel itself each for itself. There may be more than the table shows:
 * what is mounted outside of the root directory of the process counts, too.
 */
static void check_mount_limit(struct findings *findings, const struct conf *conf, const struct table *table, const struct plan *plan)
{
	const char *mend = "leave some out with [bind] exclude";
	size_t binds = plan_count_binds(plan), more = binds + 1;
	size_t both = table->count + more + (conf->namespace_host ? 0 : table->count);
	long each_max = read_number("/proc/sys/fs/mount-max"), both_max = read_number("/proc/sys/fs/ve-mount-nr");

	if (each_max >= 0 && table->count + more > (size_t)each_max)
		findings_add(findings, FINDING_STOPS, mend, "%zu mounts, and %zu to bind: more than the %ld that fs.mount-max allows in a namespace",
			     table->count, binds, each_max);
	else if (both_max >= 0 && both > (size_t)both_max)
		findings_add(findings, FINDING_STOPS, mend, "%zu mounts%s, and %zu to bind: more than the %ld that fs.ve-mount-nr allows the container",
			     table->count, conf->namespace_host ? "" : ", as many again in the OS's namespace", binds, both_max);
}

static void check_all(struct findings *findings, const struct conf *conf, const struct rundir *rundir, const char *path, char *const *environment)
{
	struct device_found found = { 0 };
	struct table table = { 0 };
	struct plan plan = { 0 };
	struct err err;
	bool have_device = false, have_plan = false;

	check_host(findings);
	check_privilege(findings);
	check_confirm(findings, conf);
	if (!check_run(findings, rundir))
		have_device = check_device(findings, conf, &found) == 0;
	if (table_read(&table, NULL, &err) < 0)
		findings_add(findings, FINDING_STOPS, "mount /proc", "%s", err.msg);
	else
		have_plan = check_plan(findings, conf, path, &table, &plan) == 0;
	if (have_plan && !rundir_is_locked(rundir))
		check_mount_limit(findings, conf, &table, &plan);
	if (host_kind() == HOST_WSL)
		check_windows(findings, conf, &table, have_device || rundir_is_locked(rundir), environment);
	if (!rundir_is_locked(rundir))
		check_mount_point(findings, path, &table, have_device && found.kind == DEVICE_DIRECTORY);
	if (have_device && conf->root.overlay)
		check_overlay(findings, &found, &table);
	if (have_device)
		inspect_root(findings, conf, &found, have_plan ? &plan : NULL);
	plan_clear(&plan);
	table_clear(&table);
	device_found_clear(&found);
}

static int verdict(const struct cmd_options *options, const struct findings *findings, struct err *err)
{
	size_t stops = findings_stops(findings);

	if (options->level > LOG_QUIET) {
		findings_print(findings, stdout);
		if (stops)
			printf("\n%zu of these would stop a boot\n", stops);
		else
			printf("\nnothing would stop a boot\n");
		if (fflush(stdout) != 0)
			return err_set(err, errno, "cannot write the findings");
	}
	return stops ? EXIT_FAILED : EXIT_DONE;
}

int cmd_check(const struct cmd_options *options, struct err *err)
{
	struct findings findings = { 0 };
	struct conf conf = { 0 };
	auto_free char *path = NULL;
	struct rundir rundir;
	int r = rundir_name(&rundir, options->name, err);

	if (r == 0)
		r = cmd_read_conf(options, &conf, err);
	if (r == 0) {
		path = mountpoint_path(&conf, err);
		r = path ? 0 : -EINVAL;
	}
	if (r == 0) {
		findings_add(&findings, FINDING_OK, NULL, "the configuration %s can be read", conf.file);
		check_all(&findings, &conf, &rundir, path, options->environment);
		r = verdict(options, &findings, err);
	}
	findings_clear(&findings);
	conf_clear(&conf);
	return r;
}
