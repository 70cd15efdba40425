/* SPDX-License-Identifier: MIT */
/* Any bytes as an instruction, forwards and backwards, in any mode and with any registers. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "intercept/intercept.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	uint8_t mode;
	uint8_t code_size, store_size;
	uint64_t gva;
	struct kvm_regs regs;
	uint8_t code[32], store[80];
};

static void require(int condition)
{
	if (!condition)
		abort();
}

static int place(void *ctx, gva_t gva, size_t len)
{
	const struct input *in = ctx;

	/* Half the inputs are anywhere the instruction stores to. */
	if (in->mode & 0x80)
		return len >= in->store_size ? 0 : -1;
	return gva.addr == in->gva ? (int)(in->gva & 7) : -1;
}

static struct kvm_sregs sregs_of(uint8_t mode)
{
	struct kvm_sregs s = {.cr0 = mode & 1, .efer = mode & 2 ? 0x500 : 0};

	s.cs.l = (mode >> 2) & 1;
	s.cs.db = (mode >> 3) & 1;
	s.ss.db = (mode >> 4) & 1;
	s.ds.base = 0x1000;
	s.es.base = 0x2000;
	s.fs.base = 0x3000;
	s.gs.base = 0x4000;
	return s;
}

static void check(const struct insn *insn, const uint8_t *bytes)
{
	require(insn->length >= 1 && insn->length <= INSN_MAX);
	require(insn->access_count <= INSN_ACCESSES);
	require(insn->selector_count <= INSN_SELECTORS);
	require(!memcmp(insn->bytes, bytes, insn->length));
	for (unsigned i = 0; i < insn->access_count; i++)
		require(insn->accesses[i].size && insn->accesses[i].access <= MEM_WRITE);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {0};
	struct kvm_sregs sregs;
	struct insn_context c = {.regs = &in.regs, .sregs = &sregs};
	struct retired_query q = {.after = &c, .data = in.store, .place = place, .ctx = &in};
	struct kvm_regs before;
	struct insn insn;

	memcpy(&in, data, size < sizeof(in) ? size : sizeof(in));
	in.code_size = (uint8_t)(in.code_size % (INSN_MAX + 1));
	in.store_size = (uint8_t)(1 + in.store_size % sizeof(in.store));
	sregs = sregs_of(in.mode);
	q.size = in.store_size;
	if (!insn_decode(&c, in.code, in.code_size, &insn))
		check(&insn, in.code);
	for (int where = RETIRED_ENDS; where <= RETIRED_REPEATS; where++)
		if (!insn_find_retired_store(&q, (enum retired_where)where, in.code, in.code_size,
					     &insn, &before))
			require(insn.length >= 1 && insn.length <= in.code_size);
	return 0;
}
