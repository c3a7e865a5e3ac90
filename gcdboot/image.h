/* image: finds a filesystem in a disk image file: the file as a whole, or one of its partitions. */
#ifndef GCDBOOT_IMAGE_H
#define GCDBOOT_IMAGE_H

#include <stdbool.h>

#include "device.h"

/*
 * Looks into the regular file `path` and sets found's type, offset and size. partition 0 means the file as a whole. Refuses, by name, a partition that
 * the file does not have or that ends behind its end, a partitioned file where none was named, and what holds no filesystem (type_given: the
 * configuration names the type, so that an unknown one may be tried). Returns 0 or -errno.
 */
int image_find(struct device_found *found, const char *path, int partition, bool type_given, struct err *err);

#endif
