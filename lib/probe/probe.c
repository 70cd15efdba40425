// SPDX-License-Identifier: MIT
/* Asks a host what its KVM offers. */
#include <errno.h>
#include "probe/probe.h"

static struct vsm_probe_entry probe_entry(const struct capability *c, int value)
{
	return (struct vsm_probe_entry){
		.name = c->name,
		.since = c->since,
		.purpose = c->purpose,
		.loss = c->loss,
		.needed = c->needed,
		.present = value > 0 && (value & c->bits) == c->bits,
		.value = value,
	};
}

/* A KVM too old to be asked about a VM (before 3.17) lacks what is needed anyway. */
static int probe_value(const struct kvm_host *host, int vm_fd, long number)
{
	int value = host->ops->check_extension(host, vm_fd, number);

	return value < 0 ? 0 : value;
}

static void probe_fill(const struct kvm_host *host, int vm_fd, struct vsm_probe *probe)
{
	probe->usable = true;
	for (size_t i = 0; i < capability_count; i++) {
		const struct capability *c = &capabilities[i];
		int value = probe_value(host, vm_fd, c->number);

		probe->entries[i] = probe_entry(c, value);
		if (c->needed && !probe->entries[i].present)
			probe->usable = false;
	}
	probe->entry_count = capability_count;
}

int probe_host_on(const struct kvm_host *host, int kvm_fd, struct vsm_probe *probe)
{
	struct vsm_probe answer = {.size = sizeof(answer)};
	int vm_fd;

	if (!probe || probe->size != sizeof(*probe))
		return -EINVAL;
	answer.api_version = host->ops->get_api_version(host, kvm_fd);
	if (answer.api_version < 0)
		return -EINVAL;
	if (answer.api_version != KVM_API_VERSION)
		return -ENOTSUP;
	vm_fd = host->ops->create_vm(host, kvm_fd);
	if (vm_fd < 0)
		return vm_fd;
	probe_fill(host, vm_fd, &answer);
	host->ops->close_fd(host, vm_fd);
	*probe = answer;
	return 0;
}

int vsm_probe_host(int kvm_fd, struct vsm_probe *probe)
{
	return probe_host_on(&kvm_linux_host, kvm_fd, probe);
}
