/* wslconfig: the idle limits in a .wslconfig. Pure. */
#include "wslconfig.h"

#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <strings.h>

static void take_number(long *number, const char *value)
{
	char *end;
	long n;

	errno = 0;
	n = strtol(value, &end, 10);
	if (end != value && errno == 0)
		*number = n;
}

static int take(void *arg, const char *section, const char *name, const char *value)
{
	struct wslconfig *config = arg;

	if (strcasecmp(section, "general") == 0 && strcasecmp(name, "instanceIdleTimeout") == 0)
		take_number(&config->instance_idle, value);
	else if (strcasecmp(section, "wsl2") == 0 && strcasecmp(name, "vmIdleTimeout") == 0)
		take_number(&config->vm_idle, value);
	return 1;
}

void wslconfig_parse(struct wslconfig *config, const char *text)
{
	*config = (struct wslconfig){ .instance_idle = WSLCONFIG_INSTANCE_IDLE, .vm_idle = WSLCONFIG_VM_IDLE };
	/* inih's limits (a line of 200 bytes, no word about errors) do no harm here: two short lines are looked for, and the file is not ours to judge. */
	ini_parse_string(text, take, config);
}
