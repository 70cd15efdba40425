/* SPDX-License-Identifier: MIT */
/* The calls of hv.h. Input and output are built in one page, which hypercalls must not cross. */
#include "console.h"
#include "cpu.h"
#include "guest.h"
#include "hv.h"

#define LEAF_INTERFACE	    0x40000001
#define LEAF_FEATURES	    0x40000003
#define SIGNATURE	    0x31237648 /* "Hv#1" */
#define ACCESS_VSM	    (1u << 16)
#define ACCESS_VP_REGISTERS (1u << 17)
#define HYPERVISOR_PRESENT  (1u << 31)

/* Open source, OS type 0xff, version 1: TLFS "Reporting the Guest OS Identity". */
#define GUEST_OS_ID	   (UINT64_C(1) << 63 | UINT64_C(0xff) << 56 | UINT64_C(1) << 16)

#define PENDING_EXCEPTION  1
#define PENDING_ERROR_CODE (1 << 8)

static union {
	struct hv_vp_register reg;
	struct hv_protection protection;
	uint8_t bytes[PAGE_SIZE];
} input PAGE_ALIGNED;
static uint64_t output[PAGE_SIZE / sizeof(uint64_t)] PAGE_ALIGNED;

uint8_t hv_page[4096] PAGE_ALIGNED;
void *hv_call_entry, *hv_vtl_call_entry, *hv_vtl_return_entry;

void hv_require_vsm(void)
{
	uint32_t needed = ACCESS_VSM | ACCESS_VP_REGISTERS;

	if (!(cpuid(1).ecx & HYPERVISOR_PRESENT) || cpuid(LEAF_INTERFACE).eax != SIGNATURE)
		print("there is no Hyper-V interface here: nothing to show\n");
	else if ((cpuid(LEAF_FEATURES).ebx & needed) != needed)
		print("the hypervisor does not let this guest use Virtual Secure Mode\n");
	else
		return;
	guest_exit(GUEST_EXIT_NO_VSM);
}

void hv_setup(void)
{
	uint64_t offsets = 0;

	wrmsr(HV_MSR_GUEST_OS_ID, GUEST_OS_ID);
	wrmsr(HV_MSR_HYPERCALL, (uint64_t)hv_page | HV_ENABLE);
	hv_call_entry = hv_page;
	CHECK_EQUAL(hv_get_register(HV_OWN_VTL, HV_REGISTER_CODE_OFFSETS, &offsets), HV_SUCCESS);
	hv_vtl_call_entry = hv_page + (offsets & 0xfff);
	hv_vtl_return_entry = hv_page + (offsets >> 12 & 0xfff);
}

uint64_t hv_call(uint64_t control, uint64_t in, uint64_t out)
{
	register uint64_t r8 __asm__("r8") = out;
	uint64_t result;

	__asm__ volatile("call *%[entry]"
			 : "=a"(result), "+c"(control), "+d"(in), "+r"(r8)
			 : [entry] "m"(hv_call_entry)
			 : "memory", "cc", "r9", "r10", "r11");
	return result;
}

static void prepare_register(uint32_t vp, uint8_t vtl, uint32_t name)
{
	input.reg = (struct hv_vp_register){
		.partition = HV_PARTITION_SELF, .vp = vp, .vtl = vtl, .name = name};
}

uint16_t hv_get_vp_register(uint32_t vp, uint8_t vtl, uint32_t name, uint64_t *value)
{
	uint64_t result;

	prepare_register(vp, vtl, name);
	result = hv_call(HV_GET_VP_REGISTERS | HV_REPS(1), (uint64_t)&input, (uint64_t)output);
	if (HV_STATUS(result) == HV_SUCCESS)
		*value = output[0];
	return HV_STATUS(result);
}

uint16_t hv_set_vp_register(uint32_t vp, uint8_t vtl, uint32_t name, uint64_t value)
{
	prepare_register(vp, vtl, name);
	input.reg.value[0] = value;
	return HV_STATUS(hv_call(HV_SET_VP_REGISTERS | HV_REPS(1), (uint64_t)&input, 0));
}

uint16_t hv_get_register(uint8_t vtl, uint32_t name, uint64_t *value)
{
	return hv_get_vp_register(HV_VP_SELF, vtl, name, value);
}

uint16_t hv_set_register(uint8_t vtl, uint32_t name, uint64_t value)
{
	return hv_set_vp_register(HV_VP_SELF, vtl, name, value);
}

uint16_t hv_inject(uint8_t vtl, uint8_t vector)
{
	return hv_set_register(vtl, HV_REGISTER_PENDING_EVENT,
			       PENDING_EXCEPTION | PENDING_ERROR_CODE | (uint64_t)vector << 16);
}

void hv_protections_on(void)
{
	uint64_t config = HV_CONFIG_PROTECTION | HV_CONFIG_DEFAULT_MASK(HV_RWX);

	CHECK_EQUAL(hv_set_register(HV_OWN_VTL, HV_REGISTER_PARTITION_CFG, config), HV_SUCCESS);
}

static uint64_t protect_some(uint8_t vtl, uint64_t first, size_t count, uint32_t mask)
{
	input.protection =
		(struct hv_protection){.partition = HV_PARTITION_SELF, .mask = mask, .vtl = vtl};
	for (size_t i = 0; i < count; i++)
		input.protection.pages[i] = first + i;
	return hv_call(HV_MODIFY_PROTECTION_MASK | HV_REPS(count), (uint64_t)&input, 0);
}

uint64_t hv_protect_from(uint8_t vtl, const void *gpa, size_t count, uint32_t mask)
{
	uint64_t first = (uint64_t)gpa / PAGE_SIZE;
	uint64_t result = 0;

	while (count && HV_STATUS(result) == HV_SUCCESS) {
		size_t n = count < HV_PROTECTION_PAGES ? count : HV_PROTECTION_PAGES;

		result = protect_some(vtl, first, n, mask);
		first += n;
		count -= n;
	}
	return result;
}

uint64_t hv_protect(const void *gpa, size_t count, uint32_t mask)
{
	return hv_protect_from(HV_VTL(0), gpa, count, mask);
}
