// SPDX-License-Identifier: MIT
/*
 * The four entries CR3 points to with PAE paging. KVM loads them when special registers are set,
 * from the memory it shows then, and does not say if it cannot; KVM_SET_SREGS2 takes them from user
 * space. (With nested paging AMD's processors read them again where they are: nothing here asks for
 * stale ones.)
 */
#include "world.h"

#define POINTERS  GUEST_ROM /* in a slot of its own */
#define PRESENT	  1
#define LARGE	  0xe3 /* present, writable, accessed, dirty, 2 MiB */
#define TABLE	  (GUEST_SPARE + PAGE_BYTES)
#define SMALL	  0x63 /* the same of 4 KiB */
#define CR0_PE_PG 0x80000031
#define CR4_PAE	  0x20

static void show_pointers(struct world *w, bool on)
{
	assert_int_equal(
		world_set_slot(w, 1, POINTERS, on ? PAGE_BYTES : 0, 0, w->mem + GUEST_SPARE), 0);
}

static struct kvm_sregs pae_sregs(struct world *w)
{
	struct kvm_sregs s;

	assert_int_equal(OP(w, get_sregs, w->vcpu_fd, &s), 0);
	s.cs.l = 0;
	s.cs.db = 1;
	s.cr0 = CR0_PE_PG;
	s.cr3 = POINTERS;
	s.cr4 = CR4_PAE;
	s.efer = 0;
	return s;
}

/*
 * Pages and registers as PAE wants them, while there is no memory at CR3. Not every KVM has the
 * mode.
 */
static struct kvm_sregs enter_pae(struct world *w)
{
	struct kvm_sregs s = pae_sregs(w), now;
	uint64_t pointer = TABLE | PRESENT, page = LARGE;

	memset(w->mem + GUEST_SPARE, 0, 2 * PAGE_BYTES);
	memcpy(w->mem + GUEST_SPARE, &pointer, sizeof(pointer));
	memcpy(w->mem + TABLE, &page, sizeof(page));
	assert_int_equal(OP(w, set_sregs, w->vcpu_fd, &s), 0);
	assert_int_equal(OP(w, get_sregs, w->vcpu_fd, &now), 0);
	if (now.cr0 != s.cr0)
		world_skip("this KVM has no PAE paging");
	if (w->fake)
		fake_vcpu_fetch(w->fake, w->vcpu_fd, true);
	world_load(w, &guest_outs);
	return s;
}

static void sync_in(struct world *w, const struct kvm_sregs *s)
{
	w->run->s.regs.sregs = *s;
	w->run->kvm_dirty_regs = KVM_SYNC_X86_SREGS;
}

/* Behind registers that were set too early, the same once more with KVM_RUN. */
static void test_pae_sync(void **state)
{
	struct world *w = *state;
	struct kvm_sregs s;

	if (!(WORLD_NEED(w, KVM_CAP_SYNC_REGS) & KVM_SYNC_X86_SREGS))
		world_skip("KVM_RUN takes no special registers");
	s = enter_pae(w);
	show_pointers(w, true);
	sync_in(w, &s);
	world_expect_out(w, PORT_FIRST);
	assert_int_equal(w->run->kvm_dirty_regs, 0);
	world_expect_out(w, PORT_SECOND);
	show_pointers(w, false);
}

/* The same by ioctl. */
static void test_pae_sregs(void **state)
{
	struct world *w = *state;
	struct kvm_sregs s = enter_pae(w);

	show_pointers(w, true);
	assert_int_equal(OP(w, set_sregs, w->vcpu_fd, &s), 0);
	world_expect_out(w, PORT_FIRST);
	show_pointers(w, false);
}

/* The model's #PF finds a handler without asking for its mapping. */
static void leave_fetching(struct fake_guest *g, const struct fake_event *event, void *ctx)
{
	(void)event, (void)ctx;
	fake_vcpu_fetch(g->f, g->vcpu_fd, false);
	g->regs->rip = GUEST_HANDLER;
}

/* Other pointers in the same place: GUEST_CODE's page is now that of GUEST_OTHER. */
static void move_code(struct world *w)
{
	uint64_t pointer = (TABLE + PAGE_BYTES) | PRESENT, table = (TABLE + 2 * PAGE_BYTES) | SMALL;
	uint64_t page = GUEST_OTHER | SMALL;

	memset(w->mem + GUEST_SPARE, 0, 4 * PAGE_BYTES);
	memcpy(w->mem + GUEST_SPARE, &pointer, sizeof(pointer));
	memcpy(w->mem + TABLE + PAGE_BYTES, &table, sizeof(table));
	memcpy(w->mem + TABLE + 2 * PAGE_BYTES + GUEST_CODE / PAGE_BYTES * 8, &page, sizeof(page));
	world_load(w, &guest_other);
}

/* None from user space, and none where KVM finds none: those from before are gone. */
static void test_pae_none(void **state)
{
	struct world *w = *state;
	struct kvm_sregs s;
	struct kvm_sregs2 none = {.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID};

	WORLD_NEED(w, KVM_CAP_SREGS2);
	s = enter_pae(w);
	if (w->fake)
		fake_vcpu_on_event(w->fake, w->vcpu_fd, leave_fetching, NULL);
	show_pointers(w, true);
	assert_int_equal(OP(w, set_sregs, w->vcpu_fd, &s), 0);
	memcpy(&none, &s, offsetof(struct kvm_sregs2, flags));
	assert_int_equal(OP(w, set_sregs2, w->vcpu_fd, &none), 0);
	show_pointers(w, false);
	assert_int_equal(OP(w, set_sregs, w->vcpu_fd, &s), 0);
	move_code(w);
	show_pointers(w, true);
	if (world_run(w) == 0 && w->run->exit_reason == KVM_EXIT_IO)
		assert_int_not_equal(w->run->io.port, PORT_FIRST);
	show_pointers(w, false);
}

static void test_pae_bad_sregs2(void **state)
{
	struct world *w = *state;
	struct kvm_sregs2 bad = {.flags = KVM_SREGS2_FLAGS_PDPTRS_VALID};
	struct kvm_sregs s;

	WORLD_NEED(w, KVM_CAP_SREGS2);
	assert_int_equal(OP(w, get_sregs, w->vcpu_fd, &s), 0);
	memcpy(&bad, &s, offsetof(struct kvm_sregs2, flags));
	assert_int_equal(OP(w, set_sregs2, w->vcpu_fd, &bad), -EINVAL); /* of long mode */
	bad.flags = 2;
	assert_int_equal(OP(w, set_sregs2, w->vcpu_fd, &bad), -EINVAL);
	bad.flags = 0;
	assert_int_equal(OP(w, set_sregs2, w->vcpu_fd, &bad), 0);
}

const struct CMUnitTest pae_tests[] = {
	WORLD_TEST(test_pae_sync),
	WORLD_TEST(test_pae_sregs),
	WORLD_TEST(test_pae_none),
	WORLD_TEST(test_pae_bad_sregs2),
};
const size_t pae_test_count = ARRAY_SIZE(pae_tests);
