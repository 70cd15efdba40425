// SPDX-License-Identifier: MIT
/* The table of the real kernel. */
#include "kvm/linux.h"

static const struct kvm_ops linux_ops = {
	.open_device = linux_open_device,
	.get_api_version = linux_get_api_version,
	.check_extension = linux_check_extension,
	.get_vcpu_mmap_size = linux_get_vcpu_mmap_size,
	.create_vm = linux_create_vm,
	.get_supported_cpuid = linux_get_supported_cpuid,

	.enable_cap = linux_enable_cap,
	.set_msr_filter = linux_set_msr_filter,
	.set_memory_region = linux_set_memory_region,
	.create_vcpu = linux_create_vcpu,
	.signal_msi = linux_signal_msi,

	.map_vcpu = linux_map_vcpu,
	.run = linux_run,
	.get_regs = linux_get_regs,
	.set_regs = linux_set_regs,
	.get_sregs = linux_get_sregs,
	.set_sregs = linux_set_sregs,
	.get_xsave = linux_get_xsave,
	.set_xsave = linux_set_xsave,
	.get_xcrs = linux_get_xcrs,
	.set_xcrs = linux_set_xcrs,
	.get_debugregs = linux_get_debugregs,
	.set_debugregs = linux_set_debugregs,
	.get_vcpu_events = linux_get_vcpu_events,
	.set_vcpu_events = linux_set_vcpu_events,
	.get_msrs = linux_get_msrs,
	.set_msrs = linux_set_msrs,
	.get_lapic = linux_get_lapic,
	.set_lapic = linux_set_lapic,
	.get_mp_state = linux_get_mp_state,
	.set_mp_state = linux_set_mp_state,
	.set_cpuid2 = linux_set_cpuid2,
	.set_guest_debug = linux_set_guest_debug,
	.interrupt = linux_interrupt,
	.nmi = linux_nmi,
	.get_tsc_offset = linux_get_tsc_offset,
	.set_tsc_offset = linux_set_tsc_offset,
	.get_tsc_khz = linux_get_tsc_khz,

	.map_memory = linux_map_memory,
	.protect_memory = linux_protect_memory,
	.unmap_memory = linux_unmap_memory,
	.create_memfd = linux_create_memfd,
	.max_mappings = linux_max_mappings,
	.file_size = linux_file_size,
	.duplicate_fd = linux_duplicate_fd,
	.close_fd = linux_close_fd,

	.current_thread = linux_current_thread,
	.signal_thread = linux_signal_thread,
	.clock_ns = linux_clock_ns,

	.create_wake_fd = linux_create_wake_fd,
	.signal_fd = linux_signal_fd,
	.drain_fd = linux_drain_fd,
	.wait_fd = linux_wait_fd,

	.event_create = linux_event_create,
	.event_destroy = linux_event_destroy,
	.event_fd = linux_event_fd,
	.event_set_deadline = linux_event_set_deadline,
	.event_add_fd = linux_event_add_fd,
	.event_remove_fd = linux_event_remove_fd,
	.event_collect = linux_event_collect,
};

const struct kvm_host kvm_linux_host = {.ops = &linux_ops, .ctx = NULL};
