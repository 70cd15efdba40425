/* SPDX-License-Identifier: MIT */
/*
 * What a VTL switch has to ask KVM for: a guest changes one piece of the state that VTLs share and
 * comes out, another comes out only. What user space is shown of the two without asking is the same
 * to the byte; docs/design.md ("Shortcuts of a VTL switch") rests on that.
 *
 * 0: so it is; 1: a kernel shows more, and the document is to be corrected; 77: no KVM.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "long_mode.h"

#define OPERAND	     (GUEST_CODE + 0x800) /* RBX: 32 bytes, the lower half 0 */
#define CODE_BYTES   8
#define MXCSR	     0x5f80u /* 0x1f80 is what a processor starts with */
#define XCR0_X87_SSE 3u
#define BREAKPOINT   UINT64_C(0x123456000)

/* What tells of the state. */
enum asked {
	GET_XSAVE = 1,
	GET_XCRS = 2,
	GET_DEBUGREGS = 4,
	GET_FPU = 8,
};

struct change {
	const char *name;
	uint8_t size, code[CODE_BYTES];
	uint64_t rax;
	uint32_t operand[8];
	bool avx;
	unsigned shown_by; /* enum asked */
	unsigned
		may_show_by; /* where the processor tells KVM at all: QEMU has no intercept of XSETBV */
};

#define CODE(...) .size = sizeof((uint8_t[]){__VA_ARGS__}), .code = {__VA_ARGS__}

static const struct change changes[] = {
	{"nothing", CODE(0x90)},
	{"ST0", CODE(0xd9, 0xe8), .shown_by = GET_XSAVE | GET_FPU}, /* fld1 */
	{"XMM0", CODE(0x0f, 0x10, 0x03), .operand = {1}, .shown_by = GET_XSAVE | GET_FPU},
	/* ldmxcsr (%rbx); vmovdqu (%rbx), %ymm0: KVM_GET_FPU leaves these out. */
	{"MXCSR", CODE(0x0f, 0xae, 0x13), .operand = {MXCSR}, .shown_by = GET_XSAVE},
	{"YMM0's upper half", CODE(0xc5, 0xfe, 0x6f, 0x03), .operand = {[4] = 1}, .avx = true,
	 .shown_by = GET_XSAVE},
	{"XCR0", CODE(0x0f, 0x01, 0xd1), .rax = XCR0_X87_SSE, .avx = true, .may_show_by = GET_XCRS},
	{"DR0", CODE(0x0f, 0x23, 0xc0), .rax = BREAKPOINT, .shown_by = GET_DEBUGREGS},
};

/* All that user space has without asking, and what it can ask for. */
struct seen {
	uint8_t run[PAGE];
	uint8_t xsave[PAGE]; /* struct kvm_xsave */
	struct kvm_fpu fpu;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
};

/* The change, or as many bytes of NOP; then the exit. */
static void write_code(const struct guest *g, const struct change *c, bool made)
{
	const uint8_t done[] = {0xe6, GUEST_DONE};
	uint8_t *code = g->memory + GUEST_CODE;

	memset(code, 0x90, CODE_BYTES);
	if (made)
		memcpy(code, c->code, c->size);
	memcpy(code + CODE_BYTES, done, sizeof(done));
	memcpy(g->memory + OPERAND, c->operand, sizeof(c->operand));
}

static bool ask(const struct guest *g, struct seen *s)
{
	return ioctl(g->vcpu, KVM_GET_XSAVE, s->xsave) == 0 &&
	       ioctl(g->vcpu, KVM_GET_FPU, &s->fpu) == 0 &&
	       ioctl(g->vcpu, KVM_GET_XCRS, &s->xcrs) == 0 &&
	       ioctl(g->vcpu, KVM_GET_DEBUGREGS, &s->debugregs) == 0;
}

static bool run(struct guest *g, const struct change *c, bool made, struct seen *s)
{
	const struct kvm_regs regs = {
		.rip = GUEST_CODE, .rflags = 2, .rax = c->rax, .rbx = OPERAND};
	struct outcome o;

	write_code(g, c, made);
	g->run->kvm_valid_regs = KVM_SYNC_X86_VALID_FIELDS;
	if (!guest_show(g, CLOSED_NONE) || ioctl(g->vcpu, KVM_SET_REGS, &regs) || !guest_run(g, &o))
		return false;
	if (o.error || g->run->exit_reason != KVM_EXIT_IO || g->run->io.port != GUEST_DONE) {
		guest_print(g, &o);
		return false;
	}
	memcpy(s->run, g->run, sizeof(s->run));
	return ask(g, s);
}

static unsigned differences(const struct seen *a, const struct seen *b)
{
	return (memcmp(a->xsave, b->xsave, sizeof(a->xsave)) ? GET_XSAVE : 0) |
	       (memcmp(&a->fpu, &b->fpu, sizeof(a->fpu)) ? GET_FPU : 0) |
	       (memcmp(&a->xcrs, &b->xcrs, sizeof(a->xcrs)) ? GET_XCRS : 0) |
	       (memcmp(&a->debugregs, &b->debugregs, sizeof(a->debugregs)) ? GET_DEBUGREGS : 0);
}

static int try_change(const struct change *c)
{
	static struct seen seen[2];
	unsigned shown_by;
	bool same;

	memset(seen, 0, sizeof(seen));
	for (unsigned made = 0; made < 2; made++) {
		struct guest g;
		bool ok;

		if (!guest_open(&g, PART_DATA)) {
			printf("SKIP: no KVM to try this on: %s\n", strerror(errno));
			return 77;
		}
		if (c->avx && !g.avx) {
			printf("%s: this processor has no AVX\n", c->name);
			guest_close(&g);
			return 0;
		}
		ok = run(&g, c, made, &seen[made]);
		guest_close(&g);
		if (!ok) {
			printf("%s: cannot be tried\n", c->name);
			return 1;
		}
	}
	same = !memcmp(seen[0].run, seen[1].run, sizeof(seen[0].run));
	shown_by = differences(&seen[0], &seen[1]);
	printf("%s: %s is shown without asking, ioctls %#x differ (expected %#x)\n", c->name,
	       same ? "nothing" : "SOMETHING", shown_by, c->shown_by);
	return !same || (shown_by & ~c->may_show_by) != c->shown_by;
}

int main(void)
{
	int failed = 0;

	setvbuf(stdout, NULL, _IOLBF, 0);
	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		int r = try_change(&changes[i]);

		if (r == 77)
			return r;
		failed |= r;
	}
	return failed;
}
