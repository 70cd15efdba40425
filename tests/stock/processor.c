/* SPDX-License-Identifier: MIT */
/*
 * Does the processor do what guests and KVM rely on? Shown with KVM alone: whatever is wrong here is
 * so for every VMM. usage: processor shadow|twice
 *
 * shadow: KVM's own state says that the shadow of STI holds, at a HLT, with an interrupt waiting:
 * it comes behind the HLT, not before it.
 * twice: each interrupt is taken once, also if signals bring the vCPU out of the guest.
 *
 * 0: yes; 77: no.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>

#define BYTES	   65536
#define CODE	   0x1000
#define HANDLER	   0x2000
#define STACK	   0x8000
#define VECTOR	   0x41
#define SPIV	   0xf0
#define X2APIC	   0xc00
#define PORT_RAISE 0x42
#define PORT_TAKEN 0x43
#define INTERRUPTS 3000
#define SIGNAL_NS  200000
#define CPUIDS	   256

struct vm {
	int kvm, vm, vcpu;
	struct kvm_run *run;
	uint8_t *memory;
};

static int open_vm(struct vm *m)
{
	struct kvm_userspace_memory_region slot = {.memory_size = BYTES};
	int size;

	m->kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	size = ioctl(m->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	m->vm = ioctl(m->kvm, KVM_CREATE_VM, 0);
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

/* A local APIC in x2APIC mode, as the host's CPUID has it. */
static int enable_apic(const struct vm *m)
{
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + CPUIDS * sizeof(cpuid->entries[0]));
	struct kvm_lapic_state apic;
	struct kvm_sregs sregs;
	int r;

	if (!cpuid)
		return -1;
	cpuid->nent = CPUIDS;
	r = ioctl(m->kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
	if (r >= 0)
		r = ioctl(m->vcpu, KVM_SET_CPUID2, cpuid);
	free(cpuid);
	if (r < 0 || ioctl(m->vcpu, KVM_GET_SREGS, &sregs) < 0)
		return -1;
	sregs.apic_base |= X2APIC;
	if (ioctl(m->vcpu, KVM_SET_SREGS, &sregs) < 0 || ioctl(m->vcpu, KVM_GET_LAPIC, &apic) < 0)
		return -1;
	apic.regs[SPIV] = (char)0xff;
	apic.regs[SPIV + 1] = 1;
	return ioctl(m->vcpu, KVM_SET_LAPIC, &apic);
}

/* Real mode. */
static int start_at(const struct vm *m, const void *code, size_t size, const void *handler,
		    size_t handler_size)
{
	struct kvm_regs regs = {.rip = CODE, .rflags = 0x202, .rsp = STACK};
	const uint32_t gate = HANDLER;
	struct kvm_sregs sregs;

	memcpy(m->memory + CODE, code, size);
	memcpy(m->memory + HANDLER, handler, handler_size);
	memcpy(m->memory + 4 * VECTOR, &gate, sizeof(gate));
	if (ioctl(m->vcpu, KVM_GET_SREGS, &sregs) < 0)
		return -1;
	sregs.cs.base = sregs.cs.selector = 0;
	if (ioctl(m->vcpu, KVM_SET_SREGS, &sregs) < 0)
		return -1;
	return ioctl(m->vcpu, KVM_SET_REGS, &regs);
}

static int raise_interrupt(const struct vm *m)
{
	const struct kvm_msi message = {.address_lo = 0xfee00000, .data = VECTOR};

	return ioctl(m->vm, KVM_SIGNAL_MSI, &message) == 1 ? 0 : -1;
}

/* --- shadow --- */

static int in_shadow(const struct vm *m)
{
	struct kvm_vcpu_events events;

	if (ioctl(m->vcpu, KVM_GET_VCPU_EVENTS, &events) < 0)
		return -1;
	events.flags = KVM_VCPUEVENT_VALID_SHADOW;
	events.interrupt.shadow = KVM_X86_SHADOW_INT_STI;
	return ioctl(m->vcpu, KVM_SET_VCPU_EVENTS, &events);
}

static int shadow(const struct vm *m)
{
	static const uint8_t code[] = {0xf4};			/* hlt */
	static const uint8_t tell[] = {0x58, 0xe7, PORT_TAKEN}; /* pop %ax; out %ax, $PORT */
	uint16_t from;

	if (start_at(m, code, sizeof(code), tell, sizeof(tell)) || in_shadow(m) ||
	    raise_interrupt(m) || ioctl(m->vcpu, KVM_RUN, 0) < 0 ||
	    m->run->exit_reason != KVM_EXIT_IO || m->run->io.port != PORT_TAKEN)
		return 1;
	memcpy(&from, (uint8_t *)m->run + m->run->io.data_offset, sizeof(from));
	printf("interrupted at %#x\n", from);
	if (from == CODE + sizeof(code))
		return 0;
	printf("SKIP: this processor forgets the shadow of STI as it enters a guest\n");
	return from == CODE ? 77 : 1;
}

/* --- twice --- */

static void on_signal(int signal)
{
	(void)signal;
}

static void *send_signals(void *thread)
{
	const struct timespec pause = {.tv_nsec = SIGNAL_NS};

	for (;;) {
		nanosleep(&pause, NULL);
		pthread_kill(*(pthread_t *)thread, SIGUSR1);
	}
	return NULL;
}

/* The guest asks for an interrupt and opens many windows for it, each time round. 0 or 77; else 1. */
static int count_interrupts(const struct vm *m)
{
	unsigned raised = 0, taken = 0;

	while (raised < INTERRUPTS || taken < raised) {
		if (ioctl(m->vcpu, KVM_RUN, 0) < 0) {
			if (errno != EINTR)
				return 1;
			continue;
		}
		if (m->run->exit_reason != KVM_EXIT_IO)
			return 1;
		if (m->run->io.port == PORT_TAKEN)
			taken++;
		if (taken > raised) {
			printf("SKIP: this processor took %u interrupts when there had been %u\n",
			       taken, raised);
			return 77;
		}
		if (m->run->io.port == PORT_RAISE && taken == raised) {
			raised++;
			if (raise_interrupt(m))
				return 1;
		}
	}
	printf("%u interrupts, each once\n", taken);
	return 0;
}

static int twice(const struct vm *m)
{
	static const uint8_t code[] = {
		0xb9, 40,	  0,	/* mov $40, %cx */
		0xfb, 0x90,	  0xfa, /* sti; nop; cli */
		0xe2, 0xfb,		/* loop to the sti */
		0xe6, PORT_RAISE,	/* out %al, $PORT */
		0xeb, 0xf4,		/* jmp to the start */
	};
	static const uint8_t end[] = {
		0x66, 0x51,			    /* push %ecx */
		0x66, 0xb9,	  0x0b, 0x08, 0, 0, /* mov $0x80b, %ecx: the EOI register */
		0x66, 0x31,	  0xc0,		    /* xor %eax, %eax */
		0x66, 0x31,	  0xd2,		    /* xor %edx, %edx */
		0x0f, 0x30,			    /* wrmsr */
		0x66, 0x59,			    /* pop %ecx */
		0xe6, PORT_TAKEN,		    /* out %al, $PORT */
		0xcf,				    /* iret */
	};
	/* KVM_RUN ends with EINTR all the same; the line that is printed at the end is not lost. */
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	static pthread_t self; /* the sender outlives this call */
	pthread_t sender;

	self = pthread_self();
	sigaction(SIGUSR1, &action, NULL);
	if (start_at(m, code, sizeof(code), end, sizeof(end)) ||
	    pthread_create(&sender, NULL, send_signals, &self))
		return 1;
	return count_interrupts(m);
}

int main(int argc, char **argv)
{
	struct vm m;

	if (argc != 2)
		return 2;
	if (open_vm(&m) < 0 || enable_apic(&m) < 0) {
		printf("SKIP: no KVM with interrupt controllers\n");
		return 77;
	}
	return strcmp(argv[1], "shadow") == 0 ? shadow(&m) : twice(&m);
}
