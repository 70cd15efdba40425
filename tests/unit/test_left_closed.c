/* SPDX-License-Identifier: MIT */
/*
 * Limits that a host refused half-way, and then to take back: pages stay closed although nobody
 * limits the VTL, and nothing is stepped. They are open again before the VTL next runs.
 */
#include "partition_fixture.h"

#include <errno.h>

#include "vsm/memory.h"

#define DATA	  0x5000u
#define CODE	  0x1000u
#define PORT_VMM  0x3f8
#define VALUE	  0x77
#define FAR	  0x200000
#define OTHER_RAM UINT64_C(0x1000000) /* the same file once more */

/* A host that refuses some of the calls of mprotect from now on, by bits. */
static struct {
	struct kvm_host host;
	struct kvm_ops ops;
	const struct kvm_host *real;
	unsigned calls, refused;
} moody;

static int moody_protect(const struct kvm_host *h, void *addr, size_t size, enum kvm_map_prot prot)
{
	unsigned call = moody.calls++;

	(void)h;
	if (call < 32 && moody.refused >> call & 1)
		return -ENOMEM;
	return moody.real->ops->protect_memory(moody.real, addr, size, prot);
}

static void refuse(struct guest *g, unsigned calls)
{
	moody.real = g->x.host;
	moody.ops = *g->x.host->ops;
	moody.ops.protect_memory = moody_protect;
	moody.host = (struct kvm_host){&moody.ops, g->x.host->ctx};
	moody.calls = 0;
	moody.refused = calls;
	g->p->memory.host = &moody.host;
}

static void relent(struct guest *g)
{
	g->p->memory.host = g->x.host;
}

static void start(struct guest *g, const struct guest_combination *c)
{
	static const struct fake_step steps[] = {
		{.kind = FAKE_LOAD,
		 .flags = FAKE_OPTIONAL,
		 .rip = CODE,
		 .gva = DATA,
		 .size = 4,
		 .length = 2},
		{.kind = FAKE_OUT,
		 .flags = FAKE_OPTIONAL,
		 .rip = CODE + 2,
		 .port = PORT_VMM,
		 .size = 1,
		 .length = 2},
	};
	static const uint8_t load[] = {0x8b, 0x00}; /* mov eax, [eax] */
	struct vsm_memory_region more = {.size = sizeof(more), .guest_phys = OTHER_RAM};
	struct vsm_memory_view view = {.size = sizeof(view)};

	guest_start(g, c->topology, c->enforcement);
	more.bytes = g->x.mem_size;
	more.fd = g->x.mem_fd;
	assert_int_equal(vsm_partition_map_memory(g->p, &more), 0);
	assert_int_equal(vsm_memory_view(g->p, 0, 0, &view), 0);
	guest_enable_vtl1(g);
	memcpy(g->x.mem + CODE, load, sizeof(load));
	g->x.mem[DATA] = VALUE;
	fake_vcpu_program(g->x.fake, vsm_vcpu_fd(g->vp, 0), steps, ARRAY_SIZE(steps));
}

static int load(struct guest *g)
{
	struct kvm_regs *regs = fake_vcpu_regs(g->x.fake, vsm_vcpu_fd(g->vp, 0));
	struct kvm_run *run;
	int r;

	regs->rip = CODE;
	regs->rax = DATA;
	r = vsm_vcpu_run(g->vp, &run);
	if (!r)
		assert_int_equal(run->exit_reason, KVM_EXIT_IO);
	return r;
}

static void assert_loads(struct guest *g)
{
	assert_int_equal(load(g), 0);
	assert_int_equal(fake_vcpu_regs(g->x.fake, vsm_vcpu_fd(g->vp, 0))->rax, VALUE);
	assert_null(vsm_partition_death(g->p));
}

/* What VTL0's vCPUs, or with `slots` its devices, have of the first region, where nobody goes. */
static int shown(struct guest *g)
{
	const struct memory *m = &g->p->memory;
	const struct memory_region *r = memory_region_of(m, 0);
	const uint8_t *base = m->enforcement == VSM_ENFORCEMENT_ALIAS ? r->alias[0] : r->device[0];

	return fake_kvm_host_prot(g->x.fake, base + FAR);
}

static void on_all(void (*test)(struct guest *g))
{
	for (size_t i = 0; i < ARRAY_SIZE(guest_combinations); i++) {
		struct guest g;

		start(&g, &guest_combinations[i]);
		test(&g);
		guest_stop(&g);
	}
}

/* The first region is closed, and neither is the second nor does the first get open again. */
static void fail_to_limit(struct guest *g)
{
	refuse(g, ~1u);
	assert_int_equal(memory_limit_default(&g->p->memory, 1, 0), -ENOMEM);
	relent(g);
	assert_int_equal(memory_lowest_setter(&g->p->memory, 0), 0);
	assert_int_equal(shown(g), KVM_MAP_NONE);
}

static void opens_again(struct guest *g)
{
	assert_loads(g);
	fail_to_limit(g);
	assert_loads(g);
	assert_int_equal(shown(g), KVM_MAP_READ_WRITE);
	assert_int_equal(g->vp->stats.steps, 0);
	/* Once is enough. */
	fake_kvm_reset_calls(g->x.fake);
	assert_loads(g);
	assert_int_equal(fake_kvm_calls(g->x.fake, FAKE_OP_protect_memory), 0);
}

static void test_opens_again(void **state)
{
	(void)state;
	on_all(opens_again);
}

/* The VMM hears of a host that never does. */
static void refuses_for_good(struct guest *g)
{
	bool alias = g->p->memory.enforcement == VSM_ENFORCEMENT_ALIAS;

	fail_to_limit(g);
	fake_kvm_fail(g->x.fake, FAKE_OP_protect_memory, 0, ENOMEM);
	assert_int_equal(load(g), alias ? -EFAULT : 0);
	assert_int_equal(shown(g), KVM_MAP_NONE);
	assert_null(vsm_partition_death(g->p));
	fake_kvm_fail(g->x.fake, FAKE_OP_protect_memory, 1, 0);
	assert_loads(g);
	assert_int_equal(shown(g), KVM_MAP_READ_WRITE);
}

static void test_refuses_for_good(void **state)
{
	(void)state;
	on_all(refuses_for_good);
}

/* Limits that come meanwhile have legal accesses stepped; when they go, all is opened. */
static void limited_later(struct guest *g)
{
	bool alias = g->p->memory.enforcement == VSM_ENFORCEMENT_ALIAS;

	fail_to_limit(g);
	assert_int_equal(memory_limit_default(&g->p->memory, 1, PROT_ALL), 0);
	assert_loads(g);
	assert_int_equal(g->vp->stats.steps, alias ? 1 : 0);
	assert_int_equal(shown(g), KVM_MAP_NONE);
	assert_int_equal(memory_limit_drop(&g->p->memory, 1), 0);
	assert_int_equal(shown(g), KVM_MAP_READ_WRITE);
	assert_loads(g);
	assert_int_equal(g->vp->stats.steps, alias ? 1 : 0);
	assert_false(g->p->memory.left_closed[0]);
}

static void test_limited_later(void **state)
{
	(void)state;
	on_all(limited_later);
}

/* A page that cannot be opened again is tried with all of its region closed. */
static void shut_page_stays(struct guest *g)
{
	struct memory *m = &g->p->memory;

	if (m->enforcement != VSM_ENFORCEMENT_ALIAS)
		return;
	assert_int_equal(memory_shut_page(m, 0, DATA >> VSM_PAGE_SHIFT), 0);
	refuse(g, ~2u);
	assert_int_equal(memory_close_openings(m, 0), -ENOMEM);
	relent(g);
	assert_int_equal(shown(g), KVM_MAP_NONE);
	assert_loads(g);
	assert_int_equal(shown(g), KVM_MAP_READ_WRITE);
}

static void test_shut_page_stays(void **state)
{
	(void)state;
	on_all(shut_page_stays);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_opens_again),
		cmocka_unit_test(test_refuses_for_good),
		cmocka_unit_test(test_limited_later),
		cmocka_unit_test(test_shut_page_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
