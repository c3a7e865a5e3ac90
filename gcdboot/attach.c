/* attach: has Windows hand over the disk of [wsl] attach, and takes it back there. */
#include "attach.h"

#include <errno.h>
#include <string.h>

#include "log.h"
#include "text.h"
#include "util.h"
#include "windows_code.h"
#include "windows_text.h"

#define ASK_MS 60000     /* wsl.exe itself waits for the disk for 15 s, and may have to start the service first */
#define RESOLVE_MS 30000 /* powershell.exe is slow right after Windows has started */
#define AGAIN_MS 1000    /* after the first failure; each one more adds as much, until it is enough */
#define AGAIN_MAX_MS 5000
#define QUOTE_MAX 300 /* of what a program said */

void attach_begin(struct attach *attach, const char *spec, char *const *environment)
{
	*attach = (struct attach){
		.spec = spec,
		.environment = environment,
		.run = { .fd = -1 },
		.number = windows_drive_number(spec),
	};
}

void attach_end(struct attach *attach)
{
	windows_run_leave(&attach->run);
}

static void drive_name(char name[WINDOWS_DRIVE_NAME], int number)
{
	snprintf(name, WINDOWS_DRIVE_NAME, "%s%d", WINDOWS_DRIVE_PREFIX, number);
}

/* Words for a program that did not do what it was to do, and has no code for it. Whether it may pass: the returned verdict. */
static enum windows_verdict describe_failure(const struct windows_result *result, const char *program, struct err *err)
{
	auto_free char *said = windows_text_line(result->text, QUOTE_MAX);

	switch (result->outcome) {
	case WINDOWS_RAN:
		err_set(err, -EIO, "%s ended with status %d%s%s", program, result->status, said && *said ? ": " : " without a word", said ? said : "");
		/* Without a word: not even its own beginning worked, as before anybody has logged on. */
		return said && *said ? WINDOWS_NEVER : WINDOWS_LATER;
	case WINDOWS_TIMEOUT:
		err_set(err, -ETIMEDOUT, "%s did not end in time", program);
		return WINDOWS_LATER;
	case WINDOWS_NO_INTEROP:
	case WINDOWS_FAILED:
		err_set(err, -EIO, "%s", result->err.msg);
		return WINDOWS_LATER;
	default:
		err_set(err, -ENOENT, "%s", result->err.msg);
		return WINDOWS_NEVER;
	}
}

/* What wsl.exe has to say about a drive. `code` is set where it is one that we know. */
static enum windows_verdict describe_answer(const struct windows_result *result, const char *drive, const char *verb, const struct windows_code **code,
					    struct err *err)
{
	enum windows_verdict verdict = WINDOWS_NEVER;
	char shown[WINDOWS_CODE_MAX] = "";

	*code = result->outcome == WINDOWS_RAN ? windows_code_find(result->text, shown) : NULL;
	if (*code)
		err_set(err, -EIO, "%s (%s)", (*code)->sentence, shown);
	else
		verdict = describe_failure(result, "wsl.exe", err);
	/* The text may have been cut before it came to that. */
	if (!*code && shown[0] && !strstr(err->msg, shown)) {
		size_t len = strlen(err->msg);

		snprintf(err->msg + len, sizeof err->msg - len, " (%s)", shown);
	}
	err_prefix(err, 0, "Windows does not %s %s", verb, drive);
	return *code ? (*code)->verdict : verdict;
}

static int start(struct attach *attach, const char *const *argv, int limit_ms, enum attach_step step, struct err *err)
{
	int r = windows_run_start(&attach->run, argv, attach->environment, limit_ms, err);

	if (r == 0)
		attach->step = step;
	return r;
}

/* After failures without a reason the package's own wsl.exe has its turn: the one in System32 needs a logon to find it. */
static const char *wsl_program(const struct attach *attach)
{
	return attach->failures % 2 ? WINDOWS_WSL_PACKAGE : WINDOWS_WSL;
}

static int ask(struct attach *attach, struct err *err)
{
	char drive[WINDOWS_DRIVE_NAME];

	drive_name(drive, attach->number);
	return start(attach, (const char *const[]){ wsl_program(attach), "--mount", drive, "--bare", NULL }, ASK_MS, ATTACH_ASKING, err);
}

static int begin_step(struct attach *attach, struct err *err)
{
	return attach->number >= 0 ? ask(attach, err) : start(attach, windows_disks_arguments, RESOLVE_MS, ATTACH_RESOLVING, err);
}

/* What has failed may pass: keeps why, and when it is tried again. */
static int later(struct attach *attach)
{
	log_info("%s; trying again", attach->why.msg);
	attach->step = ATTACH_IDLE;
	if (attach->tries < AGAIN_MAX_MS / AGAIN_MS)
		attach->tries++;
	attach->again = util_now_ms() + (int64_t)attach->tries * AGAIN_MS;
	return 0;
}

static int resolved(struct attach *attach, const struct windows_result *result, struct err *err)
{
	struct windows_disks disks = { 0 };
	int r = 0;

	if (result->outcome == WINDOWS_RAN && result->status == 0)
		r = windows_disks_parse(&disks, result->text);
	if (r == 0 && disks.count == 0) {
		enum windows_verdict verdict = describe_failure(result, "powershell.exe", &attach->why);

		err_prefix(&attach->why, 0, "cannot ask Windows which disk is %s", attach->spec);
		r = verdict == WINDOWS_NEVER ? -EIO : -ENODEV;
	} else if (r == 0) {
		r = windows_disk_choose(&disks, attach->spec, &attach->number, &attach->why);
	} else {
		r = err_set(&attach->why, r, "cannot read what Windows tells about its disks");
	}
	windows_disks_clear(&disks);
	if (r == 0)
		return ask(attach, err);
	/* A disk of that name may still come: they take their time to spin up. */
	return r == -ENODEV ? later(attach) : err_set(err, r, "%s", attach->why.msg);
}

static int answered(struct attach *attach, const struct windows_result *result, struct err *err)
{
	bool package = attach->failures % 2;
	const struct windows_code *code;
	char drive[WINDOWS_DRIVE_NAME];
	enum windows_verdict verdict;

	attach->step = ATTACH_DONE;
	if (result->outcome == WINDOWS_RAN && result->status == 0)
		return 1;
	/* The package's program is tried where it is; where it is not, that is no news. */
	if (package || result->outcome == WINDOWS_RAN)
		attach->failures++;
	if (package && result->outcome == WINDOWS_NO_PROGRAM)
		return later(attach);
	drive_name(drive, attach->number);
	verdict = describe_answer(result, drive, "hand over", &code, &attach->why);
	if (verdict == WINDOWS_ALREADY) {
		attach->was_attached = true;
		return 1;
	}
	/* The number may be another one by the next time. */
	attach->number = windows_drive_number(attach->spec);
	return verdict == WINDOWS_LATER ? later(attach) : err_set(err, -EIO, "%s", attach->why.msg);
}

int attach_go_on(struct attach *attach, struct err *err)
{
	enum attach_step step = attach->step;
	struct windows_result result;
	int r;

	if (step == ATTACH_DONE || (step == ATTACH_IDLE && util_now_ms() < attach->again))
		return 0;
	if (step == ATTACH_IDLE)
		return begin_step(attach, err);
	if (windows_run_read(&attach->run, &result) == -EAGAIN)
		return 0;
	r = step == ATTACH_RESOLVING ? resolved(attach, &result, err) : answered(attach, &result, err);
	windows_result_clear(&result);
	return r;
}

int attach_fd(const struct attach *attach)
{
	return attach->run.fd;
}

int attach_due_ms(const struct attach *attach)
{
	int64_t left;

	if (attach->step == ATTACH_DONE)
		return -1;
	left = (attach->step == ATTACH_IDLE ? attach->again : attach->run.deadline) - util_now_ms();
	return left > 0 ? (int)left : 0;
}

static int resolve_now(const char *spec, char *const *environment, int limit_ms, int *number, struct err *err)
{
	struct windows_disks disks = { 0 };
	struct windows_result result;
	int r = -EIO;

	windows_run(&result, windows_disks_arguments, environment, limit_ms);
	if (result.outcome != WINDOWS_RAN || result.status != 0)
		describe_failure(&result, "powershell.exe", err);
	else if (windows_disks_parse(&disks, result.text) < 0)
		err_set(err, -EPROTO, "cannot read what Windows tells about its disks");
	else
		r = windows_disk_choose(&disks, spec, number, err);
	windows_disks_clear(&disks);
	windows_result_clear(&result);
	return r;
}

/* 0x80070002: no such disk is attached, which is what was wanted. */
static int unmount_disk(const char *drive, char *const *environment, int64_t deadline, struct err *err)
{
	static const char *const programs[] = { WINDOWS_WSL, WINDOWS_WSL_PACKAGE };
	int r = -EIO;

	for (size_t i = 0; i < sizeof programs / sizeof *programs && r < 0; i++) {
		int64_t left = deadline - util_now_ms();
		const struct windows_code *code = NULL;
		struct windows_result result;
		enum windows_verdict verdict;
		bool silent;

		windows_run(&result, (const char *const[]){ programs[i], "--unmount", drive, NULL }, environment, left > 0 ? (int)left : 0);
		if (i > 0 && result.outcome == WINDOWS_NO_PROGRAM) {
			windows_result_clear(&result);
			break;
		}
		if (result.outcome == WINDOWS_RAN && result.status == 0)
			r = 0;
		verdict = r == 0 ? WINDOWS_NEVER : describe_answer(&result, drive, "take back", &code, err);
		if (code && code->hex == 0x80070002)
			r = 0;
		silent = result.outcome == WINDOWS_RAN && !code && verdict == WINDOWS_LATER;
		windows_result_clear(&result);
		/* The other program is for where this one could not even begin. */
		if (!silent)
			break;
	}
	return r;
}

int attach_give_back(const char *spec, char *const *environment, int limit_ms, struct err *err)
{
	int64_t deadline = util_now_ms() + limit_ms;
	int number = windows_drive_number(spec), r = 0;
	char drive[WINDOWS_DRIVE_NAME] = "";

	if (number < 0)
		r = resolve_now(spec, environment, limit_ms, &number, err);
	if (r == 0) {
		drive_name(drive, number);
		r = unmount_disk(drive, environment, deadline, err);
	}
	if (r < 0) {
		size_t len = strlen(err->msg);

		snprintf(err->msg + len, sizeof err->msg - len, "; on Windows, as administrator, type: wsl.exe --unmount %s",
			 drive[0] ? drive : WINDOWS_DRIVE_PREFIX "n");
	}
	return r;
}
