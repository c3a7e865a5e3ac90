/* cmd: the commands of gcdboot, one file each, and the options they share. */
#ifndef GCDBOOT_CMD_H
#define GCDBOOT_CMD_H

#include <stdbool.h>

#include "../conf/conf.h"
#include "err.h"
#include "log.h"
#include "plan.h"
#include "rundir.h"
#include "state.h"

enum cmd_exit {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_NOT_RUNNING = 3,
	EXIT_DEGRADED = 4,
	EXIT_UNCONFIRMED = 5, /* systemd/ has it, too: a boot that nobody confirmed must not be tried again at once */
	EXIT_CANNOT_RUN = 126,
	EXIT_NOT_FOUND = 127,
};

struct cmd_options {
	const char *conf_file; /* -c; NULL: by name */
	const char *name;      /* "default" unless -n */
	enum log_level level;
	bool foreground, detach, json;
	enum plan_format format;
	const char *host_table, *root; /* plan */
	int timeout_ms;                /* stop; 0: as configured */
	int confirm_ms;                /* boot; -1: as configured, 0: needs no confirmation */
	char **argv;                   /* enter: the command and its arguments; empty: a login shell */
	char **environment;            /* as gcdboot was started */
	const char *notify_socket;
};

/*
 * Each command returns its exit status, or -errno with err: main() then prints the message and exits with EXIT_FAILED (EXIT_USAGE where err->usage is set).
 */
int cmd_boot(const struct cmd_options *options, struct err *err);
int cmd_plan(const struct cmd_options *options, struct err *err);
int cmd_status(const struct cmd_options *options, struct err *err);
int cmd_enter(const struct cmd_options *options, struct err *err);
int cmd_confirm(const struct cmd_options *options, struct err *err);
int cmd_stop(const struct cmd_options *options, struct err *err);
int cmd_check(const struct cmd_options *options, struct err *err);
int cmd_list(const struct cmd_options *options, struct err *err);

/* Reads the configuration that the options name; its warnings are told. */
int cmd_read_conf(const struct cmd_options *options, struct conf *conf, struct err *err);

/* "no `gcdboot` is running as NAME", and which others are, for those who look in the wrong place. */
void cmd_tell_not_running(const struct cmd_options *options);

#endif
