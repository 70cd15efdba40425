/* SPDX-License-Identifier: MIT */
/* Registers behind ioctls of their own: debug registers, XCR0, x87 and SSE, MSRs; and the synthetic
 * MSRs the library keeps itself. */
#include "registers/places.h"

#include <errno.h>
#include <string.h>

#include "msr/shared_msr.h"
#include "msr/synthetic.h"
#include "registers/fpu.h"
#include "registers/msr.h"

static const struct kvm_host *host_of(const struct register_access *a)
{
	return a->target->partition->host;
}

/* --- debug registers --- */

static enum hv_status get_debug(const struct register_access *a, struct hv_register_value *value)
{
	struct kvm_debugregs d;
	int r = host_of(a)->ops->get_debugregs(host_of(a), register_holder(a)->cpu.fd, &d);

	if (!r)
		memcpy(&value->low, (uint8_t *)&d + a->where, sizeof(value->low));
	return register_status(a, r);
}

static enum hv_status set_debug(const struct register_access *a,
				const struct hv_register_value *value)
{
	const struct kvm_host *h = host_of(a);
	struct vp_vtl *v = register_holder(a);
	struct kvm_debugregs d;
	int r = h->ops->get_debugregs(h, v->cpu.fd, &d);

	if (r)
		return register_status(a, r);
	memcpy((uint8_t *)&d + a->where, &value->low, sizeof(value->low));
	/* The switch code remembers what vCPUs were left with. */
	v->debugregs_known = false;
	return register_status(a, h->ops->set_debugregs(h, v->cpu.fd, &d));
}

const struct register_place place_debug = {.get = get_debug, .set = set_debug};

/* --- XCR0 --- */

static struct kvm_xcr *find_xcr0(struct kvm_xcrs *xcrs)
{
	for (uint32_t i = 0; i < xcrs->nr_xcrs && i < KVM_MAX_XCRS; i++)
		if (xcrs->xcrs[i].xcr == 0)
			return &xcrs->xcrs[i];
	return NULL;
}

static enum hv_status get_xcr0(const struct register_access *a, struct hv_register_value *value)
{
	struct kvm_xcrs xcrs = {0};
	const struct kvm_xcr *xcr0;
	int r = host_of(a)->ops->get_xcrs(host_of(a), register_holder(a)->cpu.fd, &xcrs);

	xcr0 = find_xcr0(&xcrs);
	if (r || !xcr0)
		return register_status(a, r ? r : -ENOENT);
	value->low = xcr0->value;
	return HV_SUCCESS;
}

static enum hv_status set_xcr0(const struct register_access *a,
			       const struct hv_register_value *value)
{
	const struct kvm_host *h = host_of(a);
	struct vp_vtl *v = register_holder(a);
	struct kvm_xcrs xcrs = {.nr_xcrs = 1, .xcrs[0] = {.xcr = 0, .value = value->low}};

	v->xcr0_known = false;
	return register_status(a, h->ops->set_xcrs(h, v->cpu.fd, &xcrs));
}

const struct register_place place_xcr0 = {.get = get_xcr0, .set = set_xcr0};

/* --- x87 and SSE: 16 bytes of the XSAVE image's legacy region, in the TLFS's own layout --- */

static enum hv_status get_fp(const struct register_access *a, struct hv_register_value *value)
{
	return register_status(a, fpu_read(a->target, a->where, value, sizeof(*value)));
}

static enum hv_status set_fp(const struct register_access *a, const struct hv_register_value *value)
{
	return register_status(a, fpu_write(a->target, a->where, value, sizeof(*value)));
}

const struct register_place place_fp = {.wide = true, .get = get_fp, .set = set_fp};

#define ST_HIGH UINT64_C(0xffff) /* sign and exponent */

static enum hv_status get_st(const struct register_access *a, struct hv_register_value *value)
{
	enum hv_status status = get_fp(a, value);

	value->high &= ST_HIGH;
	return status;
}

static enum hv_status set_st(const struct register_access *a, const struct hv_register_value *value)
{
	return value->high & ~ST_HIGH ? HV_INVALID_REGISTER_VALUE : set_fp(a, value);
}

const struct register_place place_st = {.wide = true, .get = get_st, .set = set_st};

/* --- MSRs --- */

static enum hv_status get_msr(const struct register_access *a, struct hv_register_value *value)
{
	return register_status(a,
			       vtl_cpu_read_msr(&register_holder(a)->cpu, a->where, &value->low));
}

static enum hv_status set_msr(const struct register_access *a,
			      const struct hv_register_value *value)
{
	if (a->shared)
		return register_status(a, shared_msr_write(a->target, a->where, value->low));
	return register_status(a,
			       vtl_cpu_write_msr(&register_holder(a)->cpu, a->where, value->low));
}

const struct register_place place_msr = {.get = get_msr, .set = set_msr};

static enum hv_status get_synthetic(const struct register_access *a,
				    struct hv_register_value *value)
{
	int r = synthetic_read(a->target, a->vtl, a->where, &value->low);

	/* A write-only MSR is no register that could be read. */
	return register_status(a, r == -EINVAL ? -ENOENT : r);
}

static enum hv_status set_synthetic(const struct register_access *a,
				    const struct hv_register_value *value)
{
	return register_status(a, synthetic_write(a->target, a->vtl, a->where, value->low));
}

const struct register_place place_synthetic = {.get = get_synthetic, .set = set_synthetic};
