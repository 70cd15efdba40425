/* SPDX-License-Identifier: MIT */
/* The command line, and what all parts need. */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include "bench.h"

#define CPUID_MAX 256

void die(const char *what, ...)
{
	va_list args;

	fprintf(stderr, "vsm-bench: ");
	va_start(args, what);
	vfprintf(stderr, what, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(1);
}

void skip(const char *what, ...)
{
	va_list args;

	fprintf(stderr, "vsm-bench: skipped: ");
	va_start(args, what);
	vfprintf(stderr, what, args);
	va_end(args);
	fprintf(stderr, "\n");
	exit(EXIT_SKIP);
}

struct kvm_cpuid2 *supported_cpuid(int kvm_fd)
{
	struct kvm_cpuid2 *t = calloc(1, sizeof(*t) + CPUID_MAX * sizeof(t->entries[0]));

	if (!t)
		die("out of memory");
	t->nent = CPUID_MAX;
	if (ioctl(kvm_fd, KVM_GET_SUPPORTED_CPUID, t) < 0)
		die("KVM_GET_SUPPORTED_CPUID: %s", strerror(errno));
	return t;
}

void set_long_mode(int vcpu_fd, uint64_t cr3, uint64_t rip, uint64_t rsp)
{
	struct kvm_segment code = {.selector = 8,
				   .limit = UINT32_MAX,
				   .type = 0xb,
				   .present = 1,
				   .s = 1,
				   .l = 1,
				   .g = 1};
	struct kvm_segment data = {.selector = 0x10,
				   .limit = UINT32_MAX,
				   .type = 3,
				   .present = 1,
				   .s = 1,
				   .db = 1,
				   .g = 1};
	struct kvm_regs regs = {.rflags = 2, .rip = rip, .rsp = rsp};
	struct kvm_sregs s;

	if (ioctl(vcpu_fd, KVM_GET_SREGS, &s) < 0)
		die("KVM_GET_SREGS: %s", strerror(errno));
	s.cs = code;
	s.ds = s.es = s.fs = s.gs = s.ss = data;
	s.cr0 = 0x80010033;
	s.cr3 = cr3;
	s.cr4 = 0x620;
	s.efer = 0x500;
	if (ioctl(vcpu_fd, KVM_SET_SREGS, &s) < 0 || ioctl(vcpu_fd, KVM_SET_REGS, &regs) < 0)
		die("64-bit mode: %s", strerror(errno));
}

static const char usage[] = "usage: vsm-bench [OPTION]...\n"
			    "\n"
			    "  --json FILE        write the figures there, too (-: to stdout)\n"
			    "  --only TEXT        only rows whose group or name contains TEXT\n"
			    "  --repetitions N    batches of each kind per row (101)\n"
			    "  --seconds N        stop repeating a row after this time (4)\n"
			    "  --help             this text\n"
			    "\n"
			    "Exit status: 0, 1 when something failed, 2 for wrong usage, 77 when "
			    "there is no usable /dev/kvm.\n";

static const struct option long_options[] = {
	{"json", required_argument, NULL, 'j'},
	{"only", required_argument, NULL, 'o'},
	{"repetitions", required_argument, NULL, 'r'},
	{"seconds", required_argument, NULL, 's'},
	{"help", no_argument, NULL, 'h'},
	{NULL, 0, NULL, 0},
};

static struct options parse_options(int argc, char **argv)
{
	struct options o = {.repetitions = 101, .seconds = 4};
	int c;

	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		switch (c) {
		case 'j':
			o.json = optarg;
			break;
		case 'o':
			o.only = optarg;
			break;
		case 'r':
			o.repetitions = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			o.seconds = strtod(optarg, NULL);
			break;
		case 'h':
			fputs(usage, stdout);
			exit(0);
		default:
			fputs(usage, stderr);
			exit(2);
		}
	}
	if (optind < argc || !o.repetitions || o.seconds <= 0) {
		fputs(usage, stderr);
		exit(2);
	}
	return o;
}

int main(int argc, char **argv)
{
	struct options o = parse_options(argc, argv);
	int kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm_fd < 0)
		skip("/dev/kvm: %s", strerror(errno));
	report_head();
	rows_measure(kvm_fd, &o, report_row);
	if (o.json)
		report_json(o.json);
	close(kvm_fd);
	return 0;
}
