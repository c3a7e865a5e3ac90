/* conf: the configuration as data: the defaults, then what the file says, then what it says for this host. */
#include "conf.h"

#include <errno.h>
#include <string.h>

#include "file.h"
#include "keys.h"
#include "parse.h"
#include "values.h"

static int set_defaults(struct conf *conf, struct err *err)
{
	int ret = 0;

	for (size_t i = 0; i < key_count && ret == 0; i++)
		if (key_table[i].value)
			ret = key_table[i].parse(conf, &key_table[i], key_table[i].value, 0, err);
	return ret;
}

/* Each only where its own file is there; for the two that read fstab, where that is. */
static int add_default_commands(struct conf *conf, struct err *err)
{
	static const struct {
		enum conf_command_kind kind;
		const char *line, *only_if_file;
	} commands[] = {
		{ COMMAND_RUN, "swapon -a", "/etc/fstab" },
		{ COMMAND_RUN, "mount -a -t ext4", "/etc/fstab" },
		{ COMMAND_DAEMON, "/etc/init.d/svscanboot", "/etc/init.d/svscanboot" },
		{ COMMAND_RUN, "/etc/rc.d/rc.M", "/etc/rc.d/rc.M" },
	};
	int ret = 0;

	for (size_t i = 0; i < sizeof commands / sizeof commands[0] && ret == 0; i++)
		ret = value_add_command(conf, commands[i].kind, commands[i].line, commands[i].only_if_file, 0, err);
	return ret;
}

/* Those of the plain sections, or those of [host NAME]. */
static int apply_entries(struct conf *conf, const struct entries *entries, bool host, struct err *err)
{
	const struct entry *entry = entries->entry;
	int ret = 0;

	for (size_t i = 0; i < entries->count && ret == 0; i++)
		if (entry[i].host == host)
			ret = entry[i].key->parse(conf, entry[i].key, entry[i].value, entry[i].line, err);
	return ret;
}

static bool entries_have(const struct entries *entries, const struct key *key)
{
	for (size_t i = 0; i < entries->count; i++)
		if (entries->entry[i].key == key)
			return true;
	return false;
}

/* A source that is a path may be a directory, its own root: the default mount point is for tags. */
static void drop_default_path(struct conf *conf, const struct entries *entries)
{
	if (conf->root.kind != SOURCE_PATH || entries_have(entries, key_find("root", "path")))
		return;
	free(conf->root.path);
	conf->root.path = NULL;
}

static int build_conf(struct conf *conf, const struct entries *entries, struct err *err)
{
	int ret = set_defaults(conf, err);

	if (ret == 0)
		ret = apply_entries(conf, entries, false, err);
	if (ret == 0)
		ret = apply_entries(conf, entries, true, err);
	if (ret == 0 && conf->boot.command_count == 0)
		ret = add_default_commands(conf, err);
	if (ret == 0)
		drop_default_path(conf, entries);
	return ret;
}

int conf_read(struct conf *conf, const char *file, const char *hostname, struct strlist *warnings, struct err *err)
{
	struct entries entries = { 0 };
	auto_free char *text = NULL;
	size_t size;
	int ret;

	*conf = (struct conf){ .file = strdup(file) };
	if (!conf->file)
		return err_set(err, ENOMEM, "%s: cannot read", file);
	ret = file_read(file, &text, &size, warnings, err);
	if (ret == 0)
		ret = parse_text(&entries, text, size, file, hostname, err);
	if (ret == 0)
		ret = build_conf(conf, &entries, err);
	parse_clear(&entries);
	return ret;
}

void conf_clear(struct conf *conf)
{
	free(conf->file);
	free(conf->root.source);
	free(conf->root.value);
	free(conf->root.path);
	free(conf->root.type);
	free(conf->root.options);
	strlist_clear(&conf->bind.exclude);
	for (size_t i = 0; i < conf->bind.extra_count; i++) {
		free(conf->bind.extra[i].source);
		free(conf->bind.extra[i].target);
	}
	free(conf->bind.extra);
	free(conf->bind.modules);
	strlist_clear(&conf->caps_drop);
	strlist_clear(&conf->env_pass);
	for (size_t i = 0; i < conf->boot.command_count; i++) {
		free(conf->boot.command[i].line);
		free(conf->boot.command[i].only_if_file);
	}
	free(conf->boot.command);
	strlist_clear(&conf->stop.run);
	free(conf->wsl.attach);
	*conf = (struct conf){ 0 };
}
