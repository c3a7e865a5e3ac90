/* conf: what the configuration file says, as data. */
#ifndef GCDBOOT_CONF_H
#define GCDBOOT_CONF_H

#include <stdbool.h>

#include "../gcdboot/err.h"
#include "../gcdboot/util.h"

/* What [root] source names. */
enum conf_source {
	SOURCE_LABEL,
	SOURCE_UUID,
	SOURCE_PARTLABEL,
	SOURCE_PARTUUID,
	SOURCE_PATH, /* a device, a directory or an image file: only a look at it tells */
};

/* One line of [boot]: what to run, and what its failure means. */
enum conf_command_kind {
	COMMAND_RUN,     /* waited for; a failure is a warning, and the OS counts as degraded */
	COMMAND_DAEMON,  /* started, not waited for; its death is logged and shown */
	COMMAND_REQUIRE, /* waited for; a failure stops the boot and rolls it back */
};

struct conf_command {
	enum conf_command_kind kind;
	char *line;         /* for the root's own /bin/sh -c */
	char *only_if_file; /* the default commands: only where this file exists in the root; NULL: always */
	int line_number;    /* in the configuration file; 0 for a default */
};

/* One [bind] extra line: SRC[:DST[:ro]]. */
struct conf_extra {
	char *source;
	char *target; /* as seen inside the root; the source's own path where none was given */
	bool readonly;
};

struct conf {
	char *file; /* the path it was read from */

	struct {
		char *source; /* as written, "LABEL=/" */
		enum conf_source kind;
		char *value;   /* what comes behind "LABEL=", or the path */
		int partition; /* 0: none given */
		char *path;    /* the mount point on the host; NULL: not given, and the source is a path (its own directory is the root) */
		char *type;    /* "auto" by default */
		char *options; /* "defaults" by default */
		int wait_ms;
		bool fsck;
		bool overlay; /* overlay = tmpfs: the source is only read, what is written goes to a tmpfs */
	} root;

	struct {
		bool all;               /* mounts = all | none */
		struct strlist exclude; /* fnmatch(3) patterns */
		struct conf_extra *extra;
		size_t extra_count;
		char *modules; /* where the host's /lib/modules goes in the root; NULL where the value is empty */
		bool create;
		int timeout_ms;
	} bind;

	bool namespace_host; /* [namespace] mount = host */

	struct strlist caps_drop; /* libcap names with the prefix, "cap_sys_boot" */
	struct strlist env_pass;  /* fnmatch(3) patterns of variable names */

	struct {
		struct conf_command *command;
		size_t command_count;
		int timeout_ms; /* per run/require; 0: none */
		int confirm_ms; /* from the boot's beginning, for `gcdboot confirm`; 0: needs none */
	} boot;

	struct {
		struct strlist run;
		int timeout_ms;
	} stop;

	struct {
		char *attach; /* the disk that Windows is to hand over: \\.\PHYSICALDRIVE1, serial:..., model:...; NULL: none */
		bool detach;  /* give it back at stop */
	} wsl;                /* read on every host, used on WSL */
};

/*
 * Fills conf with the defaults, then with what the file says; sections [host NAME] count where NAME is `hostname` (whole, or up to its first
 * dot; case is ignored). A warning that is no reason to refuse (a file on a drive without modes) is added to `warnings`.
 * Returns 0, or -errno with err as "FILE:LINE: ..." and err->usage set. The caller frees with conf_clear() either way.
 * gcdboot.conf(5) is the contract.
 */
int conf_read(struct conf *conf, const char *file, const char *hostname, struct strlist *warnings, struct err *err);

void conf_clear(struct conf *conf);

/*
 * Reads a time: a number with an optional unit ms, s, m or h (seconds where none is given), within [min, max] milliseconds.
 * Returns 0 or -EINVAL with err as "expected 1-600 seconds, not '5x'" (and err->usage set). Serves command-line options too.
 */
int conf_parse_time(const char *text, int min_ms, int max_ms, int *ms, struct err *err);

/* The same for the time to confirm a boot: 0, which is none, or 1s-24h. */
int conf_parse_confirm(const char *text, int *ms, struct err *err);

#endif
