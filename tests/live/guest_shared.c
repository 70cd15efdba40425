/* SPDX-License-Identifier: MIT */
/* What the VTLs of a processor share is seen by the other VTL, both ways (TLFS vsm.md). */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "trap.h"
#include "vtl.h"

#define CR4_OSXSAVE	    (UINT64_C(1) << 18)
#define CPUID_XSAVE	    (1u << 26)
#define CPUID_AVX	    (1u << 28)
#define XCR0_X87	    1
#define XCR0_SSE	    2
#define XCR0_AVX	    4
#define BYTES_OF_16_VECTORS (16 * 32)

/* Values that tell the register, and who wrote it. */
static uint64_t pattern(unsigned who, unsigned reg)
{
	return UINT64_C(0x0101010101010101) * (who * 0x40 + reg + 1);
}

static void fill(struct vtl_frame *f, unsigned who)
{
	uint64_t *r = (uint64_t *)f;

	for (unsigned i = 0; i < sizeof(*f) / sizeof(*r); i++)
		r[i] = pattern(who, i);
}

/* All but RCX, which is the control input of call and return. */
static void check_gprs(const struct vtl_frame *f, unsigned who)
{
	struct vtl_frame expected;
	const uint64_t *a = (const uint64_t *)f, *e = (const uint64_t *)&expected;

	fill(&expected, who);
	expected.rcx = f->rcx;
	for (unsigned i = 0; i < sizeof(*f) / sizeof(*a); i++)
		CHECK_EQUAL(a[i], e[i]);
}

static void set_special(unsigned who)
{
	write_cr2(pattern(who, 20));
	write_dr0(pattern(who, 21) >> 8);
	write_dr1(pattern(who, 22) >> 8);
	write_dr2(pattern(who, 23) >> 8);
	write_dr3(pattern(who, 24) >> 8);
}

static void check_special(unsigned who)
{
	CHECK_EQUAL(read_cr2(), pattern(who, 20));
	CHECK_EQUAL(read_dr0(), pattern(who, 21) >> 8);
	CHECK_EQUAL(read_dr1(), pattern(who, 22) >> 8);
	CHECK_EQUAL(read_dr2(), pattern(who, 23) >> 8);
	CHECK_EQUAL(read_dr3(), pattern(who, 24) >> 8);
}

static void xsetbv(uint64_t value)
{
	__asm__ volatile("xsetbv" : : "c"(0), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

/*
 * XCR0 by its effect: CPUID tells the size of the XSAVE area for what is enabled in it. (Reading it
 * needs an instruction KVM does not emulate and some hosts do not virtualize.)
 */
static bool avx_is_on(void)
{
	return cpuid(0xd).ebx > 576;
}

/*
 * Whether AVX is there, and KVM learns of changes of XCR0: QEMU's emulation of SVM does not tell.
 */
static bool avx_works;

static void find_avx(void)
{
	uint32_t needed = CPUID_XSAVE | CPUID_AVX;

	if ((cpuid(1).ecx & needed) != needed)
		return;
	write_cr4(read_cr4() | CR4_OSXSAVE);
	xsetbv(XCR0_X87 | XCR0_SSE | XCR0_AVX);
	avx_works = avx_is_on();
	if (!avx_works)
		print("XCR0 and AVX are left out: the host does not virtualize XSETBV\n");
}

#define EACH_VECTOR(op)                                                                         \
	op(0) op(1) op(2) op(3) op(4) op(5) op(6) op(7) op(8) op(9) op(10) op(11) op(12) op(13) \
		op(14) op(15)
#define LOAD_XMM(n)  "movups " #n "*32(%0), %%xmm" #n "\n\t"
#define STORE_XMM(n) "movups %%xmm" #n ", " #n "*32(%0)\n\t"
#define LOAD_YMM(n)  "vmovups " #n "*32(%0), %%ymm" #n "\n\t"
#define STORE_YMM(n) "vmovups %%ymm" #n ", " #n "*32(%0)\n\t"

/*
 * Vectors are handled at CPL3, where every KVM runs the processor's own instructions. The
 * undefined instruction at the end comes back from there.
 */
static uint8_t vectors[BYTES_OF_16_VECTORS];

static void load_xmm(void)
{
	__asm__ volatile(EACH_VECTOR(LOAD_XMM) "ud2" : : "r"(vectors) : "memory");
}

static void store_xmm(void)
{
	__asm__ volatile(EACH_VECTOR(STORE_XMM) "ud2" : : "r"(vectors) : "memory");
}

static void load_ymm(void)
{
	__asm__ volatile(EACH_VECTOR(LOAD_YMM) "ud2" : : "r"(vectors) : "memory");
}

static void store_ymm(void)
{
	__asm__ volatile(EACH_VECTOR(STORE_YMM) "ud2" : : "r"(vectors) : "memory");
}

static void at_cpl3(void (*fn)(void))
{
	CHECK_EQUAL(trap_try(trap_user, fn, NULL), TRAP_UD);
}

static void fill_vectors(uint8_t *bytes, unsigned who, bool wide)
{
	for (unsigned i = 0; i < BYTES_OF_16_VECTORS; i++)
		bytes[i] = wide || i % 32 < 16 ? (uint8_t)(i * 7 + who * 13 + 1) : 0;
}

static void set_vectors(unsigned who)
{
	fill_vectors(vectors, who, avx_works);
	at_cpl3(avx_works ? load_ymm : load_xmm);
}

static void check_vectors(unsigned who)
{
	uint8_t expected[BYTES_OF_16_VECTORS];

	memset(vectors, 0, sizeof(vectors));
	fill_vectors(expected, who, avx_works);
	at_cpl3(avx_works ? store_ymm : store_xmm);
	CHECK(memcmp(vectors, expected, sizeof(vectors)) == 0);
}

void vtl_on_start(void)
{
	if (avx_works)
		write_cr4(read_cr4() | CR4_OSXSAVE);
}

void vtl_on_call(struct vtl_frame *f)
{
	check_gprs(f, 0);
	check_special(0);
	if (avx_works)
		CHECK(avx_is_on());
	check_vectors(0);
	fill(f, 1);
	set_special(1);
	set_vectors(1);
	if (avx_works)
		xsetbv(XCR0_X87 | XCR0_SSE);
}

int guest_main(void)
{
	struct vtl_frame f;

	find_avx();
	vtl_begin(&vtl_own_image);
	for (int round = 0; round < 3; round++) {
		if (avx_works)
			xsetbv(XCR0_X87 | XCR0_SSE | XCR0_AVX);
		fill(&f, 0);
		f.rcx = 0;
		set_special(0);
		set_vectors(0);
		vtl_call(&f);
		check_gprs(&f, 1);
		check_special(1);
		if (avx_works) {
			CHECK(!avx_is_on());
			xsetbv(XCR0_X87 | XCR0_SSE | XCR0_AVX);
		}
		check_vectors(1);
	}
	return 0;
}
