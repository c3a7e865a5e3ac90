/* mountpoint: where on the host the root goes. */
#include "mountpoint.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "path.h"

static const char *configured(const struct conf *conf)
{
	struct stat st;

	if (conf->root.path)
		return conf->root.path;
	if (conf->root.kind == SOURCE_PATH && stat(conf->root.value, &st) == 0 && S_ISDIR(st.st_mode))
		return conf->root.value;
	return MOUNTPOINT_DEFAULT;
}

/* realpath(3) of the part that exists, with the rest behind it. */
static char *resolve(const char *path)
{
	auto_free char *whole = path_clean(path), *head = path_clean(path), *real = NULL;
	size_t cut;

	if (!whole || !head)
		return NULL;
	cut = strlen(head);
	while (!(real = realpath(head, NULL)) && errno == ENOENT && cut > 1) {
		while (cut > 1 && head[cut - 1] != '/')
			cut--;
		head[cut > 1 ? --cut : 1] = '\0';
	}
	if (!real || whole[cut] == '\0')
		return real ? strdup(real) : NULL;
	return path_join(real, whole + (cut > 1 ? cut : 0));
}

char *mountpoint_path(const struct conf *conf, struct err *err)
{
	const char *path = configured(conf);
	char *resolved = resolve(path);

	if (!resolved)
		err_set(err, errno, "cannot resolve the mount point %s", path);
	else if (strcmp(resolved, "/") == 0) {
		err_usage(err, "%s: path: %s is the running system", conf->file, path);
		free(resolved);
		resolved = NULL;
	}
	return resolved;
}

static int make_one(const char *path, struct strlist *made, struct err *err)
{
	struct stat st;

	if (mkdir(path, 0755) == 0)
		return strlist_add(made, path) < 0 ? err_set(err, ENOMEM, "cannot make the mount point %s", path) : 0;
	if (errno != EEXIST)
		return err_set(err, errno, "cannot make the mount point %s", path);
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, -ENOTDIR, "the mount point %s is not a directory", path);
	return 0;
}

int mountpoint_make(const char *path, struct strlist *made, struct err *err)
{
	auto_free char *part = strdup(path);
	int r = part ? 0 : err_set(err, ENOMEM, "cannot make the mount point %s", path);

	for (char *end = part ? strchr(part + 1, '/') : NULL; end && r == 0; end = strchr(end + 1, '/')) {
		*end = '\0';
		r = make_one(part, made, err);
		*end = '/';
	}
	return r == 0 ? make_one(path, made, err) : r;
}
