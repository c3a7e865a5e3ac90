/* cmd: what several commands need. */
#include "cmd.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>

#include "host.h"

/* The supervisor, which leaves the caller's directory, and a later `stop` have to find the file again. */
static int make_absolute(struct conf *conf, struct err *err)
{
	char *absolute = realpath(conf->file, NULL);

	if (!absolute && errno == ENOMEM)
		return err_set(err, ENOMEM, "cannot read the configuration");
	if (!absolute)
		return 0; /* a pipe of a shell's <(...), or a directory that is gone: there is no such name */
	free(conf->file);
	conf->file = absolute;
	return 0;
}

int cmd_read_conf(const struct cmd_options *options, struct conf *conf, struct err *err)
{
	struct strlist warnings = { 0 };
	auto_free char *file = NULL;
	char name[65];
	int r;

	if (!options->conf_file && asprintf(&file, "/etc/gcdboot/%s.conf", options->name) < 0)
		return err_set(err, ENOMEM, "cannot read the configuration");
	host_name(name);
	r = conf_read(conf, options->conf_file ? options->conf_file : file, name, &warnings, err);
	for (size_t i = 0; i < warnings.count; i++)
		log_warn("%s", warnings.str[i]);
	strlist_clear(&warnings);
	return r == 0 && conf->file[0] != '/' ? make_absolute(conf, err) : r;
}

void cmd_tell_not_running(const struct cmd_options *options)
{
	auto_closedir DIR *dir = opendir(RUNDIR_BASE);

	log_note("not running%s%s", strcmp(options->name, "default") != 0 ? ": " : "", strcmp(options->name, "default") != 0 ? options->name : "");
	for (struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir)) {
		struct rundir other;

		if (strcmp(entry->d_name, options->name) != 0 && rundir_name(&other, entry->d_name, NULL) == 0 && rundir_is_locked(&other))
			log_note("but %s is: -n %s", entry->d_name, entry->d_name);
	}
}
