/* cmd_status: is it up, since when, from which device, what is mounted, what runs, which commands failed. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cmd.h"
#include "host.h"
#include "report.h"

/* After a boot that failed, or that nobody confirmed, its log is all that is left. */
static int print_text(const struct report *report, const struct rundir *rundir, struct err *err)
{
	int r = report_print_text(report, stdout, err);

	if (r == 0 && !report->running && access(rundir->log, F_OK) == 0)
		printf("  the last boot was undone: %s tells why\n", rundir->log);
	return r;
}

static int print(const struct cmd_options *options, const struct report *report, const struct rundir *rundir, struct err *err)
{
	int r;

	if (options->json)
		r = report_print_json(report, stdout, err);
	else if (options->level == LOG_QUIET)
		r = 0;
	else
		r = print_text(report, rundir, err);
	if (r == 0 && (fflush(stdout) != 0 || ferror(stdout)))
		r = err_set(err, errno, "cannot write the status");
	return r;
}

int cmd_status(const struct cmd_options *options, struct err *err)
{
	struct report report = { 0 };
	struct rundir rundir;
	int r = rundir_name(&rundir, options->name, err);

	if (r == 0)
		r = host_check_privilege(err);
	if (r == 0)
		r = report_gather(&report, options->name, &rundir, err);
	if (r == 0)
		r = print(options, &report, &rundir, err);
	if (r == 0)
		r = !report.running ? EXIT_NOT_RUNNING : report.degraded ? EXIT_DEGRADED : EXIT_DONE;
	report_clear(&report);
	return r;
}
