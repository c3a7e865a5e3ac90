/* log: what is told while something happens: to the person who waits, and to the boot log. */
#include "log.h"

#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define LINE 2560
#define STDERR_MS 1000

static struct {
	enum log_level level;
	int fd;
	bool terminal, detached, held, unfinished; /* held: nobody takes what we write; unfinished: the cursor stands behind a step that waits */
	log_sink *sink;
	void *sink_arg;
	char step[256];
	struct timespec step_began;
} state = { .level = LOG_NORMAL, .fd = -1 };

void log_level(enum log_level level)
{
	state.level = level;
	state.terminal = isatty(STDERR_FILENO);
}

void log_to(int fd)
{
	state.fd = fd;
}

void log_detach(void)
{
	state.detached = true;
}

void log_tee(log_sink *sink, void *arg)
{
	state.sink = sink;
	state.sink_arg = arg;
}

/* A failing stderr or log (a closed pipe, a full tmpfs) must not stop a boot, and there is nobody to tell. */
static void write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

/*
 * A terminal that is held (Ctrl-S, a Windows console with a marked text) or a pipe that nobody reads must not hold the supervisor: it could not even be
 * stopped. What does not go out in time is not shown; the boot log has it.
 */
static void write_stderr(const char *text, size_t len)
{
	struct pollfd wait = { .fd = STDERR_FILENO, .events = POLLOUT };

	state.held = poll(&wait, 1, state.held ? 0 : STDERR_MS) == 0;
	if (!state.held)
		write_all(STDERR_FILENO, text, len);
}

static void to_file(const char *text)
{
	struct timespec now;
	char stamp[64], zone[8], line[LINE + 128];
	struct tm tm;
	int len;

	if (state.fd < 0)
		return;
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
	strftime(zone, sizeof zone, "%z", &tm);
	len = snprintf(line, sizeof line, "%s.%03ld%s %s\n", stamp, now.tv_nsec / 1000000, zone, text);
	write_all(state.fd, line, (size_t)len);
}

static void to_stderr(enum log_level least, const char *text)
{
	char line[LINE + 32];
	int len;

	if (state.level < least || state.detached)
		return;
	len = snprintf(line, sizeof line, "%s%s\n", state.unfinished ? "\r\033[K" : state.terminal ? "" : "gcdboot: ", text);
	state.unfinished = false;
	write_stderr(line, (size_t)len);
}

__attribute__((format(printf, 3, 0))) static void say(enum log_level least, const char *prefix, const char *fmt, va_list args)
{
	char text[LINE];
	size_t len = (size_t)snprintf(text, sizeof text, "%s", prefix);

	vsnprintf(text + len, sizeof text - len, fmt, args);
	to_file(text);
	to_stderr(least, text);
	if (state.sink && least <= LOG_NORMAL)
		state.sink(state.sink_arg, text);
}

#define SAY(least, prefix)                                                                                                                                     \
	do {                                                                                                                                                   \
		va_list args;                                                                                                                                  \
		va_start(args, fmt);                                                                                                                           \
		say(least, prefix, fmt, args);                                                                                                                 \
		va_end(args);                                                                                                                                  \
	} while (0)

void log_info(const char *fmt, ...)
{
	SAY(LOG_VERBOSE, "");
}

void log_note(const char *fmt, ...)
{
	SAY(LOG_NORMAL, "");
}

void log_warn(const char *fmt, ...)
{
	SAY(LOG_NORMAL, "warning: ");
}

void log_error(const char *fmt, ...)
{
	SAY(LOG_NORMAL, "error: ");
}

static double step_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - state.step_began.tv_sec) + (double)(now.tv_nsec - state.step_began.tv_nsec) / 1e9;
}

/* What of the text fits beside `used` columns: what has wrapped cannot be written over. Bytes count as columns: rather too short than too long. */
static int fitting(const char *text, size_t used)
{
	struct winsize size = { 0 };
	size_t len = strlen(text), room;

	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
		return (int)len;
	room = size.ws_col > used ? size.ws_col - used : 0;
	if (len <= room)
		return (int)len;
	/* Not in the middle of a character. */
	while (room > 0 && ((unsigned char)text[room] & 0xc0) == 0x80)
		room--;
	return (int)room;
}

/* On a terminal: the step that waits, without a newline, over itself. */
static void show_step(const char *tail)
{
	char line[LINE];
	int len;

	if (!state.terminal || state.detached || state.level < LOG_NORMAL)
		return;
	/* 6 for "  ..  ", 1 for the cursor. */
	len = snprintf(line, sizeof line, "\r\033[K  ..  %.*s%s", fitting(state.step, 7 + strlen(tail)), state.step, tail);
	state.unfinished = true;
	write_stderr(line, (size_t)len);
}

void log_step(const char *fmt, ...)
{
	va_list args;
	char text[LINE];

	va_start(args, fmt);
	vsnprintf(state.step, sizeof state.step, fmt, args);
	va_end(args);
	clock_gettime(CLOCK_MONOTONIC, &state.step_began);
	snprintf(text, sizeof text, "begin %s", state.step);
	to_file(text);
	show_step("");
}

void log_step_tick(void)
{
	char tail[32];

	snprintf(tail, sizeof tail, " (%.0f s)", step_seconds());
	show_step(tail);
}

__attribute__((format(printf, 2, 0))) static void end_step(const char *mark, const char *fmt, va_list args)
{
	char outcome[LINE / 2], text[LINE];

	vsnprintf(outcome, sizeof outcome, fmt, args);
	snprintf(text, sizeof text, "%s %s%s%s (%.3f s)", mark, state.step, outcome[0] ? ": " : "", outcome, step_seconds());
	to_file(text);
	if (state.sink)
		state.sink(state.sink_arg, text);
	if (state.terminal)
		snprintf(text, sizeof text, "  %s  %s%s%s", mark, state.step, outcome[0] ? ": " : "", outcome);
	to_stderr(LOG_NORMAL, text);
}

void log_step_done(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	end_step("ok", fmt, args);
	va_end(args);
}

void log_step_failed(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	end_step("FAILED", fmt, args);
	va_end(args);
}
