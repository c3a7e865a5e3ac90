/* main: the command line of gcdboot. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cmd.h"
#include "util.h"

enum { OPTION_CONFIRM = 256, OPTION_FORMAT, OPTION_HOST_TABLE, OPTION_ROOT, OPTION_JSON, OPTION_TIMEOUT };

/* One command: what it is called, what it takes, what it does. */
struct command {
	const char *name;
	int (*run)(const struct cmd_options *options, struct err *err);
	const char *short_options;
	const struct option *long_options;
	bool takes_arguments;
	const char *usage;
	const char *help;
};

#define COMMON_LONG                                                                                                                                            \
	{ "help", no_argument, NULL, 'h' },                                                                                                                    \
	{                                                                                                                                                      \
		"version", no_argument, NULL, 'V'                                                                                                              \
	}
#define END_LONG                                                                                                                                               \
	{                                                                                                                                                      \
		NULL, 0, NULL, 0                                                                                                                               \
	}

static const struct option plain_long[] = { COMMON_LONG, END_LONG };
static const struct option boot_long[] = { COMMON_LONG,
					   { "foreground", no_argument, NULL, 'f' },
					   { "detach", no_argument, NULL, 'd' },
					   { "confirm-within", required_argument, NULL, OPTION_CONFIRM },
					   END_LONG };
static const struct option plan_long[] = { COMMON_LONG,
					   { "format", required_argument, NULL, OPTION_FORMAT },
					   { "host-table", required_argument, NULL, OPTION_HOST_TABLE },
					   { "root", required_argument, NULL, OPTION_ROOT },
					   END_LONG };
static const struct option json_long[] = { COMMON_LONG, { "json", no_argument, NULL, OPTION_JSON }, END_LONG };
static const struct option stop_long[] = { COMMON_LONG, { "timeout", required_argument, NULL, OPTION_TIMEOUT }, END_LONG };

static const struct command commands[] = {
	{ "boot", cmd_boot, "+hVfd", boot_long, false, "[options]",
	  "Find the disk, mount it, bind the host's mounts into it, start the OS. The default.\n\n"
	  " -f, --foreground       stay until the OS is stopped (the default on WSL)\n"
	  " -d, --detach           return once the OS is up (the default elsewhere)\n"
	  "     --confirm-within=TIME\n"
	  "                        stop the OS unless `gcdboot confirm` is typed in time (5m); 0: it stays\n" },
	{ "plan", cmd_plan, "+hV", plan_long, false, "[options]",
	  "Show what boot would do, in order. Touches nothing.\n\n"
	  "     --format=FORMAT    text, sh or json\n"
	  "     --host-table=FILE  plan for the mount table in FILE instead of this host's\n"
	  "     --root=PATH        plan for the root at PATH instead of the configured mount point\n" },
	{ "status", cmd_status, "+hV", json_long, false, "[options]",
	  "Show whether the OS is up, since when, from which device, what is mounted and what runs.\n\n"
	  "     --json             as JSON\n" },
	{ "enter", cmd_enter, "+hV", plain_long, true, "[--] [COMMAND [ARGUMENT...]]", "Run COMMAND, or root's login shell, inside the OS.\n" },
	{ "confirm", cmd_confirm, "+hV", plain_long, false, "",
	  "Confirm that the OS can be reached: else a boot with --confirm-within, or [boot] confirm, stops it again.\n" },
	{ "stop", cmd_stop, "+hV", stop_long, false, "[options]",
	  "Shut the OS down, unmount, detach.\n\n"
	  "     --timeout=TIME     how long it may take (10s, 1m), instead of the configured time\n" },
	{ "check", cmd_check, "+hV", plain_long, false, "", "Name everything that would stop or spoil a boot, each with its mend. Touches nothing.\n" },
	{ "list", cmd_list, "+hV", json_long, false, "[options]",
	  "List the filesystems that could be a root.\n\n"
	  "     --json             as JSON\n" },
};

static void print_help(void)
{
	fputs("Usage: gcdboot [-c FILE | -n NAME] [-q | -v] [COMMAND]\n\n"
	      "Boot a Linux that you own, from its own disk, on a host whose kernel you cannot replace.\n\n"
	      " -c, --config=FILE  the configuration (default: /etc/gcdboot/default.conf)\n"
	      " -n, --name=NAME    the configuration /etc/gcdboot/NAME.conf, and the OS booted from it\n"
	      " -q, --quiet        say nothing but errors\n"
	      " -v, --verbose      say more\n"
	      " -h, --help         show this help\n"
	      " -V, --version      show the version\n\n"
	      "Commands (gcdboot COMMAND --help tells more):\n"
	      " boot    find the disk, mount it, bind the host into it, start the OS (default)\n"
	      " plan    what boot would do, in order\n"
	      " status  is it up, what is mounted, what runs, what failed\n"
	      " enter   run a command inside the OS\n"
	      " confirm the OS can be reached: it stays up\n"
	      " stop    shut the OS down, unmount, detach\n"
	      " check   what would stop or spoil a boot, and its mend\n"
	      " list    filesystems that could be a root\n\n"
	      "See gcdboot(8), gcdboot.conf(5), chroot_escape(8).\n",
	      stdout);
}

/* Says what is wrong with the command line; getopt has said it itself where message is NULL. */
static int misuse(const char *message, const char *what)
{
	if (message)
		fprintf(stderr, "gcdboot: %s%s\n", message, what ? what : "");
	fputs("Try 'gcdboot --help'.\n", stderr);
	return EXIT_USAGE;
}

/* Descriptors 0, 1 and 2 must be open, or the first file that we open would become somebody's output. */
static void open_stdio(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd > STDERR_FILENO)
		close(fd);
}

/* Whether help or version was asked for: -1 no, else the exit status after it was shown. */
static int show_help(int option, const struct command *command)
{
	if (option == 'V')
		puts("gcdboot " GCDBOOT_VERSION);
	else if (option != 'h')
		return -1;
	else if (!command)
		print_help();
	else
		printf("Usage: gcdboot %s %s\n\n%s\n -h, --help             show this help\n -V, --version          show the version\n", command->name,
		       command->usage, command->help);
	return fflush(stdout) == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* The options before the command. Returns -1 to go on, else the exit status. */
static int parse_global(int argc, char **argv, struct cmd_options *options)
{
	static const struct option longs[] = { COMMON_LONG,
					       { "config", required_argument, NULL, 'c' },
					       { "name", required_argument, NULL, 'n' },
					       { "quiet", no_argument, NULL, 'q' },
					       { "verbose", no_argument, NULL, 'v' },
					       END_LONG };
	bool named = false;
	int option, status;

	while ((option = getopt_long(argc, argv, "+c:n:qvhV", longs, NULL)) != -1) {
		status = show_help(option, NULL);
		if (status >= 0)
			return status;
		switch (option) {
		case 'c':
			if (!optarg[0])
				return misuse("-c needs a file", NULL);
			options->conf_file = optarg;
			break;
		case 'n':
			options->name = optarg;
			named = true;
			break;
		case 'q':
		case 'v':
			if (options->level != LOG_NORMAL && options->level != (option == 'q' ? LOG_QUIET : LOG_VERBOSE))
				return misuse("-q and -v exclude each other", NULL);
			options->level = option == 'q' ? LOG_QUIET : LOG_VERBOSE;
			break;
		default:
			return misuse(NULL, NULL);
		}
	}
	if (named && options->conf_file)
		return misuse("-c and -n exclude each other", NULL);
	return -1;
}

static int parse_format(const char *name, enum plan_format *format)
{
	static const char *const names[] = { [PLAN_TEXT] = "text", [PLAN_SH] = "sh", [PLAN_JSON] = "json" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(name, names[i]) == 0) {
			*format = (enum plan_format)i;
			return -1;
		}
	return misuse("--format: expected text, sh or json, not ", name);
}

static int parse_timeout(const char *text, int *timeout_ms)
{
	struct err err;

	if (conf_parse_time(text, 1000, 600000, timeout_ms, &err) == 0)
		return -1;
	return misuse("--timeout: ", err.msg);
}

static int parse_confirm(const char *text, int *confirm_ms)
{
	struct err err;

	if (conf_parse_confirm(text, confirm_ms, &err) == 0)
		return -1;
	return misuse("--confirm-within: ", err.msg);
}

static int parse_one(int option, struct cmd_options *options)
{
	switch (option) {
	case 'f':
		options->foreground = true;
		break;
	case 'd':
		options->detach = true;
		break;
	case OPTION_FORMAT:
		return parse_format(optarg, &options->format);
	case OPTION_HOST_TABLE:
		options->host_table = optarg;
		break;
	case OPTION_ROOT:
		options->root = optarg;
		break;
	case OPTION_JSON:
		options->json = true;
		break;
	case OPTION_TIMEOUT:
		return parse_timeout(optarg, &options->timeout_ms);
	case OPTION_CONFIRM:
		return parse_confirm(optarg, &options->confirm_ms);
	default:
		return misuse(NULL, NULL);
	}
	return -1;
}

/* The options behind the command. Returns -1 to go on, else the exit status. */
static int parse_command(const struct command *command, int argc, char **argv, struct cmd_options *options)
{
	int option, status;

	optind = 0;                  /* begins anew: getopt(3) */
	argv[0] = (char *)"gcdboot"; /* getopt's own messages begin with it */
	while ((option = getopt_long(argc, argv, command->short_options, command->long_options, NULL)) != -1) {
		status = show_help(option, command);
		if (status < 0)
			status = parse_one(option, options);
		if (status >= 0)
			return status;
	}
	if (options->foreground && options->detach)
		return misuse("--foreground and --detach exclude each other", NULL);
	options->argv = argv + optind;
	if (!command->takes_arguments && optind < argc)
		return misuse("unexpected argument: ", argv[optind]);
	return -1;
}

static const struct command *find_command(const char *name)
{
	for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
		if (strcmp(commands[i].name, name) == 0)
			return &commands[i];
	return NULL;
}

/* What a careless parent may have left us: a mask of 0, children that nobody may wait for, signals that never arrive. */
static void reset_process(void)
{
	sigset_t none;

	umask(022);
	signal(SIGCHLD, SIG_DFL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* libmount and libblkid obey variables that are not ours to trust; the OS gets what [env] pass says from the copy. */
static void take_environment(struct cmd_options *options)
{
	static char *empty[] = { NULL };

	options->environment = environ ? environ : empty;
	options->notify_socket = getenv("NOTIFY_SOCKET");
	environ = NULL;
	setenv("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", 1);
}

int main(int argc, char **argv)
{
	struct cmd_options options = { .name = "default", .level = LOG_NORMAL, .confirm_ms = -1 };
	const struct command *command = &commands[0];
	struct err err = { 0 };
	int status;

	if (argc < 1)
		return EXIT_USAGE;
	reset_process();
	open_stdio();
	close_from(STDERR_FILENO + 1, descriptors_end());
	take_environment(&options);
	status = parse_global(argc, argv, &options);
	if (status < 0 && optind < argc) {
		command = find_command(argv[optind]);
		if (!command)
			return misuse("unknown command: ", argv[optind]);
		status = parse_command(command, argc - optind, argv + optind, &options);
	}
	if (status >= 0)
		return status;
	log_level(options.level);
	status = command->run(&options, &err);
	if (status != EXIT_DONE && err.msg[0])
		fprintf(stderr, "gcdboot: %s\n", err.msg);
	if (status >= 0)
		return status;
	return err.usage ? EXIT_USAGE : EXIT_FAILED;
}
