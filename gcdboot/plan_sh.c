/* plan_sh: the plan as a POSIX shell script that does the same by hand. */
#include "plan_print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"
#include "util.h"

/*
 * The script starts with functions, one for each kind of step; then comes one call per step. Its targets are resolved below the root, as gcdboot
 * does it, though by path: nobody may change the links in the root while it runs.
 */
static const char functions[] =
    "warn() { printf '%s: %s\\n' \"$0\" \"$*\" | LC_ALL=C tr -d '\\000-\\011\\013-\\037\\177' >&2; }\n"
    "fail() {\n"
    "	warn \"$@\"\n"
    "	exit 1\n"
    "}\n"
    "\n"
    "# attach_disk DISK DRIVE SOURCE: has Windows attach the disk, where the source is not there yet. Windows programs start from a drive of theirs only, and\n"
    "# print UTF-8 where WSL_UTF8 reaches them. That the disk is attached already is success.\n"
    "attach_disk() {\n"
    "	case $3 in\n"
    "	/*) [ ! -e \"$3\" ] || return 0 ;;\n"
    "	*) [ -z \"$(blkid -c /dev/null -o device -t \"$3\" || :)\" ] || return 0 ;;\n"
    "	esac\n"
    "	disk=$1\n"
    "	case $disk in\n"
    "	serial:*) disk=$(drive_of \"$2\" SerialNumber \"${disk#*:}\") ;;\n"
    "	model:*) disk=$(drive_of \"$2\" Model \"${disk#*:}\") ;;\n"
    "	esac\n"
    "	[ -n \"$disk\" ] || fail \"Windows does not tell of one disk $1\"\n"
    "	answer=$(cd \"$2\" && WSL_UTF8=1 WSLENV=\"${WSLENV:+$WSLENV:}WSL_UTF8\" Windows/System32/wsl.exe --mount \"$disk\" --bare 2>&1 </dev/null) && return 0\n"
    "	case $answer in\n"
    "	*WSL_E_DISK_ALREADY_ATTACHED* | *0x80040318*) ;;\n"
    "	*) warn \"Windows does not hand over $disk:\" \"$answer\" ;;\n"
    "	esac\n"
    "}\n"
    "\n"
    "# drive_of DRIVE PROPERTY VALUE: prints \\\\.\\PHYSICALDRIVEn, where one disk has it. The value's apostrophes are doubled for PowerShell.\n"
    "drive_of() {\n"
    "	cd \"$1\" && Windows/System32/WindowsPowerShell/v1.0/powershell.exe -NoProfile -NonInteractive -Command \\\n"
    "		\"\\$d=@(Get-CimInstance Win32_DiskDrive|Where-Object{([string]\\$_.$2).Trim() -like '$(printf %s \"$3\" | sed \"s/'/''/g\")'});if(\\$d.Count -eq 1){\\$d[0].DeviceID}\" \\\n"
    "		</dev/null | tr -d '\\r\\n'\n"
    "}\n"
    "\n"
    "# find_tag TAG SECONDS: sets $device to the one block device with that tag.\n"
    "find_tag() {\n"
    "	kind=device waited=0\n"
    "	while device=$(blkid -c /dev/null -o device -t \"$1\" || :) && [ -z \"$device\" ]; do\n"
    "		[ \"$waited\" -lt \"$2\" ] || fail \"no filesystem with $1 (waited $2 s)\"\n"
    "		sleep 1\n"
    "		waited=$((waited + 1))\n"
    "	done\n"
    "	case $device in\n"
    "	*\"$newline\"*) fail \"$1 is not one filesystem but several:\" \"$device\" ;;\n"
    "	esac\n"
    "	refuse_mounted\n"
    "}\n"
    "\n"
    "# find_path PATH SECONDS [PARTITION]: the same for a device, a directory, or an image file, which is attached to a loop device.\n"
    "find_path() {\n"
    "	device=$1 waited=0\n"
    "	until [ -e \"$device\" ]; do\n"
    "		[ \"$waited\" -lt \"$2\" ] || fail \"there is no $1 (waited $2 s)\"\n"
    "		sleep 1\n"
    "		waited=$((waited + 1))\n"
    "	done\n"
    "	if [ -d \"$device\" ]; then\n"
    "		kind=directory\n"
    "	elif [ -b \"$device\" ]; then\n"
    "		kind=device\n"
    "		refuse_mounted\n"
    "	elif [ -f \"$device\" ]; then\n"
    "		kind=image\n"
    "		attach \"${3:-}\"\n"
    "	else\n"
    "		fail \"$1 is no device, no directory and no image file\"\n"
    "	fi\n"
    "}\n"
    "\n"
    "# What is only read may be mounted elsewhere, where that is read-only too.\n"
    "refuse_mounted() { ! findmnt --noheadings ${read_only:+--options=rw} --source \"$device\" || fail \"$device is already mounted\"; }\n"
    "\n"
    "# attach PARTITION: '' is the whole file.\n"
    "attach() {\n"
    "	offset=0 size=0\n"
    "	[ -z \"$1\" ] || locate \"$1\" 512 || locate \"$1\" 4096 || fail \"$device has no partition $1, or nothing in it\"\n"
    "	device=$(losetup ${read_only:+\"$read_only\"} --find --show --offset \"$offset\" --sizelimit \"$size\" -- \"$device\")\n"
    "	loop=$device\n"
    "}\n"
    "\n"
    "# locate PARTITION SECTOR: partx tells where in the image it lies, in units of 512 bytes whatever the sectors are that its table counts in.\n"
    "locate() {\n"
    "	start=$(partx --raw --noheadings --sector-size \"$2\" --nr \"$1\" --output START -- \"$device\" 2>/dev/null) || return 1\n"
    "	sectors=$(partx --raw --noheadings --sector-size \"$2\" --nr \"$1\" --output SECTORS -- \"$device\" 2>/dev/null) || return 1\n"
    "	[ -n \"$start\" ] || return 1\n"
    "	offset=$((start * 512)) size=$((sectors * 512))\n"
    "	blkid -p -O \"$offset\" -S \"$size\" \"$device\" >/dev/null\n"
    "}\n"
    "\n"
    "# check_root OPTION: fsck -a mends, and exits with 1 where it has mended everything; fsck -n looks only.\n"
    "check_root() {\n"
    "	[ \"$kind\" != directory ] || return 0\n"
    "	fsck \"$1\" \"$device\" || [ $? -eq 1 ] || fail \"fsck $1 found errors on $device that are left\"\n"
    "}\n"
    "\n"
    "# mount_root TYPE OPTIONS. A loop device that is in use is detached when its mount goes.\n"
    "mount_root() {\n"
    "	[ -d \"$root\" ] || mkdir -p -- \"$root\"\n"
    "	if [ \"$kind\" = directory ]; then\n"
    "		mount --rbind -- \"$device\" \"$root\"\n"
    "	else\n"
    "		mount --internal-only -t \"$1\" -o \"$2\" -- \"$device\" \"$root\"\n"
    "	fi\n"
    "	[ -z \"$loop\" ] || losetup --detach \"$loop\"\n"
    "	loop=\n"
    "	mount --make-rslave -- \"$root\"\n"
    "}\n"
    "\n"
    "# mount_lower TYPE OPTIONS: the root of an overlay, read-only, beside a tmpfs. Through a loop device that is read-only too: the kernel replays a\n"
    "# journal also for a read-only mount, and that writes.\n"
    "mount_lower() {\n"
    "	[ -d \"$root\" ] || mkdir -p -- \"$root\"\n"
    "	stage=$(mktemp -d /run/gcdboot-overlay.XXXXXX)\n"
    "	mount -t tmpfs -o mode=0700 gcdboot \"$stage\"\n"
    "	mount --make-private \"$stage\"\n"
    "	mkdir \"$stage/lower\" \"$stage/upper\" \"$stage/work\"\n"
    "	if [ \"$kind\" = directory ]; then\n"
    "		mount -o \"bind,$2,ro\" -- \"$device\" \"$stage/lower\"\n"
    "	else\n"
    "		[ -n \"$loop\" ] || loop=$(losetup --read-only --find --show -- \"$device\")\n"
    "		mount --internal-only -t \"$1\" -o \"$2,ro$(no_replay)\" -- \"$loop\" \"$stage/lower\"\n"
    "		losetup --detach \"$loop\"\n"
    "		loop=\n"
    "	fi\n"
    "	mount --make-private \"$stage/lower\"\n"
    "}\n"
    "\n"
    "# The option that leaves a journal alone, for the filesystem on $loop.\n"
    "no_replay() {\n"
    "	case $(blkid -p -s TYPE -o value \"$loop\") in\n"
    "	ext3 | ext4) echo ,noload ;;\n"
    "	xfs | f2fs) echo ,norecovery ;;\n"
    "	btrfs) echo ,rescue=nologreplay ;;\n"
    "	esac\n"
    "}\n"
    "\n"
    "# mount_overlay OPTIONS: those of them that are flags of a mount count for it, too. It keeps its layers when they are unmounted.\n"
    "mount_overlay() {\n"
    "	chown --reference=\"$stage/lower\" \"$stage/upper\"\n"
    "	chmod --reference=\"$stage/lower\" \"$stage/upper\"\n"
    "	flags=$(printf '%s\\n' \"$1\" | tr , '\\n' | grep -xE 'no(suid|dev|exec|atime|diratime)|(rel|strict)atime' | tr '\\n' ,)\n"
    "	layers=${flags}lowerdir=lower,upperdir=upper,workdir=work\n"
    "	(cd \"$stage\" && mount -t overlay -o \"$layers,xino=on,redirect_dir=on\" overlay \"$root\") ||\n"
    "		(cd \"$stage\" && mount -t overlay -o \"$layers\" overlay \"$root\")\n"
    "	umount \"$stage/lower\" \"$stage\"\n"
    "	rmdir \"$stage\"\n"
    "	stage=\n"
    "	mount --make-private -- \"$root\"\n"
    "}\n"
    "\n"
    "# Whatever is left of them at the end.\n"
    "clean_up() {\n"
    "	if [ -n \"$stage\" ]; then\n"
    "		umount -R \"$stage\"\n"
    "		rmdir \"$stage\"\n"
    "	fi\n"
    "	[ -z \"$loop\" ] || losetup --detach \"$loop\"\n"
    "}\n"
    "\n"
    "# resolve PATH: sets $resolved, with the links on the way followed inside the root, never out of it.\n"
    "resolve() {\n"
    "	rest=$1 resolved='' links=0\n"
    "	while [ -n \"$rest\" ]; do\n"
    "		rest=${rest#/}\n"
    "		part=${rest%%/*}\n"
    "		rest=${rest#\"$part\"}\n"
    "		case $part in\n"
    "		'' | .) continue ;;\n"
    "		..)\n"
    "			resolved=${resolved%/*}\n"
    "			continue\n"
    "			;;\n"
    "		esac\n"
    "		if [ -L \"$root$resolved/$part\" ]; then\n"
    "			links=$((links + 1))\n"
    "			[ \"$links\" -le 40 ] || return 1\n"
    "			link=$(readlink -n -- \"$root$resolved/$part\" && printf /)\n"
    "			case $link in\n"
    "			/*) resolved='' ;;\n"
    "			esac\n"
    "			rest=/$link$rest\n"
    "		else\n"
    "			resolved=$resolved/$part\n"
    "		fi\n"
    "	done\n"
    "}\n"
    "\n"
    "has() {\n"
    "	case \" $words \" in\n"
    "	*\" $1 \"*) ;;\n"
    "	*) return 1 ;;\n"
    "	esac\n"
    "}\n"
    "\n"
    "# bind WORDS SOURCE TARGET. WORDS: required optional create directory read-only autofs. In the host's own namespace a bind of a shared mount would\n"
    "# pass on to the host what is mounted in it next, so it is made a slave at once.\n"
    "bind() {\n"
    "	words=$1 source=$2 target=$3\n"
    "	if bind_one || has optional; then return 0; fi\n"
    "	! has required || fail \"cannot bind $source on $target in the root, and the OS needs it\"\n"
    "	warn \"left out: cannot bind $source on $target in the root\"\n"
    "}\n"
    "\n"
    "bind_one() {\n"
    "	resolve \"$target\" || return 1\n"
    "	if has optional; then [ -e \"$source\" ] && [ -e \"$root$resolved\" ] || return 1; fi\n"
    "	if has create; then make_mount_point || return 1; fi\n"
    "	# mount(8) cannot be told not to trigger an automount, so it gets a deadline.\n"
    "	if has autofs; then\n"
    "		timeout 5 mount --no-canonicalize --bind -- \"$source\" \"$root$resolved\" || return 1\n"
    "	else\n"
    "		mount --no-canonicalize --bind -- \"$source\" \"$root$resolved\" || return 1\n"
    "	fi\n"
    "	if ! has read-only || make_read_only; then\n"
    "		[ \"$namespace\" = private ] || mount --no-canonicalize --make-slave -- \"$root$resolved\"\n"
    "		return\n"
    "	fi\n"
    "	umount --no-canonicalize -- \"$root$resolved\"\n"
    "	return 1\n"
    "}\n"
    "\n"
    "# The mount point is made as a directory or a file, as the source is.\n"
    "make_mount_point() {\n"
    "	[ ! -e \"$root$resolved\" ] || return 0\n"
    "	if has directory || [ -d \"$source\" ]; then\n"
    "		mkdir -p -- \"$root$resolved\"\n"
    "	elif [ -e \"$source\" ]; then\n"
    "		mkdir -p -- \"$root${resolved%/*}\" && touch -- \"$root$resolved\"\n"
    "	else\n"
    "		return 1\n"
    "	fi\n"
    "}\n"
    "\n"
    "# A remount sets all flags of the mount: those that it has are given again.\n"
    "make_read_only() {\n"
    "	flags=$(findmnt --noheadings --raw --first-only --output VFS-OPTIONS --mountpoint \"$root$resolved\") || flags=rw\n"
    "	mount --no-canonicalize -o \"remount,bind,$flags,ro\" -- \"$root$resolved\"\n"
    "}\n"
    "\n"
    "in_root() { env -i PATH=\"$path\" HOME=/root TERM=\"${TERM:-linux}\" chroot \"$root\" \"$@\"; }\n"
    "\n"
    "# wanted FILE: whether the root has it; '' is always there.\n"
    "wanted() { [ -z \"$1\" ] || { resolve \"$1\" && [ -e \"$root$resolved\" ]; }; }\n"
    "\n"
    "# command_line FILE SECONDS LINE\n"
    "command_line() {\n"
    "	wanted \"$1\" || return 0\n"
    "	if [ \"$2\" = 0 ]; then\n"
    "		in_root /bin/sh -c \"$3\" </dev/null\n"
    "	else\n"
    "		timeout \"$2\" env -i PATH=\"$path\" HOME=/root TERM=\"${TERM:-linux}\" chroot \"$root\" /bin/sh -c \"$3\" </dev/null\n"
    "	fi\n"
    "}\n"
    "\n"
    "run() { command_line \"$@\" || warn \"failed with status $?: $3\"; }\n"
    "require() { command_line \"$@\" || fail \"failed with status $?: $3\"; }\n"
    "\n"
    "# daemon FILE LINE\n"
    "daemon() {\n"
    "	wanted \"$1\" || return 0\n"
    "	setsid env -i PATH=\"$path\" HOME=/root TERM=\"${TERM:-linux}\" chroot \"$root\" /bin/sh -c \"$2\" </dev/null >/dev/null 2>&1 &\n"
    "	daemon=$!\n"
    "}\n"
    "\n";

/*
 * Namespaces are told apart by the name of the one that was left. The variable is gone at once: a script started from the OS has to make its own.
 */
static const char enter_namespace[] =
    "if [ \"${GCDBOOT_LEFT:-$(readlink /proc/self/ns/mnt)}\" = \"$(readlink /proc/self/ns/mnt)\" ]; then\n"
    "	[ -f \"$0\" ] || fail 'save this script in a file and run that: it starts itself again in a mount namespace of its own'\n"
    "	GCDBOOT_LEFT=$(readlink /proc/self/ns/mnt)\n"
    "	export GCDBOOT_LEFT\n"
    "	exec unshare --mount --propagation slave -- /bin/sh \"$0\" \"$@\"\n"
    "fi\n"
    "unset GCDBOOT_LEFT\n"
    "\n";

static const char end_private[] = "\n"
				  "if [ $# -gt 0 ]; then\n"
				  "	exec env -i PATH=\"$path\" HOME=/root TERM=\"${TERM:-linux}\" chroot \"$root\" \"$@\"\n"
				  "elif [ -n \"$daemon\" ]; then\n"
				  "	printf 'To enter: nsenter --mount --target %s chroot %s\\n' \"$daemon\" \"$root\"\n"
				  "else\n"
				  "	printf 'All of it goes with this script, for nothing runs in the root. To stay in it: sh %s /bin/sh -l\\n' \"$0\"\n"
				  "fi\n";

static const char end_host[] = "\n"
			       "if [ $# -gt 0 ]; then\n"
			       "	exec env -i PATH=\"$path\" HOME=/root TERM=\"${TERM:-linux}\" chroot \"$root\" \"$@\"\n"
			       "fi\n"
			       "printf 'To enter: chroot %s\\n' \"$root\"\n";

/*
 * One shell word for any bytes. What is not fit for a terminal, or not UTF-8, is not in the script itself, which people read on a terminal and keep
 * in files: printf makes it when the script runs. A newline stays as it is, because $(...) would drop it; within single quotes it is harmless.
 */
static void print_word(FILE *out, const char *bytes)
{
	bool quoted = true;

	putc('\'', out);
	while (*bytes) {
		size_t len = text_char(bytes);
		bool raw = *bytes == '\n' || text_char_is_safe(bytes, len);

		if (raw != quoted)
			fputs(raw ? "')\"'" : "'\"$(printf '", out);
		quoted = raw;
		if (!raw) {
			fprintf(out, "\\%03o", (unsigned char)*bytes++);
		} else if (*bytes == '\'') {
			fputs("'\\''", out);
			bytes++;
		} else {
			fwrite(bytes, 1, len, out);
			bytes += len;
		}
	}
	fputs(quoted ? "'" : "')\"", out);
}

/* Behind a '#', on one line. */
static int print_comment(FILE *out, const char *bytes)
{
	auto_free char *safe = text_safe(bytes);

	if (!safe)
		return -ENOMEM;
	fputs(safe, out);
	return 0;
}

static void print_call(FILE *out, const char *function, const char *const *words, size_t count)
{
	fputs(function, out);
	for (size_t i = 0; i < count; i++) {
		putc(' ', out);
		print_word(out, words[i] ? words[i] : "");
	}
	putc('\n', out);
}

/* blkid takes the outermost quotes off the value, so that it may begin with one itself. */
static int print_find(FILE *out, const struct step *step)
{
	static const char *const tags[] = { "LABEL=", "UUID=", "PARTLABEL=", "PARTUUID=" };
	const char *partition = step->options ? strchr(step->options, '=') + 1 : "";
	char seconds[16];

	snprintf(seconds, sizeof seconds, "%d", (step->timeout_ms + 999) / 1000);
	for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
		auto_free char *tag = NULL;

		if (strncmp(step->source, tags[i], strlen(tags[i])) != 0)
			continue;
		if (asprintf(&tag, "%s\"%s\"", tags[i], step->source + strlen(tags[i])) < 0)
			return -ENOMEM;
		print_call(out, "find_tag", (const char *const[]){ tag, seconds }, 2);
		return 0;
	}
	print_call(out, "find_path", (const char *const[]){ step->source, seconds, partition }, *partition ? 3 : 2);
	return 0;
}

/* The source as print_find() gives it. */
static int print_attach(FILE *out, const struct step *step)
{
	const char *value = step->options[0] == '/' ? NULL : strchr(step->options, '=');
	auto_free char *tag = NULL;

	if (value && asprintf(&tag, "%.*s=\"%s\"", (int)(value - step->options), step->options, value + 1) < 0)
		return -ENOMEM;
	print_call(out, "attach_disk", (const char *const[]){ step->source, step->target, tag ? tag : step->options }, 3);
	return 0;
}

static void print_bind(FILE *out, const struct step *step)
{
	static const struct {
		unsigned flag;
		const char *word;
	} words[] = { { STEP_REQUIRED, " required" }, { STEP_OPTIONAL, " optional" },  { STEP_CREATE, " create" },
		      { STEP_DIR, " directory" },     { STEP_READONLY, " read-only" }, { STEP_AUTOFS, " autofs" } };
	char flags[80] = "", *end = flags;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (step->flags & words[i].flag)
			end = stpcpy(end, words[i].word);
	print_call(out, "bind", (const char *const[]){ *flags ? flags + 1 : "", step->source, step->target }, 3);
}

static void print_command(FILE *out, const struct step *step)
{
	char seconds[24] = "0";

	if (step->kind == STEP_DAEMON) {
		print_call(out, "daemon", (const char *const[]){ step->only_if, step->source }, 2);
		return;
	}
	if (step->timeout_ms > 0)
		snprintf(seconds, sizeof seconds, "%d.%03d", step->timeout_ms / 1000, step->timeout_ms % 1000);
	print_call(out, step->kind == STEP_RUN ? "run" : "require", (const char *const[]){ step->only_if, seconds, step->source }, 3);
}

static int print_step(FILE *out, const struct step *step)
{
	char within[48];

	switch (step->kind) {
	case STEP_ATTACH:
		return print_attach(out, step);
	case STEP_FIND:
		return print_find(out, step);
	case STEP_FSCK:
		fprintf(out, "check_root %s\n", step->flags & STEP_READONLY ? "-n" : "-a");
		break;
	case STEP_UNSHARE: /* at the script's start, which this step begins anew */
		break;
	case STEP_MOUNT:
		print_call(out, step->flags & STEP_READONLY ? "mount_lower" : "mount_root",
			   (const char *const[]){ step->type ? step->type : "auto", step->options ? step->options : "defaults" }, 2);
		break;
	case STEP_OVERLAY:
		print_call(out, "mount_overlay", (const char *const[]){ step->options ? step->options : "defaults" }, 1);
		break;
	case STEP_BIND:
		print_bind(out, step);
		break;
	case STEP_RUN:
	case STEP_REQUIRE:
	case STEP_DAEMON:
		print_command(out, step);
		break;
	case STEP_CONFIRM: /* nobody stays to watch the clock */
		util_span(step->timeout_ms, within);
		fprintf(out, "# gcdboot would stop the OS %s after the beginning unless it is confirmed: not done here\n", within);
		break;
	}
	return 0;
}

/* Then what the script attaches is not to be written to. */
static bool has_overlay(const struct plan *plan)
{
	for (size_t i = 0; i < plan->count; i++)
		if (plan->step[i].kind == STEP_OVERLAY)
			return true;
	return false;
}

int plan_print_sh(const struct plan *plan, FILE *out)
{
	int ret = 0;

	fputs("#!/bin/sh\n"
	      "# Does by hand what gcdboot does. To be run as root; arguments are a command to be run in the root at the end.\n"
	      "# Unlike gcdboot it looks at what it binds, so a host mount that does not answer can hold it up.\n"
	      "# shellcheck disable=SC2016,SC2034\n"
	      "set -eu\n"
	      "umask 022\n"
	      "\n"
	      "root=",
	      out);
	print_word(out, plan->root_path);
	fprintf(out, "\nnamespace=%s\n", plan->namespace_host ? "host" : "private");
	fprintf(out, "read_only=%s\n", has_overlay(plan) ? "--read-only" : "");
	fputs("path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n"
	      "daemon=\n"
	      "loop=\n"
	      "stage=\n"
	      "newline='\n'\n"
	      "\n",
	      out);
	fputs(functions, out);
	if (!plan->namespace_host)
		fputs(enter_namespace, out);
	fputs("trap clean_up EXIT\n", out);
	for (size_t i = 0; ret == 0 && i < plan->count; i++)
		ret = print_step(out, &plan->step[i]);
	for (size_t i = 0; ret == 0 && i < plan->left_out_count; i++) {
		fputs("# left out: ", out);
		ret = print_comment(out, plan->left_out[i].target);
		fputs(": ", out);
		if (ret == 0)
			ret = print_comment(out, plan->left_out[i].reason);
		putc('\n', out);
	}
	fputs(plan->namespace_host ? end_host : end_private, out);
	return ret;
}
