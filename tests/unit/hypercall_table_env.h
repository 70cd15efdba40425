/* SPDX-License-Identifier: MIT */
/* The environment of tests/hypercalls/hct.h on the fake KVM. */
#ifndef VSM_TESTS_UNIT_HYPERCALL_TABLE_ENV_H
#define VSM_TESTS_UNIT_HYPERCALL_TABLE_ENV_H

#include "hypercall_fixture.h"
#include "hct.h"

/* A new partition, with the options given and three VTLs, of which VTL0 is enabled; and its end. */
void table_env_start(const struct vsm_partition_options *options);
void table_env_stop(void);

/* Differences since the start. */
unsigned table_env_reports(void);

/* A test: see hypercall_table_docs.c. */
void documentation_and_rows_agree(void **state);

#endif
