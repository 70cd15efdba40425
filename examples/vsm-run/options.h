/* SPDX-License-Identifier: MIT */
/* The command line. */
#ifndef VSM_RUN_OPTIONS_H
#define VSM_RUN_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <vsm/vsm.h>

/* How vsm-run ends. A guest's debug-exit status is always odd, so none of these can be one. */
enum exit_status {
	STATUS_OK = 0,	     /* the guest powered off, asked for a reset, or halted for good */
	STATUS_USAGE = 2,    /* the command line */
	STATUS_IMAGE = 4,    /* the image or a module */
	STATUS_HOST = 6,     /* the host lacks something, or failed */
	STATUS_CRASHED = 8,  /* the guest: triple fault, an exit nobody can handle */
	STATUS_SIGNAL = 130, /* SIGINT or SIGTERM */
};

#define CPUS_MAX    8
#define MODULES_MAX 8

struct options {
	const char *image;
	const char *initrd, *vtl1; /* NULL: none */
	const char *modules[MODULES_MAX];
	unsigned module_count;
	const char *append; /* never NULL */
	const char *kvm_path;
	uint64_t memory; /* bytes */
	unsigned cpus;
	enum vsm_topology topology;
	enum vsm_enforcement enforcement;
	enum vsm_exec_policy exec_policy;
	uint64_t quirks;
	uint8_t max_vtl;
	uint32_t max_mappings; /* 0: the library's choice */
	bool intercept_gva;
	bool no_x2apic;
	bool no_io_uring;
	enum vsm_unsupported_intercepts unsupported_intercepts;
	bool kernel_irqchip;
	bool trace, stats, probe;
};

/* -1: go on. Otherwise everything is said, and this is the status to exit with. */
int options_parse(int argc, char **argv, struct options *o);

#endif
