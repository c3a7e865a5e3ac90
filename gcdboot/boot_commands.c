/* boot_commands: which boot commands a root has what is needed for. */
#include "boot_commands.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "inroot.h"

/* The script that a command line begins with, where that is a plain absolute path; NULL where the shell would have to look closer. */
static char *script_of(const char *line)
{
	size_t len = 0;

	while (isalnum((unsigned char)line[len]) || (line[len] && strchr("/._+-", line[len])))
		len++;
	if (line[0] != '/' || (line[len] != '\0' && line[len] != ' ' && line[len] != '\t'))
		return NULL;
	return strndup(line, len);
}

static int check_script(const struct conf *conf, const struct conf_command *command, int root, struct err *err)
{
	auto_free char *script = script_of(command->line);
	auto_close int fd = -1;
	const char *why;
	struct stat st;

	if (!script)
		return 0;
	fd = inroot_open(root, script, O_PATH, NULL);
	if (fd < 0)
		why = strerror(-fd);
	else if (fstat(fd, &st) < 0)
		why = strerror(errno);
	else if (S_ISDIR(st.st_mode))
		why = "is a directory";
	else if (!(st.st_mode & 0111))
		why = "is not executable (chmod +x it)";
	else
		return 0;
	if (command->line_number)
		return err_usage(err, "%s:%d: %s in the root: %s", conf->file, command->line_number, script, why);
	return err_usage(err, "%s in the root: %s", script, why);
}

int boot_commands_list(const struct conf *conf, int root, struct state *state, struct err *err)
{
	bool any = false;
	int r = 0;

	for (size_t i = 0; i < conf->boot.command_count && r == 0; i++) {
		const struct conf_command *command = &conf->boot.command[i];

		r = state_add_command(state, command->kind, command->line);
		if (r < 0)
			return err_set(err, -r, "cannot list the boot commands");
		if (command->only_if_file && !inroot_exists(root, command->only_if_file)) {
			state->command[state->command_count - 1].run = RUN_LEFT_OUT;
			continue;
		}
		any = true;
		r = check_script(conf, command, root, err);
	}
	if (r == 0 && any && !inroot_exists(root, "/bin/sh"))
		r = err_set(err, -ENOENT, "the root has no /bin/sh to run the boot commands with: is it the right filesystem?");
	return r;
}
