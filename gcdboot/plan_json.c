/* plan_json: the plan as JSON. */
#include "plan_print.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>

#include "text.h"
#include "util.h"

static const char *const step_name[] = {
	[STEP_ATTACH] = "attach",   [STEP_FIND] = "find",       [STEP_FSCK] = "fsck",       [STEP_UNSHARE] = "namespace",
	[STEP_MOUNT] = "mount",     [STEP_OVERLAY] = "overlay", [STEP_BIND] = "bind",       [STEP_RUN] = "run",
	[STEP_REQUIRE] = "require", [STEP_DAEMON] = "daemon",   [STEP_CONFIRM] = "confirm",
};

static const struct {
	unsigned flag;
	const char *name;
} flag_name[] = {
	{ STEP_OPTIONAL, "optional" }, { STEP_REQUIRED, "required" }, { STEP_READONLY, "read-only" }, { STEP_CREATE, "create" },
	{ STEP_DIR, "directory" },     { STEP_AUTOFS, "autofs" },     { STEP_DELETED, "deleted" },
};

/* A key only where it has a value. Bytes that are not UTF-8 become the text \xHH: text_utf8(). */
static int set_text(json_t *object, const char *key, const char *bytes)
{
	auto_free char *text = NULL;

	if (!bytes || !*bytes)
		return 0;
	text = text_utf8(bytes);
	return text ? json_object_set_new(object, key, json_string(text)) : -1;
}

static int set_flags(json_t *object, unsigned flags)
{
	json_t *array;
	int ret = 0;

	if (!flags)
		return 0;
	array = json_array();
	for (size_t i = 0; i < sizeof flag_name / sizeof *flag_name; i++)
		if (flags & flag_name[i].flag)
			ret |= json_array_append_new(array, json_string(flag_name[i].name));
	return ret | json_object_set_new(object, "flags", array);
}

static json_t *step_json(const struct step *step)
{
	json_t *object = json_pack("{s:s}", "step", step_name[step->kind]);
	int ret = 0;

	ret |= set_text(object, "source", step->source);
	ret |= set_text(object, "target", step->target);
	ret |= set_text(object, "type", step->type);
	ret |= set_text(object, "options", step->options);
	ret |= set_flags(object, step->flags);
	ret |= set_text(object, "only-if", step->only_if);
	if (step->timeout_ms > 0)
		ret |= json_object_set_new(object, "timeout-ms", json_integer(step->timeout_ms));
	if (ret == 0)
		return object;
	json_decref(object);
	return NULL;
}

static json_t *left_out_json(const struct plan_left_out *left_out)
{
	json_t *object = json_object();

	if (set_text(object, "target", left_out->target) == 0 && set_text(object, "reason", left_out->reason) == 0)
		return object;
	json_decref(object);
	return NULL;
}

/* jansson refuses a NULL element or container, so what failed anywhere below comes out here. */
static json_t *plan_json(const struct plan *plan)
{
	json_t *object = json_object(), *steps = json_array(), *left_out = json_array();
	int ret = set_text(object, "root", plan->root_path);

	ret |= json_object_set_new(object, "namespace", json_string(plan->namespace_host ? "host" : "private"));
	for (size_t i = 0; ret == 0 && i < plan->count; i++)
		ret = json_array_append_new(steps, step_json(&plan->step[i]));
	for (size_t i = 0; ret == 0 && i < plan->left_out_count; i++)
		ret = json_array_append_new(left_out, left_out_json(&plan->left_out[i]));
	ret |= json_object_set_new(object, "steps", steps);
	ret |= json_object_set_new(object, "left-out", left_out);
	if (ret == 0)
		return object;
	json_decref(object);
	return NULL;
}

int plan_print_json(const struct plan *plan, FILE *out)
{
	json_t *object = plan_json(plan);

	if (!object)
		return -ENOMEM;
	/* Its one failure here is a failed write, which stays on the stream. */
	json_dumpf(object, out, JSON_INDENT(2));
	putc('\n', out);
	json_decref(object);
	return 0;
}
