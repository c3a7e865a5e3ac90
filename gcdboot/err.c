/* err: one error message on its way up to main(). */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

__attribute__((format(printf, 2, 0))) static void err_format(struct err *err, const char *fmt, va_list args)
{
	vsnprintf(err->msg, sizeof err->msg, fmt, args);
	err->usage = 0;
}

int err_set(struct err *err, int errnum, const char *fmt, ...)
{
	va_list args;
	size_t len;

	if (errnum == 0)
		errnum = -EIO;
	if (err) {
		va_start(args, fmt);
		err_format(err, fmt, args);
		va_end(args);
		len = strlen(err->msg);
		if (errnum > 0)
			snprintf(err->msg + len, sizeof err->msg - len, ": %s", strerror(errnum));
	}
	return errnum > 0 ? -errnum : errnum;
}

int err_usage(struct err *err, const char *fmt, ...)
{
	va_list args;

	if (err) {
		va_start(args, fmt);
		err_format(err, fmt, args);
		va_end(args);
		err->usage = 1;
	}
	return -EINVAL;
}

int err_prefix(struct err *err, int ret, const char *fmt, ...)
{
	char old[ERR_MAX];
	va_list args;
	size_t len;

	if (!err)
		return ret;
	memcpy(old, err->msg, sizeof old);
	va_start(args, fmt);
	vsnprintf(err->msg, sizeof err->msg, fmt, args);
	va_end(args);
	len = strlen(err->msg);
	snprintf(err->msg + len, sizeof err->msg - len, ": %s", old);
	return ret;
}
