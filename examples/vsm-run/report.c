/* SPDX-License-Identifier: MIT */
/* What vsm-run says about a run: trace, log, statistics, the host, a crash. All on stderr. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "machine.h"
#include "say.h"

void say(const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	fprintf(stderr, "vsm-run: %s\n", line);
}

/* --- trace --- */

static const char *hypercall_name(uint16_t code)
{
	static const struct {
		uint16_t code;
		const char *name;
	} names[] = {
		{0x02, "FlushVirtualAddressSpace"},
		{0x03, "FlushVirtualAddressList"},
		{0x08, "NotifyLongSpinWait"},
		{0x0b, "SendSyntheticClusterIpi"},
		{0x0c, "ModifyVtlProtectionMask"},
		{0x0d, "EnablePartitionVtl"},
		{0x0e, "DisablePartitionVtl"},
		{0x0f, "EnableVpVtl"},
		{0x10, "DisableVpVtl"},
		{0x11, "VtlCall"},
		{0x12, "VtlReturn"},
		{0x13, "FlushVirtualAddressSpaceEx"},
		{0x14, "FlushVirtualAddressListEx"},
		{0x15, "SendSyntheticClusterIpiEx"},
		{0x4d, "InstallIntercept"},
		{0x50, "GetVpRegisters"},
		{0x51, "SetVpRegisters"},
		{0x52, "TranslateVirtualAddress"},
		{0x5c, "PostMessage"},
		{0x5d, "SignalEvent"},
		{0x94, "AssertVirtualInterrupt"},
		{0x99, "StartVirtualProcessor"},
		{0x9a, "GetVpIndexFromApicId"},
		{0xac, "TranslateVirtualAddressEx"},
		{0xd4, "CheckSparseGpaPageVtlAccess"},
		{0x8001, "QueryCapabilities"},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].code == code)
			return names[i].name;
	return "hypercall";
}

static void describe(const struct vsm_trace_event *e, char *text, size_t room)
{
	static const char *const accesses[] = {"read", "write", "execute"};
	static const char *const reasons[] = {"return", "call", "interrupt"};

	switch (e->kind) {
	case VSM_TRACE_SWITCH:
		snprintf(text, room, "VTL%u -> VTL%u %s at RIP %#" PRIx64, e->vtl, e->target_vtl,
			 e->code < 3 ? reasons[e->code] : "entry", e->rip);
		break;
	case VSM_TRACE_HYPERCALL:
		snprintf(text, room, "VTL%u %s (%#x) status %#x reps %u", e->vtl,
			 hypercall_name(e->code), e->code, e->status, e->reps);
		break;
	case VSM_TRACE_INTERCEPT:
		snprintf(text, room,
			 "VTL%u %s of GPA %#" PRIx64 " (GVA %#" PRIx64 ") at RIP %#" PRIx64
			 " stopped for VTL%u",
			 e->vtl, e->access < 3 ? accesses[e->access] : "access", e->gpa, e->gva,
			 e->rip, e->target_vtl);
		break;
	case VSM_TRACE_MSR_INTERCEPT:
	case VSM_TRACE_IO_INTERCEPT:
		snprintf(text, room, "VTL%u %s of %s %#x at RIP %#" PRIx64 " stopped for VTL%u",
			 e->vtl, e->access < 3 ? accesses[e->access] : "access",
			 e->kind == VSM_TRACE_MSR_INTERCEPT ? "MSR" : "I/O port", e->number, e->rip,
			 e->target_vtl);
		break;
	default:
		snprintf(text, room, "event %d", (int)e->kind);
	}
}

void report_trace(void *machine, const struct vsm_trace_event *e)
{
	const struct machine *m = machine;
	char text[160];

	describe(e, text, sizeof(text));
	fprintf(stderr, "[%10.3f ms] VP%u %s\n", (double)(e->time_ns - m->start_ns) / 1e6, e->vp,
		text);
}

void report_log(void *machine, enum vsm_log_level level, const char *line)
{
	const struct machine *m = machine;

	if (level <= VSM_LOG_WARNING || m->options->trace)
		say("libvsm: %s", line);
}

/* --- statistics --- */

#define ROW(type, member)                              \
	{                                              \
#member, offsetof(struct type, member) \
	}

struct stats_row {
	const char *name;
	size_t offset;
};

static const struct stats_row partition_rows[] = {
	ROW(vsm_partition_stats, regions),
	ROW(vsm_partition_stats, protected_ranges),
	ROW(vsm_partition_stats, protected_pages_set),
	ROW(vsm_partition_stats, remaps),
	ROW(vsm_partition_stats, slot_updates),
	ROW(vsm_partition_stats, enabled_vtls),
};

static const struct stats_row vcpu_rows[] = {
	ROW(vsm_vcpu_stats, runs),
	ROW(vsm_vcpu_stats, vmm_exits),
	ROW(vsm_vcpu_stats, vtl_calls),
	ROW(vsm_vcpu_stats, vtl_returns),
	ROW(vsm_vcpu_stats, interrupt_entries),
	ROW(vsm_vcpu_stats, hypercalls),
	ROW(vsm_vcpu_stats, hypercall_errors),
	ROW(vsm_vcpu_stats, msr_exits),
	ROW(vsm_vcpu_stats, memory_intercepts),
	ROW(vsm_vcpu_stats, steps),
	ROW(vsm_vcpu_stats, messages),
	ROW(vsm_vcpu_stats, messages_dropped),
	ROW(vsm_vcpu_stats, xsave_moved),
};

static void print_rows(const char *title, const struct stats_row *rows, size_t count,
		       const void *stats)
{
	uint64_t value;

	fprintf(stderr, "%s\n", title);
	for (size_t i = 0; i < count; i++) {
		memcpy(&value, (const char *)stats + rows[i].offset, sizeof(value));
		fprintf(stderr, "  %-20s %12" PRIu64 "\n", rows[i].name, value);
	}
}

void report_stats(const struct machine *m)
{
	struct vsm_partition_stats p = {.size = sizeof(p)};
	struct vsm_vcpu_stats v;
	char title[32];

	if (vsm_partition_get_stats(m->partition, &p) == 0)
		print_rows("partition", partition_rows,
			   sizeof(partition_rows) / sizeof(partition_rows[0]), &p);
	for (unsigned i = 0; i < m->options->cpus; i++) {
		v = (struct vsm_vcpu_stats){.size = sizeof(v)};
		snprintf(title, sizeof(title), "processor %u", i);
		if (vsm_vcpu_get_stats(m->cpus[i].vcpu, &v) == 0)
			print_rows(title, vcpu_rows, sizeof(vcpu_rows) / sizeof(vcpu_rows[0]), &v);
	}
}

/* --- the host --- */

int report_probe(const struct options *o)
{
	struct vsm_probe probe = {.size = sizeof(probe)};
	int fd = open_kvm(o->kvm_path);
	char *text;
	int r, length;

	if (fd < 0)
		return STATUS_HOST;
	r = vsm_probe_host(fd, &probe);
	close(fd);
	if (r) {
		say("%s: %s", o->kvm_path, strerror(-r));
		return STATUS_HOST;
	}
	length = vsm_probe_text(&probe, NULL, 0);
	text = malloc((size_t)length + 1);
	if (!text)
		return STATUS_HOST;
	vsm_probe_text(&probe, text, (size_t)length + 1);
	fputs(text, stdout);
	free(text);
	return probe.usable ? STATUS_OK : STATUS_HOST;
}

void report_missing(int kvm_fd)
{
	struct vsm_probe probe = {.size = sizeof(probe)};

	if (vsm_probe_host(kvm_fd, &probe))
		return;
	for (size_t i = 0; i < probe.entry_count; i++)
		if (probe.entries[i].needed && !probe.entries[i].present)
			say("the host's KVM lacks %s (Linux %s and later have it)",
			    probe.entries[i].name, probe.entries[i].since);
}

/* --- a crash, or a guest that does not go on --- */

void report_waits(const struct machine *m)
{
	char text[2048];

	for (unsigned i = 0; i < m->options->cpus; i++)
		if (vsm_vcpu_text(m->cpus[i].vcpu, text, sizeof(text)) >= 0)
			fputs(text, stderr);
		else
			say("processor %u does not answer", i);
}

/* The bytes at RIP, up to the end of their page: which instruction it was. */
static void report_code(const struct machine *m, int vcpu_fd, uint64_t linear)
{
	struct kvm_translation t = {.linear_address = linear};
	uint64_t end;

	if (ioctl(vcpu_fd, KVM_TRANSLATE, &t) < 0 || !t.valid)
		return;
	end = (t.physical_address | 0xfff) + 1;
	if (end > m->ram.size)
		return;
	fputs("code", stderr);
	for (uint64_t at = t.physical_address; at < end && at - t.physical_address < 16; at++)
		fprintf(stderr, " %02x", m->ram.base[at]);
	fputc('\n', stderr);
}

void report_state(const struct cpu *cpu)
{
	unsigned index = cpu->index, vtl = vsm_vcpu_active_vtl(cpu->vcpu);
	int vcpu_fd = vsm_vcpu_fd(cpu->vcpu, vtl);
	struct kvm_regs r;
	struct kvm_sregs s;

	if (ioctl(vcpu_fd, KVM_GET_REGS, &r) < 0 || ioctl(vcpu_fd, KVM_GET_SREGS, &s) < 0)
		return;
	fprintf(stderr,
		"processor %u VTL%u\n"
		"RAX %016llx RBX %016llx RCX %016llx RDX %016llx\n"
		"RSI %016llx RDI %016llx RBP %016llx RSP %016llx\n"
		"R8  %016llx R9  %016llx R10 %016llx R11 %016llx\n"
		"R12 %016llx R13 %016llx R14 %016llx R15 %016llx\n"
		"RIP %016llx RFLAGS %08llx CS %04x SS %04x\n"
		"CR0 %08llx CR2 %016llx CR3 %016llx CR4 %08llx EFER %llx\n",
		index, vtl, r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.rsp, r.r8, r.r9,
		r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rip, r.rflags, s.cs.selector,
		s.ss.selector, s.cr0, s.cr2, s.cr3, s.cr4, s.efer);
	report_code(cpu->machine, vcpu_fd, s.cs.base + r.rip);
}
