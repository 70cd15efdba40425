/* SPDX-License-Identifier: MIT */
/*
 * From COM1's interrupt line to VTL0's local APICs: through KVM's I/O APIC where VTL0 has KVM's
 * local one, else through the one here.
 */
#include <string.h>
#include <sys/ioctl.h>
#include "machine.h"

#define COM1_PIN 4
#define VTL	 0

/* A message no APIC takes is lost, as on a PC. */
static void send_message(void *ctx, uint64_t address, uint32_t data)
{
	const struct machine *m = ctx;

	vsm_partition_signal_msi(m->partition, VTL, address, data);
}

static void on_com1(void *ctx, bool high)
{
	struct machine *m = ctx;
	struct kvm_irq_level line = {.irq = COM1_PIN, .level = high};

	if (m->options->kernel_irqchip)
		ioctl(m->vm_fd, KVM_IRQ_LINE, &line);
	else
		ioapic_set_line(&m->ioapic, COM1_PIN, high);
}

static void on_room(void *ctx)
{
	const struct machine *m = ctx;

	input_wake(&m->input);
}

void irq_setup(struct machine *m)
{
	ioapic_init(&m->ioapic, (uint8_t)m->options->cpus, send_message, m);
	m->serial.on_interrupt = on_com1;
	m->serial.on_room = on_room;
	m->serial.ctx = m;
}

bool irq_mmio(struct machine *m, struct kvm_run *run)
{
	uint64_t offset = run->mmio.phys_addr - IOAPIC_ADDRESS;
	uint32_t value = 0;

	if (offset >= IOAPIC_BYTES)
		return false;
	pthread_mutex_lock(&m->devices);
	if (run->mmio.is_write) {
		memcpy(&value, run->mmio.data, sizeof(value));
		ioapic_write(&m->ioapic, offset, run->mmio.len, value);
	} else {
		value = ioapic_read(&m->ioapic, offset, run->mmio.len);
		memset(run->mmio.data, 0, sizeof(run->mmio.data));
		memcpy(run->mmio.data, &value, sizeof(value));
	}
	pthread_mutex_unlock(&m->devices);
	return true;
}
