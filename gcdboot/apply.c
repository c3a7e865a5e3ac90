/* apply: carries out the binds of a plan below a root descriptor, without ever waiting long for a source that hangs. */
#include "apply.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "inroot.h"
#include "mnt.h"
#include "path.h"
#include "text.h"

/*
 * One thread or two work the steps off in order. Where a step does not come back, the thread is left in the kernel and another goes on behind it, so
 * that all the sources that hang wait at the same time. The first stall is taken for a busy machine for a while; after that they are expected.
 */
#define STALL_FIRST_MS 100
#define STALL_NEXT_MS 10
#define THREADS_MAX 256
#define HANDS_FROM 64 /* binds; for fewer a second thread costs more than it brings */
#define THREAD_STACK (256 * 1024)

enum outcome { WAITING, AT_WORK, BOUND, SKIPPED, IGNORED, FAILED };

struct work {
	const struct plan *plan;
	int root_fd;
	struct stat root; /* of root_fd */
	pthread_mutex_t lock;
	pthread_cond_t moved;
	enum outcome *outcome; /* per step of the plan */
	size_t next;           /* the first step that no thread has looked at */
	size_t finished, total;
	size_t at_work[THREADS_MAX];
	size_t at_work_count;
	size_t *deferred; /* steps below one that is at work */
	size_t deferred_count;
	unsigned long progress; /* counts every change, so that a stall can be seen */
	bool stop;              /* a step failed for good, or the time is up */
	int error;
	struct err *err;
	struct apply_result *result;
};

/* Directory or file, without asking the filesystem: "." below a descriptor is refused with ENOTDIR before anything else is looked at. */
static enum inroot_kind source_kind(const struct mnt_source *source)
{
	auto_close int fd = openat(source->fd, ".", O_PATH | O_CLOEXEC);

	return fd < 0 && errno == ENOTDIR ? INROOT_FILE : INROOT_DIR;
}

static int open_mount_point(int root_fd, const struct step *step, enum inroot_kind kind, struct err *err)
{
	/* A file goes over a link, not over what the link points to: that may be the root's own init. Directories are found through links. */
	int flags = O_PATH | (kind == INROOT_DIR ? O_DIRECTORY : O_NOFOLLOW);
	int fd = inroot_open(root_fd, step->target, flags, err);

	if (fd != -ENOENT)
		return fd;
	if (!(step->flags & STEP_CREATE))
		return err_set(err, -ENOENT, "the root has no mount point for it, and create = no");
	return inroot_make(root_fd, step->target, kind, err);
}

/* What can be done to a bind only once it is there; the descriptor of the mount point does not lead to it, a new look-up does. */
static int finish_bind(const struct work *work, const struct step *step, enum inroot_kind kind, struct err *err)
{
	auto_close int fd = -1;
	int r = 0;

	if (!work->plan->namespace_host && !(step->flags & STEP_READONLY))
		return 0;
	fd = inroot_open(work->root_fd, step->target, O_PATH | (kind == INROOT_DIR ? O_DIRECTORY : O_NOFOLLOW), err);
	if (fd < 0)
		return fd;
	if (work->plan->namespace_host)
		r = mnt_set_slave(fd, err);
	if (r == 0 && (step->flags & STEP_READONLY))
		r = mnt_set_readonly(fd, err);
	/* Told as not bound, it must not be there: least of all writable, where read-only was asked for. */
	if (r < 0)
		mnt_detach_fd(fd);
	return r;
}

/* A link in the root can lead to its own "/": what is mounted there would be met by every "..". */
static int refuse_root(const struct work *work, int target, struct err *err)
{
	struct stat st;

	if (fstat(target, &st) == 0 && st.st_dev == work->root.st_dev && st.st_ino == work->root.st_ino)
		return err_set(err, -ELOOP, "its mount point is a link to the root itself");
	return 0;
}

static int bind_any(const struct work *work, const struct step *step, struct err *err)
{
	struct mnt_source source = { .fd = -1 };
	bool slave = work->plan->namespace_host, readonly = step->flags & STEP_READONLY;
	auto_close int target = -1;
	enum inroot_kind kind;
	int prepared = 0, r = mnt_open_source(&source, step->source, err);

	if (r < 0)
		return r;
	kind = step->flags & STEP_AUTOFS ? INROOT_DIR : source_kind(&source);
	target = open_mount_point(work->root_fd, step, kind, err);
	r = target < 0 ? target : refuse_root(work, target, err);
	if (r == 0 && (slave || readonly)) {
		prepared = mnt_prepare(&source, slave, readonly, err);
		r = prepared == -ENOSYS ? 0 : prepared;
	}
	if (r == 0)
		r = mnt_attach(&source, target, err);
	close(source.fd);
	return r < 0 || prepared == 0 ? r : finish_bind(work, step, kind, err);
}

/*
 * The quick way, where the mount point is a directory: two system calls less, which counts with thousands of mounts. A file is refused by the kernel
 * (ENOTDIR) before anything has changed. Not for autofs: mount(2) would trigger it.
 */
static int bind_step(const struct work *work, const struct step *step, struct err *err)
{
	auto_close int target = -1;
	int r;

	/* It could be bound, by descriptor, but never unmounted: that goes by path. */
	if (strlen(work->plan->root_path) + strlen(step->target) >= PATH_MAX)
		return err_set(err, -ENAMETOOLONG, "its path is too long below %s", work->plan->root_path);
	if ((step->flags & (STEP_AUTOFS | STEP_READONLY)) || work->plan->namespace_host)
		return bind_any(work, step, err);
	target = inroot_open(work->root_fd, step->target, O_PATH | O_DIRECTORY, NULL);
	if (target < 0)
		return bind_any(work, step, err);
	r = refuse_root(work, target, err);
	if (r == 0)
		r = mnt_bind_directory(step->source, target, err);
	return r == -ENOTDIR ? bind_any(work, step, err) : r;
}

/*
 * Whether a thread is still at work on something above the step. Steps that were put off are taken up in their order, so one above it that was put
 * off too has gone before, or is blocked by the same.
 */
static bool is_blocked(const struct work *work, size_t index)
{
	for (size_t i = 0; i < work->at_work_count; i++)
		if (path_is_below(work->plan->step[index].target, work->plan->step[work->at_work[i]].target))
			return true;
	return false;
}

/* The next step that may be done now, marked as at work; (size_t)-1 where there is none. Called with the lock. */
static size_t take_step(struct work *work)
{
	for (size_t i = 0; i < work->deferred_count; i++) {
		size_t index = work->deferred[i];

		if (!is_blocked(work, index)) {
			memmove(&work->deferred[i], &work->deferred[i + 1], (--work->deferred_count - i) * sizeof *work->deferred);
			return index;
		}
	}
	while (work->next < work->plan->count) {
		size_t index = work->next++;

		if (work->plan->step[index].kind != STEP_BIND)
			continue;
		if (!is_blocked(work, index))
			return index;
		work->deferred[work->deferred_count++] = index;
	}
	return (size_t)-1;
}

static void skip(struct work *work, const struct step *step, const char *why)
{
	auto_free char *target = text_safe(step->target);

	strlist_addf(&work->result->skipped, "%s: %s", target ? target : "?", why);
}

/* Any further bind would meet it, too. fs.mount-max answers ENOSPC, a container's limit may say ENOMEM; so may the making of a mount point. */
static bool is_mount_limit(int r, const struct err *why)
{
	return (r == -ENOSPC || r == -ENOMEM) && strncmp(why->msg, "cannot mount it", 15) == 0;
}

static void fail_step(struct work *work, size_t index, int error)
{
	work->outcome[index] = FAILED;
	work->error = error;
	work->stop = true;
}

/* Books the outcome of a step. Called with the lock. */
static void finish_step(struct work *work, size_t index, int r, const struct err *why)
{
	const struct step *step = &work->plan->step[index];

	for (size_t i = 0; i < work->at_work_count; i++)
		if (work->at_work[i] == index)
			work->at_work[i] = work->at_work[--work->at_work_count];
	work->finished++;
	work->progress++;
	if (work->stop)
		return; /* too late: it was given up, or the boot failed */
	if (r == 0) {
		work->outcome[index] = BOUND;
		work->result->bound++;
	} else if (r == -ENOENT && (step->flags & STEP_OPTIONAL)) {
		work->outcome[index] = IGNORED;
	} else if (is_mount_limit(r, why)) {
		fail_step(work, index,
			  err_set(work->err, r, "cannot bind %s: the limit on mounts is reached after %u of %zu binds (%s): leave some out with [bind] exclude",
				  step->source, work->result->bound, work->total,
				  r == -ENOSPC ? "fs.mount-max, or the container's own" : "the container's own, or the kernel is out of memory"));
	} else if ((step->flags & STEP_REQUIRED) || r == -ENOMEM) {
		fail_step(work, index, err_set(work->err, r, "cannot bind %s into the root: %s", step->source, why->msg));
	} else {
		work->outcome[index] = SKIPPED;
		skip(work, step, r == -ENOENT && (step->flags & STEP_DELETED) ? "what was mounted there has been deleted" : why->msg);
	}
}

static void *worker(void *arg)
{
	struct work *work = arg;
	struct err err;
	size_t index;
	int r;

	/* mnt_bind_directory() changes the working directory: each thread has its own. */
	r = unshare(CLONE_FS) < 0 ? -errno : 0;
	pthread_mutex_lock(&work->lock);
	if (r < 0 && !work->stop) {
		work->error = err_set(work->err, -r, "cannot give a thread a working directory of its own");
		work->stop = true;
	}
	while (!work->stop && (index = take_step(work)) != (size_t)-1) {
		work->outcome[index] = AT_WORK;
		work->at_work[work->at_work_count++] = index;
		work->progress++;
		pthread_mutex_unlock(&work->lock);
		r = bind_step(work, &work->plan->step[index], &err);
		pthread_mutex_lock(&work->lock);
		finish_step(work, index, r, &err);
	}
	pthread_cond_signal(&work->moved);
	pthread_mutex_unlock(&work->lock);
	return NULL;
}

static int start_worker(struct work *work)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, THREAD_STACK);
	r = pthread_create(&thread, &attr, worker, work);
	pthread_attr_destroy(&attr);
	return -r;
}

/* Waits with the lock until a worker has nothing left to do, or for ms. */
static void wait_moved(struct work *work, int ms)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_nsec += (long)ms * 1000000;
	until.tv_sec += until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_cond_timedwait(&work->moved, &work->lock, &until);
}

/* Two hands get on better than one: while one is in mount(2), the other looks up its mount point. A third finds them in its way in the kernel. */
static size_t count_hands(const struct work *work)
{
	return work->total > HANDS_FROM && sysconf(_SC_NPROCESSORS_ONLN) > 1 ? 2 : 1;
}

/* Starts workers, and more of them as long as steps are left and those at work do not move. Called, and returns, with the lock. */
static int drive(struct work *work, int timeout_ms)
{
	size_t hands = count_hands(work), threads = 0;
	int64_t stalled_ms = 0;
	int r = 0;

	while (threads < hands && r == 0) {
		r = start_worker(work);
		threads++;
	}
	while (r == 0 && !work->stop && work->finished < work->total) {
		unsigned long seen = work->progress;
		int64_t began = util_now_ms();

		wait_moved(work, stalled_ms ? STALL_NEXT_MS : STALL_FIRST_MS);
		if (work->progress != seen || work->stop)
			continue;
		stalled_ms += util_now_ms() - began;
		if (stalled_ms >= timeout_ms)
			return 0;
		if (threads < THREADS_MAX && work->next < work->plan->count) {
			r = start_worker(work);
			threads++;
		}
	}
	return r;
}

static void give_up_rest(struct work *work, int timeout_ms)
{
	for (size_t i = 0; i < work->plan->count && !work->error; i++) {
		const struct step *step = &work->plan->step[i];
		char why[128];

		if (step->kind != STEP_BIND || (work->outcome[i] != AT_WORK && work->outcome[i] != WAITING))
			continue;
		if (work->outcome[i] == AT_WORK)
			snprintf(why, sizeof why, "it does not answer (waited %g s)", timeout_ms / 1000.0);
		else
			snprintf(why, sizeof why, "it lies below something that does not answer");
		if (step->flags & STEP_REQUIRED)
			work->error = err_set(work->err, -ETIMEDOUT, "cannot bind %s into the root: %s", step->source, why);
		else
			skip(work, step, why);
	}
}

int apply_binds(const struct plan *plan, int root_fd, int timeout_ms, struct apply_result *result, struct err *err)
{
	/* Not on the stack, and never freed: a thread that hangs in the kernel may come back to it. */
	struct work *work = calloc(1, sizeof *work);
	pthread_condattr_t attr;
	int r;

	if (!work)
		return err_set(err, ENOMEM, "cannot bind the host's mounts");
	*work = (struct work){ .plan = plan, .root_fd = root_fd, .total = plan_count_binds(plan), .err = err, .result = result };
	if (work->total == 0) {
		free(work);
		return 0;
	}
	if (fstat(root_fd, &work->root) < 0)
		return err_set(err, errno, "cannot look at the root");
	work->outcome = calloc(plan->count, sizeof *work->outcome);
	work->deferred = calloc(plan->count, sizeof *work->deferred);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	if (!work->outcome || !work->deferred || pthread_mutex_init(&work->lock, NULL) || pthread_cond_init(&work->moved, &attr))
		return err_set(err, ENOMEM, "cannot bind the host's mounts");
	pthread_mutex_lock(&work->lock);
	r = drive(work, timeout_ms);
	if (r < 0)
		work->error = err_set(err, -r, "cannot start a thread to bind the host's mounts");
	work->stop = true;
	give_up_rest(work, timeout_ms);
	r = work->error;
	pthread_mutex_unlock(&work->lock);
	return r;
}
