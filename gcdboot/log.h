/* log: what is told while something happens: to the person who waits, and to the boot log. The only global state of gcdboot. */
#ifndef GCDBOOT_LOG_H
#define GCDBOOT_LOG_H

enum log_level { LOG_QUIET, LOG_NORMAL, LOG_VERBOSE };

/* Chooses what goes to stderr; the boot log gets everything. */
void log_level(enum log_level level);

/* From here on everything is also written to fd, one line each, with the time: "2026-11-21T00:24:13.123+0000 warning: ...". -1: no longer. */
void log_to(int fd);

/* stderr is no longer shown to anybody: the launcher has gone. */
void log_detach(void);

/* Sends each line that would go to stderr to `sink` as well (a client that waits for `stop`); NULL: no longer. */
typedef void log_sink(void *arg, const char *line);
void log_tee(log_sink *sink, void *arg);

/* One line. info is for -v and the boot log; note for everybody; warnings begin with "warning: ". */
void log_info(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/*
 * A step begins: a terminal shows it at once, and how long it has been waiting whenever log_step_tick() is called. log_step_done() ends it with its
 * outcome and the time it took; elsewhere than on a terminal that is its one line. At most one step is open at a time.
 */
void log_step(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_step_tick(void);
void log_step_done(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void log_step_failed(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif
