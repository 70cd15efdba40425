/* SPDX-License-Identifier: MIT */
/*
 * What is measured: one function a row, which says what a batch of the library and one of the floor
 * are.
 */
#include <stdio.h>
#include <string.h>
#include "bench.h"

#define MASK_NONE      0
#define MASK_DATA      3  /* read, write */
#define MASK_READ      13 /* read, execute */
#define MASK_ALL       15
#define BATCH	       32
#define PROTECT_ROUNDS 128
#define INVALID_CODE   0x3fff
#define GET_REGISTERS  (UINT64_C(0x50) | UINT64_C(1) << 32)
#define BATCH_NS       50e6 /* a batch of something slow is about as long as this */

struct combination {
	const char *name;
	enum vsm_topology topology;
	enum vsm_enforcement enforcement;
};

static const struct combination combinations[] = {
	{"vm-per-vtl+alias", VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_ALIAS},
	{"vm-per-vtl+slots", VSM_TOPOLOGY_VM_PER_VTL, VSM_ENFORCEMENT_SLOTS},
	{"single-vm+alias", VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_ALIAS},
	{"single-vm+slots", VSM_TOPOLOGY_SINGLE_VM, VSM_ENFORCEMENT_SLOTS},
};

#define COMBINATIONS (sizeof(combinations) / sizeof(combinations[0]))

struct setup {
	bool opened, other;
	int kvm_fd;
	const struct options *options;
	void (*add)(const struct row *row);
	const struct combination *combination;
	struct vm vm;
	struct floor *floor;
	uint64_t batch; /* operations in one */
	unsigned ranges;
	uint64_t pages, stride; /* of the protection rows */
	uint64_t rcx;		/* of the hypercall rows */
	unsigned work;		/* enum floor_work of the rows without the library */
};

static void open_setup(struct setup *s)
{
	struct vm_options o = {.topology = s->combination->topology,
			       .enforcement = s->combination->enforcement,
			       .other = s->other};

	vm_start(&s->vm, s->kvm_fd, &o);
	s->floor = floor_open(s->kvm_fd, o.topology == VSM_TOPOLOGY_SINGLE_VM);
	s->batch = BATCH;
	s->ranges = 0;
	s->opened = true;
}

static void close_setup(struct setup *s)
{
	if (!s->opened)
		return;
	vm_stop(&s->vm);
	floor_close(s->floor);
	s->opened = false;
}

/* Is the row to be measured? Then there is a VM and its floor for it. */
static bool wanted(struct setup *s, const struct row *row)
{
	const char *only = s->options->only;

	if (only && !strstr(row->name, only) && !strstr(row->group, only))
		return false;
	if (!s->opened)
		open_setup(s);
	return true;
}

/* Every second page of the arena, `ranges` of them, is closed to VTL0. */
static void set_ranges(struct setup *s, unsigned ranges)
{
	if (s->ranges != ranges)
		vm_protect(&s->vm, ranges, 2, MASK_NONE);
	s->ranges = ranges;
}

static void measure_and_add(struct setup *s, struct row *row, batch_fn floor, batch_fn measured)
{
	measure(row, s->options, floor, measured, s);
	s->add(row);
}

/* --- VTL call and return --- */

static double floor_pair(void *ctx)
{
	struct setup *s = ctx;

	return (double)floor_pairs(s->floor, BATCH) / BATCH;
}

static double floor_remapped_pair(void *ctx)
{
	struct setup *s = ctx;

	return (double)floor_remapped_pairs(s->floor, s->batch) / (double)s->batch;
}

static double ticks_each(struct setup *s, enum mailbox_op op)
{
	vm_command(&s->vm, op, s->batch);
	return (double)s->vm.mailbox->ticks * s->vm.ns_per_tick / (double)s->batch;
}

static double call_and_return(void *ctx)
{
	return ticks_each(ctx, MAILBOX_CALLS);
}

/* Where an operation is slow, a batch has fewer. */
static void fit_batch(struct setup *s, batch_fn measured)
{
	double ns;

	s->batch = 1;
	measured(s);
	ns = measured(s);
	s->batch = ns * BATCH < BATCH_NS ? BATCH : (uint64_t)(BATCH_NS / ns) + 1;
}

/* For one operation: two batches that differ by one. */
static double slot_ioctls(struct setup *s, batch_fn measured)
{
	uint64_t made[2], before;

	for (unsigned i = 0; i < 2; i++) {
		before = vm_slot_updates(&s->vm);
		s->batch = i + 1;
		measured(s);
		made[i] = vm_slot_updates(&s->vm) - before;
	}
	return (double)(made[1] - made[0]);
}

/* A row of a batch of s->batch, and its slot ioctls. */
static void measure_with_slots(struct setup *s, struct row *row, batch_fn floor, batch_fn measured)
{
	fit_batch(s, measured);
	measure(row, s->options, floor, measured, s);
	row->extra = slot_ioctls(s, measured);
	row->extra_name = "slot ioctls";
	s->add(row);
}

static void switch_row(struct setup *s, unsigned ranges, bool fp)
{
	bool best = s->combination == &combinations[0];
	struct row row = {.group = "VTL call and return",
			  .floor = "two bare exits, two vCPUs in turn",
			  .target = best ? (fp ? 3 : 1.6) : 0};

	snprintf(row.name, sizeof(row.name), "%s, %u ranges, FP %s", s->combination->name, ranges,
		 fp ? "changed" : "untouched");
	if (!wanted(s, &row))
		return;
	set_ranges(s, ranges);
	s->vm.mailbox->fp = fp;
	measure_with_slots(s, &row, floor_pair, call_and_return);
}

/*
 * With all VTLs in one VM, and slots that do not depend on protections, remapping is a part of the
 * floor.
 */
static void remap_row(struct setup *s, unsigned ranges)
{
	struct row row = {.group = "VTL call and return, single-vm",
			  .floor = "two bare exits, the RAM slot deleted and made before each",
			  .target = 1.6};

	if (s->combination->topology != VSM_TOPOLOGY_SINGLE_VM ||
	    s->combination->enforcement != VSM_ENFORCEMENT_ALIAS)
		return;
	snprintf(row.name, sizeof(row.name), "%s, %u ranges", s->combination->name, ranges);
	if (!wanted(s, &row))
		return;
	set_ranges(s, ranges);
	s->vm.mailbox->fp = false;
	fit_batch(s, call_and_return);
	measure_and_add(s, &row, floor_remapped_pair, call_and_return);
}

/* What the ranges that are there take in the library; the kernel has a VMA or a slot for each. */
static void memory_row(struct setup *s, unsigned ranges)
{
	struct row row = {.group = "Memory of the library per separately protected range",
			  .unit = "bytes",
			  .target = 128,
			  .repetitions = 1};
	uint64_t before;

	snprintf(row.name, sizeof(row.name), "%s, %u ranges", s->combination->name, ranges);
	if (!wanted(s, &row))
		return;
	before = vm_allocated();
	set_ranges(s, ranges);
	row.ratio = row.low = row.high = (double)(vm_allocated() - before) / ranges;
	s->add(&row);
	close_setup(s);
}

static void switch_rows(struct setup *s)
{
	static const unsigned ranges[] = {0, 1000, 16000};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
		switch_row(s, ranges[i], false);
		switch_row(s, ranges[i], true);
		remap_row(s, ranges[i]);
	}
	close_setup(s);
}

/* --- what of a switch is KVM's --- */

static double floor_working_pair(void *ctx)
{
	struct setup *s = ctx;

	return (double)floor_working_pairs(s->floor, BATCH, s->work) / BATCH;
}

static void work_row(struct setup *s, const char *what, unsigned work)
{
	struct row row = {.group = "Without the library: what KVM is asked for at a switch",
			  .floor = "two bare exits, two vCPUs in turn"};

	snprintf(row.name, sizeof(row.name), "bare, %s", what);
	s->work = work;
	if (wanted(s, &row))
		measure_and_add(s, &row, floor_pair, floor_working_pair);
}

static void work_rows(struct setup *s)
{
	work_row(s, "KVM_GET_XSAVE", FLOOR_XSAVE);
	work_row(s, "KVM_GET_XCRS", FLOOR_XCRS);
	work_row(s, "KVM_GET_DEBUGREGS", FLOOR_DEBUGREGS);
	work_row(s, "general registers set", FLOOR_REGS);
	work_row(s, "all of these", FLOOR_SWITCH);
	work_row(s, "all of these, moved and compared", FLOOR_SWITCH | FLOOR_MOVE);
	close_setup(s);
}

/* --- hypercalls --- */

static double floor_exit(void *ctx)
{
	struct setup *s = ctx;

	return (double)floor_exits(s->floor, BATCH) / BATCH;
}

static double hypercall(void *ctx)
{
	struct setup *s = ctx;

	s->vm.mailbox->rcx = s->rcx;
	s->vm.mailbox->rdx = s->vm.mailbox->input;
	s->vm.mailbox->r8 = s->vm.mailbox->output;
	return ticks_each(s, MAILBOX_HYPERCALLS);
}

static void hypercall_row(struct setup *s, const char *what, uint64_t rcx)
{
	struct row row = {.group = "Hypercall", .floor = "one bare exit", .target = 1.15};

	snprintf(row.name, sizeof(row.name), "%s, %s", s->combination->name, what);
	s->rcx = rcx;
	if (wanted(s, &row))
		measure_and_add(s, &row, floor_exit, hypercall);
}

static void hypercall_rows(struct setup *s)
{
	hypercall_row(s, "invalid code", INVALID_CODE);
	hypercall_row(s, "GetVpRegisters(VsmVpStatus)", GET_REGISTERS);
	close_setup(s);
}

/* --- protections --- */

static double per_page(const struct setup *s, uint64_t ns, uint64_t n)
{
	return (double)ns / (double)(n * s->pages * 2);
}

static uint64_t rounds(const struct setup *s)
{
	return s->pages < PROTECT_ROUNDS ? PROTECT_ROUNDS / s->pages : 1;
}

static double floor_protect(void *ctx)
{
	struct setup *s = ctx;
	uint64_t n = rounds(s);

	if (s->combination->enforcement == VSM_ENFORCEMENT_SLOTS)
		return per_page(s, floor_slots(s->floor, n, s->pages, s->stride), n);
	return per_page(s, floor_mprotect(s->floor, n, s->pages, s->stride), n);
}

static double protect_in_alias(struct setup *s)
{
	struct mailbox *m = s->vm.mailbox;

	m->first = BENCH_ARENA / 4096;
	m->stride = s->stride;
	m->pages = s->pages;
	m->mask[0] = MASK_READ;
	m->mask[1] = MASK_ALL;
	m->masks = 2;
	return per_page(s, vm_command(&s->vm, MAILBOX_PROTECT, rounds(s)), rounds(s));
}

/* Slots change when VTL0 is next entered: each change has its own way to VTL1 and back. */
static double protect_with_slots(struct setup *s)
{
	uint64_t n = rounds(s), start = now_ns();

	for (uint64_t i = 0; i < n; i++) {
		vm_protect(&s->vm, s->pages, s->stride, MASK_NONE);
		vm_protect(&s->vm, s->pages, s->stride, MASK_ALL);
	}
	return per_page(s, now_ns() - start, n);
}

static double protect(void *ctx)
{
	struct setup *s = ctx;

	if (s->combination->enforcement == VSM_ENFORCEMENT_SLOTS)
		return protect_with_slots(s);
	return protect_in_alias(s);
}

static void touch_arena(struct setup *s)
{
	struct mailbox *m = s->vm.mailbox;

	m->first = BENCH_ARENA / 4096;
	m->stride = 1;
	m->pages = s->pages * s->stride;
	vm_command(&s->vm, MAILBOX_TOUCH, 1);
}

static void protect_row(struct setup *s, uint64_t pages, uint64_t stride)
{
	bool slots = s->combination->enforcement == VSM_ENFORCEMENT_SLOTS;
	struct row row = {.group = slots ? "Protect and unprotect, per page, slots"
					 : "Protect and unprotect, per page, alias",
			  .floor = slots ? "the same by bare slot ioctls"
					 : "the same by bare mprotect"};

	snprintf(row.name, sizeof(row.name), "%s, %llu %s", s->combination->name,
		 (unsigned long long)pages,
		 pages == 1    ? "page"
		 : stride == 1 ? "contiguous pages"
			       : "scattered pages");
	s->pages = pages;
	s->stride = stride;
	if (!wanted(s, &row))
		return;
	touch_arena(s);
	measure_and_add(s, &row, floor_protect, protect);
}

static void protect_rows(struct setup *s)
{
	/* A change of so many slots would take minutes. */
	uint64_t most = s->combination->enforcement == VSM_ENFORCEMENT_SLOTS ? 1000 : 10000;

	if (s->combination->topology != VSM_TOPOLOGY_VM_PER_VTL)
		return;
	protect_row(s, 1, 1);
	for (uint64_t stride = 1; stride <= 2; stride++)
		for (uint64_t pages = 10; pages <= most; pages *= 10)
			protect_row(s, pages, stride);
	close_setup(s);
}

/* --- intercepts --- */

static double intercept(void *ctx)
{
	struct setup *s = ctx;
	struct mailbox *m = s->vm.mailbox;
	uint64_t sum = 0;

	vm_command(&s->vm, MAILBOX_INTERCEPTS, MAILBOX_SAMPLES);
	for (unsigned i = 0; i < MAILBOX_SAMPLES; i++)
		sum += m->samples[i];
	return (double)sum / MAILBOX_SAMPLES * s->vm.ns_per_tick;
}

static void intercept_row(struct setup *s, unsigned cpus)
{
	struct row row = {.group = "Intercept: from VTL0's store to VTL1's first instruction",
			  .floor = "two bare exits, two vCPUs in turn"};

	snprintf(row.name, sizeof(row.name), "%s, %u %s", s->combination->name, cpus,
		 cpus == 1 ? "processor" : "processors, the other in VTL0");
	s->other = cpus > 1;
	if (wanted(s, &row))
		measure_and_add(s, &row, floor_pair, intercept);
	close_setup(s);
}

/* --- steps --- */

static double floor_two_exits(void *ctx)
{
	return 2 * floor_exit(ctx);
}

static double store(void *ctx)
{
	struct setup *s = ctx;

	s->vm.mailbox->first = BENCH_ARENA / 4096 + 1;
	return ticks_each(s, MAILBOX_STORES);
}

/* To a page between those of set_ranges(). */
static void step_row(struct setup *s, unsigned ranges)
{
	struct row row = {.group =
				  "Step: a legal store to a page closed for its execute permission",
			  .floor = "two bare exits"};

	snprintf(row.name, sizeof(row.name), "%s, step, %u ranges", s->combination->name, ranges);
	if (!wanted(s, &row))
		return;
	set_ranges(s, ranges);
	vm_protect_from(&s->vm, BENCH_ARENA / 4096 + 1, 1, 1, MASK_DATA);
	measure_with_slots(s, &row, floor_two_exits, store);
	close_setup(s);
}

void rows_measure(int kvm_fd, const struct options *o, void (*add)(const struct row *row))
{
	struct setup s = {.kvm_fd = kvm_fd, .options = o, .add = add};

	for (size_t i = 0; i < COMBINATIONS; i++) {
		s.combination = &combinations[i];
		switch_rows(&s);
	}
	s.combination = &combinations[0];
	work_rows(&s);
	memory_row(&s, 16000);
	hypercall_rows(&s);
	for (size_t i = 0; i < COMBINATIONS; i++) {
		s.combination = &combinations[i];
		protect_rows(&s);
	}
	for (size_t i = 0; i < COMBINATIONS; i++) {
		s.combination = &combinations[i];
		intercept_row(&s, 1);
		intercept_row(&s, 2);
	}
	s.other = false;
	for (size_t i = 0; i < COMBINATIONS; i++) {
		s.combination = &combinations[i];
		step_row(&s, 0);
		step_row(&s, 1000);
	}
}
