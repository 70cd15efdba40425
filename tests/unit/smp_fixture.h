/* SPDX-License-Identifier: MIT */
/* A partition of several VPs on the fake host, each run by a thread, in flat mode at 0x1000. */
#ifndef VSM_TESTS_UNIT_SMP_FIXTURE_H
#define VSM_TESTS_UNIT_SMP_FIXTURE_H

#include "partition_fixture.h"
#include "apic/bus.h"
#include "vsm/events.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SMP_VPS	 4 /* at most */
#define PORT_VMM 0x3f8

#define VMM_OUT                                                                                \
	{                                                                                      \
		.kind = FAKE_OUT, .port = PORT_VMM, .size = 1, .length = 2, .reg = FAKE_NO_REG \
	}
#define HALT                                  \
	{                                     \
		.kind = FAKE_HLT, .length = 1 \
	}
#define SPIN                      \
	{                         \
		.kind = FAKE_SPIN \
	}

/* In the options' flags: VTL0 has KVM's local APIC. */
#define SMP_KERNEL_APIC (UINT64_C(1) << 63)
/* The same: this KVM emulates guest code. */
#define SMP_EMULATES (UINT64_C(1) << 62)

struct smp;
typedef int smp_run_hook(struct smp *s, int vcpu_fd);
typedef int smp_region_hook(struct smp *s, int vm_fd,
			    const struct kvm_userspace_memory_region *region);

struct smp {
	struct fixture x;
	/*
	 * The fake host's table, with these two in place of their ops while they are not NULL. The
	 * library's threads read the table from the partition's beginning on: it does not change.
	 */
	struct kvm_ops ops;
	struct kvm_host host;
	const struct kvm_host *real;
	smp_run_hook *_Atomic run_hook;
	smp_region_hook *_Atomic region_hook;
	struct vsm_partition *p;
	struct vsm_vcpu *vp[SMP_VPS];
	pthread_t thread[SMP_VPS];
	int result[SMP_VPS];
	struct kvm_run *run[SMP_VPS];
};

static inline int smp_fd(struct smp *s, unsigned vp, unsigned vtl)
{
	return vsm_vcpu_fd(s->vp[vp], vtl);
}

static inline int smp_hooked_run(const struct kvm_host *h, int vcpu_fd)
{
	struct smp *s = (struct smp *)((uintptr_t)h - offsetof(struct smp, host));
	smp_run_hook *hook = atomic_load(&s->run_hook);

	return hook ? hook(s, vcpu_fd) : s->real->ops->run(s->real, vcpu_fd);
}

static inline int smp_hooked_region(const struct kvm_host *h, int vm_fd,
				    const struct kvm_userspace_memory_region *region)
{
	struct smp *s = (struct smp *)((uintptr_t)h - offsetof(struct smp, host));
	smp_region_hook *hook = atomic_load(&s->region_hook);

	return hook ? hook(s, vm_fd, region)
		    : s->real->ops->set_memory_region(s->real, vm_fd, region);
}

static inline void smp_hook_host(struct smp *s)
{
	s->real = s->x.host;
	s->ops = *s->real->ops;
	s->ops.run = smp_hooked_run;
	s->ops.set_memory_region = smp_hooked_region;
	s->host = (struct kvm_host){&s->ops, s->real->ctx};
	s->x.host = &s->host;
}

static inline void smp_start_with(struct smp *s, unsigned vps, uint64_t vcpu_flags,
				  const struct vsm_partition_options *wanted)
{
	struct vsm_memory_region ram = {.size = sizeof(ram)};
	struct vsm_partition_options o = *wanted;

	memset(s, 0, sizeof(*s));
	fixture_start(&s->x, RAM_MIB);
	smp_hook_host(s);
	if (o.flags & SMP_KERNEL_APIC)
		assert_int_equal(fake_kvm_create_irqchip(s->x.fake, s->x.vm_fd), 0);
	if (o.flags & SMP_EMULATES)
		fake_kvm_set_flags(s->x.fake, FAKE_EMULATES);
	o.flags &= ~(SMP_KERNEL_APIC | SMP_EMULATES);
	o.size = sizeof(o);
	o.kvm_fd = s->x.dev_fd;
	o.vm_fd = s->x.vm_fd;
	o.max_vps = vps > 3 ? vps : 3;
	if (!o.kick_signal)
		o.kick_signal = SIGUSR1;
	assert_int_equal(partition_create_on(s->x.host, &o, &s->p), 0);
	ram.bytes = s->x.mem_size;
	ram.fd = s->x.mem_fd;
	assert_int_equal(vsm_partition_map_memory(s->p, &ram), 0);
	for (uint32_t i = 0; i < vps; i++) {
		struct vsm_vcpu_options v = {
			.size = sizeof(v), .index = i, .apic_id = i, .flags = vcpu_flags};

		assert_int_equal(vsm_vcpu_create(s->p, &v, &s->vp[i]), 0);
		fake_vcpu_flat_mode(s->x.fake, smp_fd(s, i, 0), 0x1000, 0x8000);
		/* Software-enabled, as a guest makes it. */
		s->vp[i]->vtls[0].lapic.spiv = 0x1ff;
	}
}

static inline void smp_start(struct smp *s, unsigned vps)
{
	smp_start_with(s, vps, VSM_VCPU_STARTED, &(struct vsm_partition_options){0});
}

static inline void smp_stop(struct smp *s)
{
	vsm_partition_destroy(s->p);
	fixture_stop(&s->x);
}

/* The VTL is enabled on the VP, at VTL1_ENTRY, with interrupts off. */
static inline void smp_enable_vtl(struct smp *s, unsigned vp, unsigned vtl)
{
	s->p->enabled_vtls |= (uint16_t)(1u << vtl);
	s->vp[vp]->enabled_vtls |= (uint16_t)(1u << vtl);
	fake_vcpu_flat_mode(s->x.fake, smp_fd(s, vp, vtl), VTL1_ENTRY, 0x9000);
	fake_vcpu_regs(s->x.fake, smp_fd(s, vp, vtl))->rflags = 2;
}

static inline void smp_enable_vtl1(struct smp *s, unsigned vp)
{
	smp_enable_vtl(s, vp, 1);
}

static inline void smp_interrupts_on(struct smp *s, unsigned vp, unsigned vtl)
{
	fake_vcpu_regs(s->x.fake, smp_fd(s, vp, vtl))->rflags |= CPU_RFLAGS_IF;
}

/* The library's local APIC timer, once, after that many ns. */
static inline void smp_arm_timer(struct smp *s, unsigned vp, unsigned vtl, uint32_t count,
				 uint8_t vector)
{
	struct lapic *l = &s->vp[vp]->vtls[vtl].lapic;
	const uint32_t entry = vector, divide = 0xb;
	struct lapic_effects effects;
	struct lapic_clock clock;

	bus_clock(s->vp[vp], vtl, false, &clock);
	assert_int_equal(lapic_mmio_write(l, gpa_from(LAPIC_BASE_DEFAULT + 0x320), 4, &entry,
					  &clock, &effects),
			 0);
	assert_int_equal(lapic_mmio_write(l, gpa_from(LAPIC_BASE_DEFAULT + 0x3e0), 4, &divide,
					  &clock, &effects),
			 0);
	assert_int_equal(lapic_mmio_write(l, gpa_from(LAPIC_BASE_DEFAULT + 0x380), 4, &count,
					  &clock, &effects),
			 0);
}

static inline void smp_script(struct smp *s, unsigned vp, unsigned vtl,
			      const struct fake_step *steps, size_t count)
{
	fake_vcpu_script(s->x.fake, smp_fd(s, vp, vtl), steps, count);
}
#define SMP_SCRIPT(s, vp, vtl, ...)                                       \
	do {                                                              \
		const struct fake_step smp_steps[] = {__VA_ARGS__};       \
		smp_script(s, vp, vtl, smp_steps, ARRAY_SIZE(smp_steps)); \
	} while (0)

struct smp_call {
	struct smp *s;
	unsigned vp;
};

static inline void *smp_thread(void *arg)
{
	struct smp_call *call = arg;
	struct smp *s = call->s;

	s->result[call->vp] = vsm_vcpu_run(s->vp[call->vp], &s->run[call->vp]);
	free(call);
	return NULL;
}

/* Runs a VP on a thread of its own; smp_join() says how vsm_vcpu_run() ended. */
static inline void smp_run(struct smp *s, unsigned vp)
{
	struct smp_call *call = malloc(sizeof(*call));

	assert_non_null(call);
	*call = (struct smp_call){s, vp};
	assert_int_equal(pthread_create(&s->thread[vp], NULL, smp_thread, call), 0);
}

static inline int smp_join(struct smp *s, unsigned vp)
{
	pthread_join(s->thread[vp], NULL);
	return s->result[vp];
}

/* The VP came out with VMM_OUT in that VTL. */
static inline void smp_expect_vmm(struct smp *s, unsigned vp, unsigned vtl)
{
	assert_int_equal(smp_join(s, vp), 0);
	assert_int_equal(s->run[vp]->exit_reason, KVM_EXIT_IO);
	assert_int_equal(s->run[vp]->io.port, PORT_VMM);
	assert_int_equal(vsm_vcpu_active_vtl(s->vp[vp]), vtl);
}

/* Sleepers there are when the library's event thread and that many VPs sleep. */
static inline void smp_wait_asleep(struct smp *s, unsigned vps)
{
	assert_true(fake_kvm_wait_sleepers(s->x.fake, vps + 1));
}

static inline void smp_wait_spinning(struct smp *s, unsigned vp, unsigned vtl)
{
	assert_true(fake_vcpu_wait_idle(s->x.fake, smp_fd(s, vp, vtl)));
}

#endif
