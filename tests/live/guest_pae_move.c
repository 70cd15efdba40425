/* SPDX-License-Identifier: MIT */
/*
 * A VTL0 in PAE mode moves to CR3 what VTL1 has closed to it, or what it may read and the host has
 * closed for its execute permission. Where the processor reads the four entries with each walk
 * (AMD's with nested paging), VTL1 is told at the next instruction, and decides. Where KVM reads
 * them when CR3 is loaded (the word `loads`: no nested paging), the load of a closed page is #GP:
 * KVM asks nobody. Either way no entry of a closed page is used, and once VTL1 has opened it CR3 is
 * loaded with those that are there.
 */
#include "guest.h"
#include "pae_move.h"
#include "vtl.h"

#define PRESENT	    1
#define TABLE	    3	 /* present, writable */
#define LARGE	    0x83 /* present, writable, 2 MiB */
#define LARGE_BYTES 0x200000u

enum answer {
	OPENS,
	PUTS_BACK, /* the old CR3 */
};

/* What VTL0 may do with the new pointers, and what VTL1 answers when it is told. */
struct row {
	uint32_t mask;
	enum answer answer;
};

/*
 * A page that may only be read: QEMU 7.2 marks the entries it walks as accessed, which no processor
 * does.
 */
static const struct row rows[] = {
	{HV_RWX, OPENS},	   {HV_R | HV_W, OPENS},  {HV_NO_ACCESS, OPENS},
	{HV_NO_ACCESS, PUTS_BACK}, {HV_NO_ACCESS, OPENS}, {HV_RWX, OPENS},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

struct pae_move pae_move;

/* By CR3: at PAE_WINDOW each shows a page of its own. */
static uint64_t pointers[2][512] PAGE_ALIGNED, last_directory[2][512] PAGE_ALIGNED,
	table[2][512] PAGE_ALIGNED;
static uint64_t directories[3][512] PAGE_ALIGNED;
static volatile uint32_t windows[2][1024] PAGE_ALIGNED;

static void make_tables(void)
{
	for (unsigned i = 0; i < 3; i++)
		for (unsigned j = 0; j < 512; j++)
			directories[i][j] = (uint64_t)(512 * i + j) * LARGE_BYTES | LARGE;
	for (unsigned i = 0; i < 2; i++) {
		for (unsigned j = 0; j < 3; j++)
			pointers[i][j] = (uint64_t)directories[j] | PRESENT;
		pointers[i][3] = (uint64_t)last_directory[i] | PRESENT;
		last_directory[i][0] = (uint64_t)table[i] | TABLE;
		table[i][0] = (uint64_t)windows[i] | TABLE;
		windows[i][0] = i;
	}
}

/* --- VTL1 --- */

static unsigned next_row, told;
static struct hv_intercept message;
static bool loads;

void vtl_on_start(void)
{
	loads = guest_has_option("loads");
	hv_protections_on();
}

static void restrict_pointers(uint32_t mask)
{
	CHECK_EQUAL(HV_STATUS(hv_protect(pointers[1], 1, mask)), HV_SUCCESS);
}

/* The walk for the instruction behind the load needed the entry of where the code is. */
static void check_told(void)
{
	CHECK_EQUAL(told, 1);
	CHECK_EQUAL(message.access, HV_ACCESS_READ);
	CHECK_EQUAL(message.gpa, (uint64_t)&pointers[1][0]);
	CHECK_EQUAL(message.rip, (uint64_t)pae_behind);
	CHECK_EQUAL(pae_move.faults, 0);
}

/* CR3, and what is seen through it, were as before. */
static void check_refused(void)
{
	CHECK_EQUAL(told, 0);
	CHECK_EQUAL(pae_move.faults, 1);
	CHECK_EQUAL(pae_move.error_code, 0);
	CHECK_EQUAL(pae_move.eip, (uint64_t)pae_load);
	CHECK_EQUAL(pae_move.fault_cr3, (uint64_t)pointers[0]);
	CHECK_EQUAL(pae_move.fault_seen, 0);
}

/* For who reads the page: VTL0, or KVM, which finds what the strict policy steps closed, too. */
static bool closed(const struct row *r)
{
	return !(r->mask & HV_R) || (loads && !(r->mask & HV_X));
}

static void check(const struct row *r)
{
	unsigned reached = r->answer == OPENS ? 1 : 0;

	if (closed(r) && loads) {
		check_refused();
	} else if (closed(r)) {
		check_told();
	} else {
		CHECK_EQUAL(told, 0);
		CHECK_EQUAL(pae_move.faults, 0);
	}
	CHECK_EQUAL(pae_move.cr3, (uint64_t)pointers[reached]);
	CHECK_EQUAL(pae_move.seen, reached);
}

static void begin(const struct row *r)
{
	told = 0;
	restrict_pointers(r->mask);
	pae_move = (struct pae_move){.home = (uint32_t)(uint64_t)pointers[0],
				     .target = (uint32_t)(uint64_t)pointers[1],
				     .retries = r->answer == OPENS};
}

/*
 * From 32-bit code. It does not go back to 64-bit code: for QEMU's marks KVM could not emulate that
 * MOV to CR0.
 */
void vtl_on_call(struct vtl_frame *f)
{
	if (f->rbx == PAE_OPEN) {
		restrict_pointers(HV_RWX);
		return;
	}
	if (next_row)
		check(&rows[next_row - 1]);
	if (next_row == ROWS)
		guest_exit(0);
	begin(&rows[next_row++]);
}

void vtl_on_intercept(const struct hv_intercept *m)
{
	message = *m;
	told++;
	if (rows[next_row - 1].answer == OPENS)
		restrict_pointers(HV_RWX);
	else
		CHECK_EQUAL(hv_set_register(HV_VTL(0), HV_REGISTER_CR3, (uint64_t)pointers[0]),
			    HV_SUCCESS);
}

/* --- VTL0 --- */

int guest_main(void)
{
	make_tables();
	vtl_begin(&vtl_own_image);
	pae_run(pointers[0]);
}
