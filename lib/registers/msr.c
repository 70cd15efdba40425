/* SPDX-License-Identifier: MIT */
/* KVM_GET_MSRS and KVM_SET_MSRS for one MSR. */
#include "registers/msr.h"

#include <errno.h>

/* A list of one. */
union msr_list {
	struct kvm_msrs head;
	uint8_t room[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
};

int vtl_cpu_read_msr(const struct vtl_cpu *cpu, uint32_t index, uint64_t *value)
{
	union msr_list list = {.room = {0}};
	int r;

	list.head.nmsrs = 1;
	list.head.entries[0].index = index;
	r = cpu->host->ops->get_msrs(cpu->host, cpu->fd, &list.head);
	if (r <= 0)
		return r ? r : -ENOENT;
	*value = list.head.entries[0].data;
	return 0;
}

int vtl_cpu_write_msr(const struct vtl_cpu *cpu, uint32_t index, uint64_t value)
{
	union msr_list list = {.room = {0}};
	int r;

	list.head.nmsrs = 1;
	list.head.entries[0].index = index;
	list.head.entries[0].data = value;
	r = cpu->host->ops->set_msrs(cpu->host, cpu->fd, &list.head);
	if (r <= 0)
		return r ? r : -EINVAL;
	return 0;
}
