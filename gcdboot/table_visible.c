/* table_visible: which mounts of a table a look-up by path can reach. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "path.h"
#include "table.h"
#include "util.h"

/*
 * A path look-up walks from mount to mount: standing on mount P at path d, it crosses to the mount whose parent is P and whose mount point is d,
 * and again from there, until none is left. So a mount is reached when its parent is the one reached at or above its mount point; the order of the
 * lines plays no part (a mount that was moved keeps its early line). One walk over all mount points, parents first, does that for the whole table.
 *
 * /proc/mounts has no ids, and edited or partial tables have parents that cannot be: such a mount counts as put on whatever was reached at the
 * time, that is, only a later line covers it. What is mounted on "/" covers nothing: a look-up starts at the process's root and does not
 * cross there; so every child of a mount on "/" is taken as a child of the root.
 */
#define UNKNOWN (-1) /* parent: order decides */
#define ROOT (-2)    /* parent: a mount on "/" */
#define NONE (-1)    /* no mount */

struct look {
	const struct table *table;
	bool *visible;
	int *by_path;        /* mounts without the deleted ones, sorted by mount point, then by line */
	int count;           /* of by_path */
	int *group;          /* by mount: where the mounts with its mount point begin in by_path; NONE for a deleted one */
	int *parent;         /* by mount */
	int *on_top;         /* by mount: the one that is mounted right on its root, at the same mount point */
	struct level *level; /* the mount points above the current one */
	int depth;
};

struct level {
	const char *target;
	int reached;
	int last_line; /* the latest line of all reached on the way here, "/" not counted */
};

static int compare_targets(const void *a, const void *b, void *arg)
{
	const struct table *table = arg;
	int x = *(const int *)a, y = *(const int *)b, order = path_compare(table->mount[x].target, table->mount[y].target);

	return order ? order : (x > y) - (x < y);
}

static int compare_ids(const void *a, const void *b, void *arg)
{
	const struct table *table = arg;
	int x = *(const int *)a, y = *(const int *)b, p = table->mount[x].id, q = table->mount[y].id;

	return p != q ? (p > q) - (p < q) : (x > y) - (x < y);
}

static int find_id(const struct table *table, const int *by_id, int id)
{
	size_t low = 0, high = table->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (table->mount[by_id[middle]].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low < table->count && table->mount[by_id[low]].id == id ? by_id[low] : NONE;
}

static bool is_root(const struct table_mount *m)
{
	return strcmp(m->target, "/") == 0;
}

static void sort_by_path(struct look *l)
{
	for (size_t i = 0; i < l->table->count; i++) {
		l->group[i] = NONE;
		if (!l->table->mount[i].deleted)
			l->by_path[l->count++] = (int)i;
	}
	qsort_r(l->by_path, (size_t)l->count, sizeof *l->by_path, compare_targets, (void *)l->table);
	for (int i = 0, start = 0; i < l->count; i++) {
		if (strcmp(l->table->mount[l->by_path[i]].target, l->table->mount[l->by_path[start]].target) != 0)
			start = i;
		l->group[l->by_path[i]] = start;
	}
}

/* The mount's parent where the table knows it and it can be true. */
static int believed_parent(const struct look *l, const int *by_id, int i)
{
	const struct table_mount *m = &l->table->mount[i];
	int p = m->id < 0 || m->parent < 0 ? NONE : find_id(l->table, by_id, m->parent);

	if (p == NONE)
		return UNKNOWN;
	if (is_root(&l->table->mount[p]) && !is_root(m))
		return ROOT;
	return path_is_below(m->target, l->table->mount[p].target) ? p : UNKNOWN;
}

static bool is_stacked(const struct look *l, int i)
{
	return l->parent[i] >= 0 && l->group[i] != NONE && l->group[i] == l->group[l->parent[i]];
}

/* Mounts at one mount point that are each other's parents. `seen` is zeroed; each mount is passed once. */
static void break_cycles(struct look *l, int *seen)
{
	for (size_t start = 0; start < l->table->count; start++) {
		int i = (int)start;

		while (!seen[i] && is_stacked(l, i)) {
			seen[i] = (int)start + 1;
			i = l->parent[i];
		}
		while (seen[i] == (int)start + 1 && is_stacked(l, i)) {
			int next = l->parent[i];

			l->parent[i] = UNKNOWN;
			i = next;
		}
	}
}

static int find_parents(struct look *l)
{
	auto_free int *by_id = calloc(l->table->count, sizeof *by_id), *seen = calloc(l->table->count, sizeof *seen);

	if (!by_id || !seen)
		return -ENOMEM;
	for (size_t i = 0; i < l->table->count; i++)
		by_id[i] = (int)i;
	qsort_r(by_id, l->table->count, sizeof *by_id, compare_ids, (void *)l->table);
	for (size_t i = 0; i < l->table->count; i++) {
		l->parent[i] = believed_parent(l, by_id, (int)i);
		l->on_top[i] = NONE;
	}
	break_cycles(l, seen);
	for (size_t i = 0; i < l->table->count; i++)
		if (is_stacked(l, (int)i))
			l->on_top[l->parent[i]] = (int)i;
	return 0;
}

static int topmost(const struct look *l, int i)
{
	while (i != NONE && l->on_top[i] != NONE)
		i = l->on_top[i];
	return i;
}

/* The mount of one group (by_path[start] up to end) that a look-up reaches which comes from `above`; NONE where it crosses to none. */
static int reach(const struct look *l, int start, int end, const struct level *above)
{
	int first = NONE, unknown = NONE;

	for (int i = start; i < end; i++) {
		int m = l->by_path[i];

		if (l->parent[m] == UNKNOWN) {
			if (m > above->last_line)
				unknown = m;
		} else if (l->parent[m] == above->reached) {
			first = m;
		}
	}
	first = topmost(l, first);
	return unknown > first ? topmost(l, unknown) : first;
}

static void look_up_all(struct look *l)
{
	l->level[0] = (struct level){ "/", ROOT, NONE };
	for (int start = 0, end; start < l->count; start = end) {
		const char *target = l->table->mount[l->by_path[start]].target;
		struct level *above;
		int reached;

		for (end = start; end < l->count && l->group[l->by_path[end]] == start; end++)
			;
		while (l->depth > 0 && !path_is_below(target, l->level[l->depth].target))
			l->depth--;
		above = &l->level[l->depth];
		reached = reach(l, start, end, above);
		if (reached == NONE)
			continue;
		l->visible[reached] = true;
		if (strcmp(target, "/") != 0)
			l->level[++l->depth] = (struct level){ target, reached, reached > above->last_line ? reached : above->last_line };
	}
}

int table_visible(const struct table *table, bool *visible)
{
	auto_free int *numbers = calloc(table->count + 1, 4 * sizeof *numbers);
	auto_free struct level *level = calloc(table->count + 1, sizeof *level);
	struct look l = { .table = table, .visible = visible, .level = level };

	memset(visible, 0, table->count * sizeof *visible);
	if (!numbers || !level)
		return -ENOMEM;
	l.by_path = numbers;
	l.group = numbers + table->count;
	l.parent = numbers + 2 * table->count;
	l.on_top = numbers + 3 * table->count;
	sort_by_path(&l);
	if (find_parents(&l) < 0)
		return -ENOMEM;
	look_up_all(&l);
	return 0;
}

const struct table_mount *table_find_target(const struct table *table, const char *target)
{
	auto_free bool *visible = calloc(table->count + 1, sizeof *visible);

	if (!visible || table_visible(table, visible) < 0)
		return NULL;
	for (size_t i = 0; i < table->count; i++)
		if (visible[i] && strcmp(table->mount[i].target, target) == 0)
			return &table->mount[i];
	return NULL;
}
