/* SPDX-License-Identifier: MIT */
/* The ACPI tables of a machine with nothing but processors, an I/O APIC and COM1. */
#ifndef VSM_RUN_ACPI_H
#define VSM_RUN_ACPI_H

#include <stdint.h>

#define ACPI_SIZE 4096

/* Registers the tables name; ports.c answers. */
#define ACPI_SLEEP_CONTROL 0x600
#define ACPI_SLEEP_STATUS  0x601
#define ACPI_RESET	   0xcf9
#define ACPI_RESET_VALUE   0x06
#define ACPI_SLEEP_ENABLE  0x20 /* in the sleep control register; the type is in bits 4:2 */
#define ACPI_SLEEP_TYPE_S5 5

/*
 * Writes RSDP, XSDT, FADT, MADT and DSDT to `page`, which the guest has at `gpa`. APIC ids are 0 to
 * cpus - 1. Returns the RSDP's guest address.
 */
uint64_t acpi_write(uint8_t page[ACPI_SIZE], uint64_t gpa, unsigned cpus);

#endif
