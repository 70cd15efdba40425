/* SPDX-License-Identifier: MIT */
/*
 * Does the processor keep the shadow of STI when a guest is left behind it and entered again? KVM's
 * own state says that it holds; an interrupt that waits then comes behind the HLT, not before it.
 * 0: yes; 77: no, and a guest's STI and HLT lose wake-ups there, whoever is its VMM.
 */
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#define BYTES	65536
#define HALT	0x1000
#define HANDLER 0x2000
#define STACK	0x8000
#define VECTOR	0x41
#define SPIV	0xf0
#define PORT	0x81

struct vm {
	int vm, vcpu;
	struct kvm_run *run;
	uint8_t *memory;
};

static int open_vm(struct vm *m)
{
	struct kvm_userspace_memory_region slot = {.memory_size = BYTES};
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);

	m->vm = ioctl(kvm, KVM_CREATE_VM, 0);
	if (ioctl(m->vm, KVM_CREATE_IRQCHIP, 0) < 0)
		return -1;
	m->vcpu = ioctl(m->vm, KVM_CREATE_VCPU, 0);
	m->memory = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	m->run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu, 0);
	if (m->memory == MAP_FAILED || m->run == MAP_FAILED)
		return -1;
	slot.userspace_addr = (uintptr_t)m->memory;
	return ioctl(m->vm, KVM_SET_USER_MEMORY_REGION, &slot);
}

/* Real mode: HLT; the handler tells where it was called from. */
static void write_code(uint8_t *memory)
{
	static const uint8_t handler[] = {0x58, 0xe7, PORT}; /* pop %ax; out %ax, $PORT */
	const uint32_t gate = HANDLER;

	memory[HALT] = 0xf4;
	memcpy(memory + HANDLER, handler, sizeof(handler));
	memcpy(memory + 4 * VECTOR, &gate, sizeof(gate));
}

/* At the HLT, in the shadow, with interrupts on. */
static int set_state(const struct vm *m)
{
	struct kvm_regs regs = {.rip = HALT, .rflags = 0x202, .rsp = STACK};
	struct kvm_vcpu_events events;
	struct kvm_lapic_state apic;
	struct kvm_sregs sregs;

	if (ioctl(m->vcpu, KVM_GET_SREGS, &sregs) < 0)
		return -1;
	sregs.cs.base = sregs.cs.selector = 0;
	if (ioctl(m->vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(m->vcpu, KVM_SET_REGS, &regs) < 0 ||
	    ioctl(m->vcpu, KVM_GET_VCPU_EVENTS, &events) < 0)
		return -1;
	events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	events.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	if (ioctl(m->vcpu, KVM_SET_VCPU_EVENTS, &events) < 0 ||
	    ioctl(m->vcpu, KVM_GET_LAPIC, &apic) < 0)
		return -1;
	apic.regs[SPIV] = (char)0xff;
	apic.regs[SPIV + 1] = 1;
	return ioctl(m->vcpu, KVM_SET_LAPIC, &apic);
}

static int raise_interrupt(const struct vm *m)
{
	const struct kvm_msi message = {.address_lo = 0xfee00000, .data = VECTOR};

	return ioctl(m->vm, KVM_SIGNAL_MSI, &message) == 1 ? 0 : -1;
}

int main(void)
{
	struct vm m;
	uint16_t from;

	if (open_vm(&m) < 0) {
		printf("SKIP: no KVM with interrupt controllers\n");
		return 77;
	}
	write_code(m.memory);
	if (set_state(&m) < 0 || raise_interrupt(&m) < 0 || ioctl(m.vcpu, KVM_RUN, 0) < 0 ||
	    m.run->exit_reason != KVM_EXIT_IO || m.run->io.port != PORT) {
		printf("exit reason %u\n", m.run->exit_reason);
		return 1;
	}
	memcpy(&from, (uint8_t *)m.run + m.run->io.data_offset, sizeof(from));
	printf("interrupted at %#x\n", from);
	if (from == HALT + 1)
		return 0;
	printf("SKIP: this processor forgets the shadow of STI as it enters a guest\n");
	return from == HALT ? 77 : 1;
}
