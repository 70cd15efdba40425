/* SPDX-License-Identifier: MIT */
/* HvCallCheckSparseGpaPageVtlAccess: what higher VTLs leave a VTL to do with pages. */
#include "hypercall/call.h"

#include <string.h>

#include "memory/memory.h"

static const struct {
	prot_t prot;
	enum mem_access access;
	bool user;
} accesses[] = {
	{PROT_R, MEM_READ, false},
	{PROT_W, MEM_WRITE, false},
	{PROT_KX, MEM_EXECUTE, false},
	{PROT_UX, MEM_EXECUTE, true},
};

/* One element's result. The VTL told is that of the first access which is denied. */
static uint64_t check(const struct memory *m, unsigned vtl, uint64_t page, prot_t desired)
{
	uint8_t first = 0;
	uint64_t denied = 0;

	for (size_t i = 0; i < sizeof(accesses) / sizeof(accesses[0]); i++) {
		uint8_t setter = 0;

		if (!(desired & accesses[i].prot) ||
		    memory_allows(m, vtl, page, accesses[i].access, accesses[i].user, &setter) ||
		    !setter)
			continue;
		denied |= accesses[i].prot;
		first = first ? first : setter;
	}
	if (!denied)
		return 0;
	return HV_CHECK_ACCESS_INTERCEPT | denied << HV_CHECK_ACCESS_DENIED_SHIFT |
	       (uint64_t)first << HV_CHECK_ACCESS_VTL_SHIFT;
}

enum hv_status hypercall_check_sparse_gpa_page_vtl_access(struct hypercall_call *c)
{
	struct hv_check_sparse_access in;
	enum hv_status status;
	unsigned vtl;

	memcpy(&in, c->input, sizeof(in));
	status = hypercall_target_partition(in.partition_id);
	if (!status)
		status = hypercall_target_vtl(c, in.target_vtl, &vtl);
	if (status)
		return status;
	if (in.access & ~(uint8_t)PROT_ALL)
		return HV_INVALID_PARAMETER;
	for (; c->rep < c->reps; c->rep++) {
		uint64_t page, result;

		memcpy(&page, hypercall_input_rep(c), sizeof(page));
		if (page >= MEMORY_GPA_PAGES)
			return HV_INVALID_PARAMETER;
		result = check(&c->partition->memory, vtl, page, in.access);
		memcpy(hypercall_output_rep(c), &result, sizeof(result));
	}
	return HV_SUCCESS;
}
