/* device_driver: lets a shell script call the functions of device.h, and prints what they say. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../../gcdboot/cmd.h"
#include "../../../gcdboot/device.h"
#include "../../../gcdboot/uevent.h"

static const char *or_dash(const char *s)
{
	return s ? s : "-";
}

static int finish(int ret, const struct err *err)
{
	if (ret >= 0)
		return 0;
	fprintf(stderr, "%s\n", err->msg);
	return err->usage ? 2 : 1;
}

static int scan(struct err *err)
{
	struct device_list list;
	int ret = device_scan(&list, err);

	for (size_t i = 0; ret == 0 && i < list.count; i++) {
		struct device *d = &list.device[i];

		printf("%s|%llu|%s|%s|%s|%s|%s|%s\n", d->node, (unsigned long long)d->size, or_dash(d->type), or_dash(d->usage), or_dash(d->label),
		       or_dash(d->uuid), or_dash(d->partlabel), or_dash(d->partuuid));
	}
	device_list_clear(&list);
	return ret;
}

static void tell_tick(void *arg, int waited_ms)
{
	(void)arg;
	(void)waited_ms;
	/* A script waits for this line: the search is then asleep. */
	fputs("waiting\n", stdout);
	fflush(stdout);
}

static void set_source(struct conf *conf, char *source)
{
	static const char *const tags[] = { "LABEL=", "UUID=", "PARTLABEL=", "PARTUUID=" };

	conf->root.source = source;
	conf->root.kind = SOURCE_PATH;
	conf->root.value = source;
	for (int i = 0; i < 4; i++) {
		if (strncmp(source, tags[i], strlen(tags[i])) != 0)
			continue;
		conf->root.kind = (enum conf_source)i;
		conf->root.value = source + strlen(tags[i]);
	}
}

/* find SOURCE [WAIT_MS [TYPE [PARTITION]]] */
static int find(char **argv, struct err *err)
{
	static const char *const kinds[] = { "block", "directory", "image" };
	static char any[] = "auto";
	struct conf conf = { 0 };
	struct device_found found;
	int ret;

	set_source(&conf, argv[0]);
	conf.root.wait_ms = argv[1] ? atoi(argv[1]) : 0;
	conf.root.type = argv[1] && argv[2] ? argv[2] : any;
	conf.root.partition = argv[1] && argv[2] && argv[3] ? atoi(argv[3]) : 0;
	ret = device_find(&found, &conf, &(struct device_wait){ .tick = tell_tick }, err);
	if (ret == 0)
		printf("%s %s %s %llu %llu\n", kinds[found.kind], found.path, or_dash(found.type), (unsigned long long)found.offset,
		       (unsigned long long)found.size);
	device_found_clear(&found);
	return ret;
}

/* Looks at all devices, and once more after an event of NODE. */
static int rescan(const char *node, struct err *err)
{
	struct device_list list;
	struct stat st;
	int ret = stat(node, &st) < 0 ? -1 : device_scan(&list, err);

	if (ret < 0)
		return ret;
	ret = device_rescan(&list, &st.st_rdev, 1, err);
	for (size_t i = 0; ret == 0 && i < list.count; i++)
		printf("%s %s\n", list.device[i].node, or_dash(list.device[i].label));
	device_list_clear(&list);
	return ret;
}

/* Sleeps until the kernel tells of a block device, with no look behind it. */
static int wait_event(void)
{
	struct uevent_devices devices = { 0 };
	int fd = uevent_open();

	tell_tick(NULL, 0);
	puts(uevent_wait(fd, -1, 30000, &devices) ? "event" : "nothing came");
	return fd;
}

int main(int argc, char **argv)
{
	struct cmd_options options = { .json = argc > 2 && strcmp(argv[2], "--json") == 0 };
	const char *command = argc > 1 ? argv[1] : "";
	struct err err = { 0 };
	int ret;

	if (strcmp(command, "scan") == 0)
		return finish(scan(&err), &err);
	if (strcmp(command, "rescan") == 0 && argc > 2)
		return finish(rescan(argv[2], &err), &err);
	if (strcmp(command, "find") == 0 && argc > 2)
		return finish(find(argv + 2, &err), &err);
	if (strcmp(command, "list") == 0)
		return finish(cmd_list(&options, &err), &err);
	if (strcmp(command, "fsck") == 0 && argc > 3)
		return finish(device_fsck(argv[2], argv[3], true, STDOUT_FILENO, &err), &err);
	if (strcmp(command, "free") == 0 && argc > 2) {
		ret = device_is_free(argv[2]);
		printf("%d\n", ret);
		return ret < 0;
	}
	if (strcmp(command, "event") == 0)
		return wait_event() < 0;
	fputs("usage: device_driver scan|rescan|find|list|fsck|free|event ...\n", stderr);
	return 2;
}
