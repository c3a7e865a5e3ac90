/* cmd_plan: what boot would do, in order. Touches nothing. */
#include <errno.h>
#include <string.h>

#include "cmd.h"
#include "mountpoint.h"
#include "path.h"

static int print(const struct cmd_options *options, const struct conf *conf, const char *root, struct err *err)
{
	struct table table = { 0 };
	struct plan plan = { 0 };
	int r = 0;

	if (conf->bind.all || conf->wsl.attach || options->host_table)
		r = table_read(&table, options->host_table, err);
	if (r == 0)
		r = plan_make(&plan, conf, &table, root, RUNDIR_BASE, err);
	if (r == 0)
		r = plan_print(&plan, options->format, stdout, err);
	/* A full disk or a closed pipe: a plan that is cut short must not look like success. */
	if (r == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		r = err_set(err, errno, "cannot write the plan");
	plan_clear(&plan);
	table_clear(&table);
	return r;
}

int cmd_plan(const struct cmd_options *options, struct err *err)
{
	struct conf conf = { 0 };
	auto_free char *root = NULL;
	int r = cmd_read_conf(options, &conf, err);

	if (r == 0 && options->root) {
		root = path_clean(options->root);
		if (!root)
			r = err_usage(err, "--root=%s: the path must be absolute and without '..'", options->root);
		else if (strcmp(root, "/") == 0)
			r = err_usage(err, "--root=%s: is the running system", options->root);
	} else if (r == 0) {
		root = mountpoint_path(&conf, err);
		r = root ? 0 : -EINVAL;
	}
	if (r == 0)
		r = print(options, &conf, root, err);
	conf_clear(&conf);
	return r;
}
