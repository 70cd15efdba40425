/* SPDX-License-Identifier: MIT */
/* Parses the command line by one table. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "options.h"
#include "say.h"

#define MIB	   (UINT64_C(1) << 20)
#define MEMORY_MIN (2 * MIB)
#define MEMORY_MAX (3072 * MIB) /* what lies above is the APICs' */
#define CONTINUE   (-1)

struct choice {
	const char *word;
	int value;
};

static const struct choice topologies[] = {
	{"single-vm", VSM_TOPOLOGY_SINGLE_VM},
	{"vm-per-vtl", VSM_TOPOLOGY_VM_PER_VTL},
	{NULL, 0},
};
static const struct choice enforcements[] = {
	{"slots", VSM_ENFORCEMENT_SLOTS},
	{"alias", VSM_ENFORCEMENT_ALIAS},
	{NULL, 0},
};
static const struct choice exec_policies[] = {
	{"strict", VSM_EXEC_STRICT},
	{"relaxed", VSM_EXEC_RELAXED},
	{NULL, 0},
};
static const struct choice irqchips[] = {
	{"kernel", true},
	{"user", false},
	{NULL, 0},
};

static const struct choice unsupported_intercepts[] = {
	{"refuse", VSM_UNSUPPORTED_INTERCEPTS_REFUSE},
	{"accept", VSM_UNSUPPORTED_INTERCEPTS_ACCEPT},
	{NULL, 0},
};

static const struct choice switches[] = {
	{"on", true},
	{"off", false},
	{NULL, 0},
};

static const struct choice quirks[] = {
	{"ux-is-execute", VSM_QUIRK_UX_IS_EXECUTE},
	{NULL, 0},
};

struct option_row {
	const char *name, *metavar, *help;
	int (*set)(struct options *o, const struct option_row *row, const char *value);
	const struct choice *choices;
};

static int bad_value(const struct option_row *row, const char *value, const char *wanted)
{
	say("--%s: '%s' is not %s", row->name, value, wanted);
	return STATUS_USAGE;
}

static int choose(const struct option_row *row, const char *value, int *out)
{
	for (const struct choice *c = row->choices; c->word; c++) {
		if (strcmp(c->word, value) == 0) {
			*out = c->value;
			return CONTINUE;
		}
	}
	return bad_value(row, value, row->metavar);
}

static bool parse_number(const char *text, uint64_t max, uint64_t *out, const char **rest)
{
	char *end;
	unsigned long long n;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	n = strtoull(text, &end, 10);
	if (errno || n > max)
		return false;
	*out = n;
	*rest = end;
	return true;
}

static int set_memory(struct options *o, const struct option_row *row, const char *value)
{
	static const char *const wanted = "a size from 2M to 3G, in bytes or with K, M or G";
	const char *rest, *unit;
	uint64_t n;

	if (!parse_number(value, UINT32_MAX, &n, &rest))
		return bad_value(row, value, wanted);
	if (*rest) {
		unit = strchr("KMG", *rest);
		if (!unit || rest[1])
			return bad_value(row, value, wanted);
		n <<= 10 * (unit - "KMG" + 1);
	}
	if (n < MEMORY_MIN || n > MEMORY_MAX || n % 4096)
		return bad_value(row, value, wanted);
	o->memory = n;
	return CONTINUE;
}

static int set_cpus(struct options *o, const struct option_row *row, const char *value)
{
	const char *rest;
	uint64_t n;

	if (!parse_number(value, CPUS_MAX, &n, &rest) || *rest || n == 0)
		return bad_value(row, value, "a number from 1 to 8");
	o->cpus = (unsigned)n;
	return CONTINUE;
}

static int set_max_vtl(struct options *o, const struct option_row *row, const char *value)
{
	const char *rest;
	uint64_t n;

	if (!parse_number(value, 2, &n, &rest) || *rest || n == 0)
		return bad_value(row, value, "1 or 2");
	o->max_vtl = (uint8_t)n;
	return CONTINUE;
}

static int set_max_mappings(struct options *o, const struct option_row *row, const char *value)
{
	const char *rest;
	uint64_t n;

	if (!parse_number(value, UINT32_MAX, &n, &rest) || *rest || n == 0)
		return bad_value(row, value, "a number from 1 to 4294967295");
	o->max_mappings = (uint32_t)n;
	return CONTINUE;
}

static int set_append(struct options *o, const struct option_row *row, const char *value)
{
	(void)row;
	o->append = value;
	return CONTINUE;
}

static int set_kernel(struct options *o, const struct option_row *row, const char *value)
{
	(void)row;
	o->image = value;
	return CONTINUE;
}

static int set_initrd(struct options *o, const struct option_row *row, const char *value)
{
	(void)row;
	o->initrd = value;
	return CONTINUE;
}

static int set_vtl1(struct options *o, const struct option_row *row, const char *value)
{
	(void)row;
	o->vtl1 = value;
	return CONTINUE;
}

static int set_kvm(struct options *o, const struct option_row *row, const char *value)
{
	(void)row;
	o->kvm_path = value;
	return CONTINUE;
}

static int add_module(struct options *o, const struct option_row *row, const char *value)
{
	if (o->module_count == MODULES_MAX) {
		say("--%s: at most %d", row->name, MODULES_MAX);
		return STATUS_USAGE;
	}
	o->modules[o->module_count++] = value;
	return CONTINUE;
}

static int set_topology(struct options *o, const struct option_row *row, const char *value)
{
	int chosen, r = choose(row, value, &chosen);

	if (r == CONTINUE)
		o->topology = (enum vsm_topology)chosen;
	return r;
}

static int set_enforcement(struct options *o, const struct option_row *row, const char *value)
{
	int chosen, r = choose(row, value, &chosen);

	if (r == CONTINUE)
		o->enforcement = (enum vsm_enforcement)chosen;
	return r;
}

static int set_exec(struct options *o, const struct option_row *row, const char *value)
{
	int chosen, r = choose(row, value, &chosen);

	if (r == CONTINUE)
		o->exec_policy = (enum vsm_exec_policy)chosen;
	return r;
}

static int add_quirk(struct options *o, const struct option_row *row, const char *value)
{
	int chosen, r = choose(row, value, &chosen);

	if (r == CONTINUE)
		o->quirks |= (uint64_t)chosen;
	return r;
}

static int set_cr_intercepts(struct options *o, const struct option_row *row, const char *value)
{
	int chosen, r = choose(row, value, &chosen);

	if (r == CONTINUE)
		o->unsupported_intercepts = (enum vsm_unsupported_intercepts)chosen;
	return r;
}

static int set_x2apic(struct options *o, const struct option_row *row, const char *value)
{
	int chosen, r = choose(row, value, &chosen);

	if (r == CONTINUE)
		o->no_x2apic = !chosen;
	return r;
}

static int set_irqchip(struct options *o, const struct option_row *row, const char *value)
{
	int chosen, r = choose(row, value, &chosen);

	if (r == CONTINUE)
		o->kernel_irqchip = chosen;
	return r;
}

static int set_io_uring(struct options *o, const struct option_row *row, const char *value)
{
	int chosen = 0, r = choose(row, value, &chosen);

	if (r == CONTINUE)
		o->no_io_uring = !chosen;
	return r;
}

static int set_intercept_gva(struct options *o, const struct option_row *row, const char *value)
{
	(void)row, (void)value;
	o->intercept_gva = true;
	return CONTINUE;
}

static int set_trace(struct options *o, const struct option_row *row, const char *value)
{
	(void)row, (void)value;
	o->trace = true;
	return CONTINUE;
}

static int set_stats(struct options *o, const struct option_row *row, const char *value)
{
	(void)row, (void)value;
	o->stats = true;
	return CONTINUE;
}

static int set_probe(struct options *o, const struct option_row *row, const char *value)
{
	(void)row, (void)value;
	o->probe = true;
	return CONTINUE;
}

static int show_help(struct options *o, const struct option_row *row, const char *value);

static int show_version(struct options *o, const struct option_row *row, const char *value)
{
	(void)o, (void)row, (void)value;
	puts("vsm-run " VSM_VERSION_STRING);
	return STATUS_OK;
}

static const struct option_row rows[] = {
	{"mem", "SIZE", "guest memory, 2M to 3G (128M)", set_memory, NULL},
	{"smp", "N", "processors, 1 to 8 (1)", set_cpus, NULL},
	{"kernel", "FILE", "the image, for those used to this name", set_kernel, NULL},
	{"initrd", "FILE", "a Linux kernel's initramfs", set_initrd, NULL},
	{"append", "STRING", "a Linux kernel's command line; other images' after their name",
	 set_append, NULL},
	{"vtl1", "FILE", "a payload that runs before Linux and installs VTL1", set_vtl1, NULL},
	{"module", "FILE", "a multiboot module; may be repeated", add_module, NULL},
	{"topology", "single-vm|vm-per-vtl", "where memslots live", set_topology, topologies},
	{"enforcement", "slots|alias", "how protections reach KVM", set_enforcement, enforcements},
	{"exec", "strict|relaxed", "pages that may be used but not run", set_exec, exec_policies},
	{"quirk", "ux-is-execute", "without MBEC, UX alone lets any mode execute", add_quirk,
	 quirks},
	{"max-vtl", "N", "highest VTL the guest may enable, 1 or 2 (1)", set_max_vtl, NULL},
	{"max-mappings", "N",
	 "host mappings that protections may take up (3/4 of vm.max_map_count)", set_max_mappings,
	 NULL},
	{"irqchip", "kernel|user", "VTL0's local APIC: KVM's or libvsm's (user)", set_irqchip,
	 irqchips},
	{"cr-intercepts", "refuse|accept",
	 "a VTL that asks for intercepts KVM cannot give (refuse)", set_cr_intercepts,
	 unsupported_intercepts},
	{"x2apic", "on|off", "x2APIC mode of the local APICs (on)", set_x2apic, switches},
	{"io-uring", "on|off", "the event loop is made of io_uring where the host has it (on)",
	 set_io_uring, switches},
	{"intercept-gva", NULL, "memory intercepts name the guest-virtual address, too",
	 set_intercept_gva, NULL},
	{"kvm", "PATH", "the KVM device (/dev/kvm)", set_kvm, NULL},
	{"trace", NULL, "a line on stderr for each VTL switch, hypercall, intercept", set_trace,
	 NULL},
	{"stats", NULL, "counters on stderr at the end", set_stats, NULL},
	{"probe", NULL, "report what the host's KVM offers, run nothing", set_probe, NULL},
	{"help", NULL, "this text", show_help, NULL},
	{"version", NULL, "the version", show_version, NULL},
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static int show_help(struct options *o, const struct option_row *row, const char *value)
{
	char name[64];

	(void)o, (void)row, (void)value;
	puts("usage: vsm-run [OPTION]... IMAGE\n\n"
	     "Runs a Linux bzImage, a multiboot (version 1) or a static 64-bit ELF image on KVM, "
	     "with\n"
	     "Hyper-V Virtual Secure Mode. COM1 is standard input and output.\n");
	for (size_t i = 0; i < ROWS; i++) {
		snprintf(name, sizeof(name), "--%s%s%s", rows[i].name, rows[i].metavar ? " " : "",
			 rows[i].metavar ? rows[i].metavar : "");
		printf("  %-33s %s\n", name, rows[i].help);
	}
	puts("\nExit status: 0 the guest powered off; an odd number is the guest's, (code << 1) | "
	     "1\n"
	     "of what it wrote to the debug-exit port 0xf4; 2 wrong usage; 4 bad image; 6 the "
	     "host\n"
	     "cannot; 8 the guest crashed; 130 ended by a signal.");
	return STATUS_OK;
}

static void fill_long_options(struct option *out)
{
	for (size_t i = 0; i < ROWS; i++)
		out[i] = (struct option){.name = rows[i].name,
					 .has_arg =
						 rows[i].metavar ? required_argument : no_argument,
					 .val = (int)i};
	out[ROWS] = (struct option){0};
}

static int check(struct options *o, int argc, char **argv, int next)
{
	if (o->kernel_irqchip && o->topology == VSM_TOPOLOGY_SINGLE_VM) {
		say("--irqchip kernel does not go with --topology single-vm");
		return STATUS_USAGE;
	}
	if (!o->image && next < argc)
		o->image = argv[next++];
	if (next < argc) {
		say("one image, please: '%s' is too much", argv[next]);
		return STATUS_USAGE;
	}
	if (!o->image && !o->probe) {
		say("no image given; see --help");
		return STATUS_USAGE;
	}
	return CONTINUE;
}

int options_parse(int argc, char **argv, struct options *o)
{
	struct option longs[ROWS + 1];
	int index, r;

	*o = (struct options){
		.append = "", .kvm_path = "/dev/kvm", .memory = 128 * MIB, .cpus = 1, .max_vtl = 1};
	fill_long_options(longs);
	opterr = 0;
	while ((index = getopt_long(argc, argv, ":", longs, NULL)) != -1) {
		if (index == '?' || index == ':') {
			say(index == ':' ? "%s wants a value" : "%s: no such option; see --help",
			    argv[optind - 1]);
			return STATUS_USAGE;
		}
		r = rows[index].set(o, &rows[index], optarg);
		if (r != CONTINUE)
			return r;
	}
	return check(o, argc, argv, optind);
}
