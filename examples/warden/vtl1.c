/* SPDX-License-Identifier: MIT */
/*
 * VTL1 beneath Linux: keeps Linux out of its own memory and from changing the pages it guards. What
 * Linux tries is reported on COM1 and answered with a general protection fault.
 */
#include "console.h"
#include "guest.h"
#include "processors.h"
#include "trap.h"
#include "warden.h"

/* The linker's: VTL1's part of the image. */
extern char image_code[], image_end[];

static bool locked;

static void protect(const char *what, uint64_t from, size_t pages, uint32_t mask)
{
	CHECK_EQUAL(HV_STATUS(hv_protect((void *)from, pages, mask)), HV_SUCCESS);
	print("guards %s at %#lx-%#lx\n", what, from, from + pages * PAGE_SIZE - 1);
}

void vtl_on_start(void)
{
	console_prefix("VTL1: ");
	hv_protections_on();
	protect("itself", (uint64_t)image_code, (size_t)(image_end - image_code) / PAGE_SIZE,
		HV_NO_ACCESS);
}

/* Its own pages are closed altogether: a "guard" would open them. */
static bool is_own(uint64_t page)
{
	return page >= (uint64_t)image_code && page < (uint64_t)image_end;
}

static enum warden_status guard(uint64_t page)
{
	if (page % PAGE_SIZE || is_own(page) ||
	    HV_STATUS(hv_protect((void *)page, 1, HV_R)) != HV_SUCCESS)
		return WARDEN_REFUSED;
	print("guards a page of Linux's at %#lx\n", page);
	return WARDEN_OK;
}

void vtl_on_call(struct vtl_frame *f)
{
	if (!locked && f->rdx == WARDEN_GUARD) {
		f->rdx = guard(f->r8);
	} else if (!locked && f->rdx == WARDEN_LOCK) {
		locked = true;
		f->rdx = WARDEN_OK;
		processors_follow();
	} else {
		f->rdx = WARDEN_REFUSED;
	}
}

void vtl_on_intercept(const struct hv_intercept *m)
{
	static const char *const accesses[] = {"reading", "writing", "executing"};

	print("kept Linux from %s %#lx, at RIP %#lx of processor %u\n",
	      m->access <= HV_ACCESS_EXECUTE ? accesses[m->access] : "touching", m->gpa, m->rip,
	      m->vp_index);
	CHECK_EQUAL(hv_inject(HV_VTL(0), TRAP_GP), HV_SUCCESS);
}
