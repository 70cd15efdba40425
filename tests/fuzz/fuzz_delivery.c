/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables, TSS, stack, page tables, code and registers that a hostile guest chooses, and
 * limits of the higher VTLs: who is told of a delivery that KVM gave up, of a descriptor's load, of
 * an interrupt on its way (intercept/failure.c, load.c, selectors.c, deliver.c, locate.c).
 *
 * Checked: nothing is read that the VTL may not read, and not much; memory stays as it is; what is
 * told is an access that the VTL named forbids, of memory there is, at the GVA it is made at; what
 * a step would open the limits allow; what is queued KVM takes; in the plain case what is told is
 * what is closed (naive_delivery.h). While it is looked at, another VP may change page tables.
 */
#include "delivery_guest.h"

/* --- the reads, counted and checked --- */

int __real_host_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len);
int __wrap_host_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len);
int __real_guest_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
		      enum mem_access access, bool user, struct access_fault *fault);
int __wrap_guest_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
		      enum mem_access access, bool user, struct access_fault *fault);

static unsigned reads;

/* Another VP at work: VTL0's leaf table, in which it changes an entry. */
static struct {
	uint8_t *table;
	unsigned at;
	uint64_t page, to;
} race;

static void count_read(void)
{
	const uint64_t entry = race.to << 12 | 0x67;

	if (++reads == race.at)
		memcpy(race.table + 8 * race.page, &entry, sizeof(entry));
}

int __wrap_host_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len)
{
	uint8_t setter;

	count_read();
	for (uint64_t page = gpa_page(gpa); len && page <= (gpa.addr + len - 1) >> 12; page++)
		require(memory_allows(m, vtl, page, MEM_READ, false, &setter) || !setter);
	return __real_host_read(m, vtl, gpa, buf, len);
}

int __wrap_guest_read(const struct memory *m, unsigned vtl, gpa_t gpa, void *buf, size_t len,
		      enum mem_access access, bool user, struct access_fault *fault)
{
	count_read();
	return __real_guest_read(m, vtl, gpa, buf, len, access, user, fault);
}

/* --- what has to hold --- */

static bool allows(const struct target *t, uint64_t page, enum mem_access access, uint8_t *setter)
{
	const struct kvm_sregs *s = fake_vcpu_sregs(t->fake, vcpu_active(t->vp)->cpu.fd);

	return memory_allows(&t->p->memory, t->vp->active_vtl, page, access, s->ss.dpl == 3,
			     setter);
}

/* The GVA leads to the GPA; where the walk itself was caught, through it. */
static void check_gva(const struct target *t, const struct violation *v)
{
	const struct kvm_sregs *s = fake_vcpu_sregs(t->fake, vcpu_active(t->vp)->cpu.fd);
	struct access_fault fault;
	struct walk_result result;
	bool met = false;
	int r = walk_look(&t->p->memory, t->vp->active_vtl, s, v->gva, &result, &fault);

	if (!v->walking) {
		require(!r && result.gpa.addr == v->gpa.addr);
		return;
	}
	require(v->access != MEM_EXECUTE);
	for (unsigned i = 0; i < result.table_count; i++)
		met |= result.tables[i].entry.addr == v->gpa.addr;
	require(met);
}

/* What is told is forbidden by the VTL it is told to. */
static void check_told(const struct target *t, const struct violation *v)
{
	uint8_t setter = 0;

	require(v->setter > t->vp->active_vtl && v->setter < VTLS);
	require(!v->overlay && !v->allowed_here && !v->open_count);
	if (v->gva_valid)
		check_gva(t, v);
	/* Laid at the door of the lowest: an access that cannot be told, of the code page. */
	if (!v->gva_valid && v->access == MEM_READ &&
	    (allows(t, gpa_page(v->gpa), MEM_READ, &setter) || setter != v->setter)) {
		require(v->setter == memory_lowest_setter(&t->p->memory, t->vp->active_vtl));
		require(!gpa_offset(v->gpa));
		return;
	}
	require(gpa_page(v->gpa) < PAGES);
	require(!allows(t, gpa_page(v->gpa), v->access, &setter) && setter == v->setter);
}

/* The bytes are those at RIP, and the VTL could fetch them. */
static void check_bytes(const struct target *t, const struct violation *v)
{
	static const uint8_t none[sizeof(v->insn_bytes)];
	const int fd = vcpu_active(t->vp)->cpu.fd;
	const struct kvm_sregs *s = fake_vcpu_sregs(t->fake, fd);
	uint8_t bytes[INSN_MAX];
	size_t got;

	require(v->insn_count == v->insn_length && v->insn_length <= INSN_MAX);
	require(!memcmp(v->insn_bytes + v->insn_count, none, sizeof(none) - v->insn_count));
	walk_fetch(&t->p->memory, t->vp->active_vtl, s,
		   cpu_linear_rip(s, fake_vcpu_regs(t->fake, fd)->rip), bytes, v->insn_count, &got,
		   NULL);
	require(got == v->insn_count && !memcmp(bytes, v->insn_bytes, got));
}

/*
 * Pages that a step opens. Read-only ones for writing are tables, which are told apart in a step.
 */
static void check_open(const struct target *t, const struct violation *v)
{
	require(v->open_count && v->open_count <= VIOLATION_PAGES);
	require(memory_lowest_setter(&t->p->memory, t->vp->active_vtl));
	for (unsigned i = 0; i < v->open_count; i++) {
		require(v->open[i].page < PAGES);
		require(allows(t, v->open[i].page, MEM_READ, NULL));
		for (unsigned j = 0; j < i; j++)
			require(v->open[i].page != v->open[j].page);
	}
}

static void check_message(const struct target *t, const struct violation *v)
{
	const int fd = vcpu_active(t->vp)->cpu.fd;
	struct hv_memory_intercept m;
	struct hv_message message;

	intercept_message(&message, 0, t->vp->active_vtl, fake_vcpu_regs(t->fake, fd),
			  fake_vcpu_sregs(t->fake, fd), v);
	require(message.payload_size == sizeof(m));
	memcpy(&m, message.payload, sizeof(m));
	require(m.gpa == v->gpa.addr && (v->gva_valid || (!m.gva && !m.access_info)));
}

static void check_events(struct target *t, const struct violation *v,
			 const struct kvm_vcpu_events *before)
{
	struct vtl_cpu *cpu = &vcpu_active(t->vp)->cpu;
	const struct kvm_vcpu_events *after = fake_vcpu_events(t->fake, cpu->fd);

	require(!vtl_cpu_flush(cpu));
	if (!violation_found(v))
		require(!memcmp(before, after, sizeof(*before)));
	/* Interrupts and NMIs are where they were. */
	require(before->interrupt.injected == after->interrupt.injected);
	require(before->interrupt.nr == after->interrupt.nr);
	require(before->nmi.injected == after->nmi.injected);
}

static void check(struct target *t, const struct violation *v)
{
	require(!!v->setter + v->overlay + v->served + v->allowed_here <= 1);
	check_bytes(t, v);
	if (v->setter) {
		check_told(t, v);
		check_message(t, v);
	}
	if (v->allowed_here)
		check_open(t, v);
}

/* Masks as the input has them, the last one for a page. */
static void get_masks(const struct input *in, uint8_t masks[VTLS][VTLS][PAGES])
{
	memset(masks, PROT_ALL, sizeof(masks[0]) * VTLS);
	for (unsigned i = 0; i < in->limit_count % (LIMITS + 1u); i++) {
		const struct limit *l = &in->limits[i];
		bool two = l->who & 1;

		masks[two ? 2 : 1][two ? l->who >> 1 & 1 : 0][l->page % PAGES] =
			l->mask & PROT_R ? l->mask & PROT_ALL : 0;
	}
}

/* Not only is what is told true: what is true is told. */
static void check_complete(const struct target *t, const struct input *in,
			   const struct kvm_vcpu_events *events, const struct violation *v)
{
	const int fd = vcpu_active(t->vp)->cpu.fd;
	const struct kvm_sregs *s = fake_vcpu_sregs(t->fake, fd);
	uint8_t masks[VTLS][VTLS][PAGES];
	struct naive n = {.mem = t->mem, .vtl = t->vp->active_vtl, .masks = masks};

	if (in->mode % MODES != LONG || in->how % HOWS != FAULTED || !events->exception.injected ||
	    in->changed & CHANGED_MODE)
		return;
	get_masks(in, masks);
	naive_delivery(&n, fake_vcpu_regs(t->fake, fd), s, events->exception.nr,
		       events->exception.has_error_code);
	if (n.unknown)
		return;
	require(v->setter == n.setter);
	if (!n.setter)
		return;
	require(v->gpa.addr == n.gpa && v->access == (n.write ? MEM_WRITE : MEM_READ));
}

/* --- one input --- */

static void look(struct target *t, const struct input *in)
{
	static uint8_t before[SIZE];
	const int fd = vcpu_active(t->vp)->cpu.fd;
	struct kvm_vcpu_events events = *fake_vcpu_events(t->fake, fd);
	struct kvm_regs regs = *fake_vcpu_regs(t->fake, fd);
	struct violation v = {0};

	memcpy(before, t->mem, SIZE);
	reads = 0;
	race.table = t->mem + (TABLE << 12);
	race.at = in->race_at % 64;
	race.page = in->race_page % PAGES;
	race.to = in->limits[in->race_to % LIMITS].page % PAGES;
	if (in->how % HOWS == AHEAD) {
		t->p->emulated = vcpu_active(t->vp)->ahead = true;
		require(!violation_ahead(t->vp, &v));
		require(!violation_found(&v) || (v.delivers && events.interrupt.injected));
	} else {
		require(!intercept_locate(t->vp, &v));
	}
	require(reads <= READS_MAX);
	check_events(t, &v, &events);
	/* The tables are not what they were when it was found. */
	if (race.at && reads >= race.at)
		return;
	race.at = 0;
	require(!memcmp(before, t->mem, SIZE));
	check(t, &v);
	check_complete(t, in, &events, &v);
	require(!memcmp(&regs, fake_vcpu_regs(t->fake, fd), sizeof(regs)));
}

static void start(struct target *t, unsigned which)
{
	struct vsm_partition_options o = {
		.size = sizeof(o),
		.max_vtl = VTLS - 1,
		.exec_policy = which & 1 ? VSM_EXEC_RELAXED : VSM_EXEC_STRICT,
		.enforcement = which & 2 ? VSM_ENFORCEMENT_SLOTS : VSM_ENFORCEMENT_ALIAS,
	};
	struct vsm_memory_region r = {.size = sizeof(r), .bytes = SIZE};
	struct vsm_vcpu_options v = {.size = sizeof(v)};
	const struct kvm_host *h;
	void *mem;

	t->fake = fake_kvm_new();
	h = t->host = fake_kvm_host(t->fake);
	o.kvm_fd = h->ops->open_device(h, "/dev/kvm");
	o.vm_fd = h->ops->create_vm(h, o.kvm_fd);
	r.fd = h->ops->create_memfd(h, "fuzz", SIZE);
	require(!h->ops->map_memory(h, r.fd, 0, SIZE, KVM_MAP_READ_WRITE, NULL, &mem));
	t->mem = mem;
	require(!partition_create_on(h, &o, &t->p));
	require(!vsm_partition_map_memory(t->p, &r));
	require(!vsm_vcpu_create(t->p, &v, &t->vp));
	for (unsigned setter = 1; setter < VTLS; setter++)
		require(!memory_limit_default(&t->p->memory, setter, PROT_ALL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* Making a partition takes longer than what is tested: there is one of each kind. */
	static struct target targets[4];
	struct input in = {0};
	size_t head = size < sizeof(in) ? size : sizeof(in);
	struct target *t;
	enum mode mode;

	memcpy(&in, data, head);
	t = &targets[in.partition & 3];
	if (!t->p)
		start(t, in.partition & 3);
	vcpu_activate(t->vp, in.vtl % VTLS);
	mode = in.mode % MODES;
	put_template(t, mode);
	set_registers(t, &in, mode);
	patch(t, data + head, size - head);
	set_events(t, &in);
	set_exit(t, &in);
	limit(t, &in, true);
	look(t, &in);
	limit(t, &in, false);
	return 0;
}

/* --- what is tried first, every time --- */

int LLVMFuzzerInitialize(int *argc, char ***argv);

/*
 * With a gate at the end of the IDT's page, which a vector may be made to have; for half of them
 * the code segment has not been accessed yet.
 */
static void run(const struct input *in)
{
	static const uint8_t patches[] = {
		0xf8, IDT << 4 | 0xf, 8, 0,    CODE << 4, 8, 0, 0, 0x8e, 0, 0, /* the gate */
		0x0d, GDT << 4,	      1, 0x9a, /* the segment's type */
	};
	uint8_t data[sizeof(*in) + sizeof(patches)];

	memcpy(data, in, sizeof(*in));
	memcpy(data + sizeof(*in), patches, sizeof(patches));
	LLVMFuzzerTestOneInput(data, sizeof(data) - (in->exception & 1 ? 0 : 4));
}

/* Everything as it is, or a structure that crosses a page: the gate, the TSS's slot, the frame. */
static void run_layouts(struct input *in)
{
	const uint64_t slot = in->exception & 1 ? 0x24 : 4;

	in->changed = 0;
	run(in);
	in->changed = 1 << 8;
	in->values[8] = (IDT << 12) + 0xff8 - 16u * in->exception;
	run(in);
	in->changed = 1 << 11;
	in->values[11] = (TSS << 12) + 0xffc - slot;
	run(in);
	in->changed = 1 << 1;
	in->values[1] = (STACK << 12) + 16;
	run(in);
}

/* Deliveries from both rings, to both kinds of stacks, with each page closed or read-only. */
static void run_deliveries(void)
{
	struct input in = {.mode = LONG, .how = FAULTED, .limit_count = 1};

	for (unsigned i = 0; i < 16 * PAGES; i++) {
		in.exception = i & 1 ? 13 : 6;
		in.cpl = i & 2 ? 3 : 0;
		in.events = i & 4 ? 5 : 1;
		in.limits[0].mask = i & 8 ? PROT_R : 0;
		in.limits[0].page = (uint8_t)(i / 16);
		run_layouts(&in);
	}
}

/* Instructions whose pages turn into a closed one at each moment. */
static void run_races(void)
{
	static const uint8_t pages[] = {IDT, GDT, TSS, CODE, DATA, STACK};
	struct input in = {.mode = LONG, .how = FAULTED, .limit_count = 1};

	in.limits[0].page = PAGES - 1;
	for (unsigned i = 0; i < INSTRUCTIONS * sizeof(pages); i++) {
		in.insn = (uint8_t)(i / sizeof(pages));
		in.race_page = pages[i % sizeof(pages)];
		in.race_at = 0;
		do {
			in.race_at++;
			run(&in);
		} while (reads >= in.race_at && in.race_at < 63);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc, (void)argv;
	run_deliveries();
	run_races();
	return 0;
}
