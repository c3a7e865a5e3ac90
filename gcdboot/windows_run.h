/* windows_run: runs a Windows program from WSL, within a time, whatever hangs. */
#ifndef GCDBOOT_WINDOWS_RUN_H
#define GCDBOOT_WINDOWS_RUN_H

#include <stdint.h>
#include <sys/types.h>

#include "err.h"

/* The programs, by their place on the drive that Windows runs from. */
#define WINDOWS_WSL "Windows/System32/wsl.exe"
#define WINDOWS_WSL_PACKAGE "Program Files/WSL/wsl.exe" /* which the other one starts: before anybody has logged on it may be the only one to work */
#define WINDOWS_WHOAMI "Windows/System32/whoami.exe"
#define WINDOWS_POWERSHELL "Windows/System32/WindowsPowerShell/v1.0/powershell.exe"

enum windows_outcome {
	WINDOWS_RAN,        /* it ran to its end: status and text tell how */
	WINDOWS_NO_DRIVE,   /* no drive of Windows is mounted */
	WINDOWS_NO_PROGRAM, /* none of them has the program */
	WINDOWS_NO_INTEROP, /* no interop socket answers */
	WINDOWS_NO_BINFMT,  /* the kernel does not know what to do with an .exe */
	WINDOWS_TIMEOUT,    /* it took too long, and was ended */
	WINDOWS_FAILED,     /* anything else */
};

struct windows_result {
	enum windows_outcome outcome;
	int status; /* exit status; 128 + N for signal N */
	char *text; /* stdout and stderr, as windows_text() makes them; "" where it said nothing */
	struct err err;
};

/* A program that runs. */
struct windows_run {
	int fd; /* readable when there is something to be read; -1: none runs */
	pid_t pid;
	int64_t deadline;
	char *report;
	size_t len;
};

/*
 * Starts argv[0] (one of the above) in a process that does not hold anything of ours and outlives us: finds the drive in the mount table, goes there (a
 * program started elsewhere says "Invalid argument"), finds an interop socket that answers, and runs it with WSL_UTF8=1, stdin from /dev/null. What
 * it prints is kept up to 32 KiB. It is killed when limit_ms are over. environment is the one that gcdboot was started with. Returns 0 or -errno.
 */
int windows_run_start(struct windows_run *run, const char *const *argv, char *const *environment, int limit_ms, struct err *err);

/*
 * Reads what there is. -EAGAIN: it still runs; 0: it has ended (or hangs so that not even its end can be waited for), and *result tells how.
 * The result is to be cleared by windows_result_clear(); the run is done with.
 */
int windows_run_read(struct windows_run *run, struct windows_result *result);

/* Starts it and waits for its end. */
void windows_run(struct windows_result *result, const char *const *argv, char *const *environment, int limit_ms);

/* Lets it go: it runs on to its end, or to its limit. */
void windows_run_leave(struct windows_run *run);

void windows_result_clear(struct windows_result *result);

#endif
