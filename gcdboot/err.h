/* err: one error message on its way up to main(). */
#ifndef GCDBOOT_ERR_H
#define GCDBOOT_ERR_H

#define ERR_MAX 2048

/*
 * The message of a failed call. It is set where the failure happens, gets a prefix on its way up, and is printed once, in main().
 * `usage` marks a mistake of the caller's (command line or configuration): main() then exits with 2 instead of 1.
 */
struct err {
	char msg[ERR_MAX];
	int usage;
};

/*
 * Sets the message and returns -errnum, so that a failing call can end in `return err_set(err, errno, "cannot open %s", path);`.
 * Where errnum is positive, ": strerror(errnum)" is added to the message; a negative errnum is returned as it is, with nothing added
 * (for failures that the message already explains: err_set(err, -EINVAL, ...)). Zero is taken for -EIO. err may be NULL.
 */
int err_set(struct err *err, int errnum, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* As err_set() with -EINVAL, and marks the error as one of usage or configuration. */
int err_usage(struct err *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Puts a prefix and ": " before the message; returns ret as it is. */
int err_prefix(struct err *err, int ret, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
