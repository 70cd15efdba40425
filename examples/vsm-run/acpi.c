/* SPDX-License-Identifier: MIT */
/*
 * ACPI tables (ACPI Specification 6.5, chapters 5 and 20), hardware-reduced: there is no 8259, no
 * PM timer and no fixed event, so a guest looks for none of them.
 */
#include "acpi.h"
#include "ioapic.h"
#include <stddef.h>
#include <string.h>

#define APIC_ADDRESS	0xfee00000

#define GAS_IO		1
#define GAS_BYTE	1 /* access size */

#define BOOT_NO_VGA	0x0004
#define BOOT_NO_CMOS	0x0020
#define FADT_WBINVD	(1u << 0)
#define FADT_NO_PWR	(1u << 4) /* no fixed power button */
#define FADT_NO_SLP	(1u << 5)
#define FADT_RESET	(1u << 10)
#define FADT_HW_REDUCED (1u << 20)

struct header {
	char signature[4];
	uint32_t length;
	uint8_t revision, checksum;
	char oem_id[6], oem_table[8];
	uint32_t oem_revision;
	char creator[4];
	uint32_t creator_revision;
} __attribute__((packed));

struct rsdp {
	char signature[8];
	uint8_t checksum;
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt, length;
	uint64_t xsdt;
	uint8_t extended_checksum, reserved[3];
} __attribute__((packed));

struct xsdt {
	struct header h;
	uint64_t tables[2];
} __attribute__((packed));

struct address {
	uint8_t space, width, offset, access;
	uint64_t at;
} __attribute__((packed));

struct fadt {
	struct header h;
	uint32_t facs, dsdt;
	uint8_t fixed[65]; /* fixed hardware: none */
	uint16_t boot_flags;
	uint8_t reserved;
	uint32_t flags;
	struct address reset;
	uint8_t reset_value;
	uint16_t arm_flags;
	uint8_t minor;
	uint64_t x_facs, x_dsdt;
	struct address x_fixed[8], sleep_control, sleep_status;
	uint64_t hypervisor;
} __attribute__((packed));
_Static_assert(offsetof(struct fadt, boot_flags) == 109, "ACPI 5.2.9, FADT");
_Static_assert(offsetof(struct fadt, sleep_control) == 244, "ACPI 5.2.9, FADT");
_Static_assert(sizeof(struct fadt) == 276, "ACPI 5.2.9, FADT");

struct madt {
	struct header h;
	uint32_t apic_address, flags;
} __attribute__((packed));

struct madt_apic {
	uint8_t type, length, uid, id;
	uint32_t flags;
} __attribute__((packed));

struct madt_ioapic {
	uint8_t type, length, id, reserved;
	uint32_t address, first_gsi;
} __attribute__((packed));

/* AML (ACPI 20.2). */
static const uint8_t dsdt_code[] = {
	/* Name (\_S5, Package () { 5, 0, 0, 0 }) */
	0x08, '_', 'S', '5', '_', 0x12, 0x07, 0x04, 0x0a, ACPI_SLEEP_TYPE_S5, 0x00, 0x00, 0x00,
	/* Scope (\_SB) { Device (COM1) { */
	0x10, 0x39, '\\', '_', 'S', 'B', '_', 0x5b, 0x82, 0x31, 'C', 'O', 'M', '1',
	/* Name (_HID, EisaId ("PNP0501")) */
	0x08, '_', 'H', 'I', 'D', 0x0c, 0x41, 0xd0, 0x05, 0x01,
	/* Name (_UID, 1) */
	0x08, '_', 'U', 'I', 'D', 0x01,
	/* Name (_CRS, Buffer (19) { */
	0x08, '_', 'C', 'R', 'S', 0x11, 0x16, 0x0a, 0x13,
	/* IO (Decode16, 0x3f8, 0x3f8, 1, 8) */
	0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08,
	/* Interrupt (ResourceConsumer, Edge, ActiveHigh, Exclusive) { 4 } */
	0x89, 0x06, 0x00, 0x03, 0x01, 0x04, 0x00, 0x00, 0x00,
	/* the end: }) } } */
	0x79, 0x00};

static uint8_t checksum(const void *data, size_t size)
{
	const uint8_t *bytes = data;
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + bytes[i]);
	return (uint8_t)-sum;
}

static void seal(struct header *h, const char *signature, uint8_t revision, size_t length)
{
	memcpy(h->signature, signature, sizeof(h->signature));
	h->length = (uint32_t)length;
	h->revision = revision;
	memcpy(h->oem_id, "LIBVSM", sizeof(h->oem_id));
	memcpy(h->oem_table, "VSM-RUN ", sizeof(h->oem_table));
	memcpy(h->creator, "VSM ", sizeof(h->creator));
	h->oem_revision = h->creator_revision = 1;
	h->checksum = 0;
	h->checksum = checksum(h, length);
}

static size_t write_dsdt(uint8_t *to)
{
	size_t size = sizeof(struct header) + sizeof(dsdt_code);

	memcpy(to + sizeof(struct header), dsdt_code, sizeof(dsdt_code));
	seal((struct header *)to, "DSDT", 2, size);
	return size;
}

static size_t write_fadt(uint8_t *to, uint64_t dsdt)
{
	const struct address control = {GAS_IO, 8, 0, GAS_BYTE, ACPI_SLEEP_CONTROL};
	const struct address status = {GAS_IO, 8, 0, GAS_BYTE, ACPI_SLEEP_STATUS};
	struct fadt f = {
		.dsdt = (uint32_t)dsdt,
		.x_dsdt = dsdt,
		.boot_flags = BOOT_NO_VGA | BOOT_NO_CMOS,
		.flags = FADT_WBINVD | FADT_NO_PWR | FADT_NO_SLP | FADT_RESET | FADT_HW_REDUCED,
		.reset = {GAS_IO, 8, 0, GAS_BYTE, ACPI_RESET},
		.reset_value = ACPI_RESET_VALUE,
		.minor = 5,
		.sleep_control = control,
		.sleep_status = status,
	};

	seal(&f.h, "FACP", 6, sizeof(f));
	memcpy(to, &f, sizeof(f));
	return sizeof(f);
}

static size_t write_madt(uint8_t *to, unsigned cpus)
{
	const struct madt_ioapic ioapic = {1, sizeof(ioapic), (uint8_t)cpus, 0, IOAPIC_ADDRESS, 0};
	struct madt m = {.apic_address = APIC_ADDRESS};
	size_t size = sizeof(m);

	memcpy(to, &m, sizeof(m));
	for (unsigned i = 0; i < cpus; i++) {
		struct madt_apic a = {0, sizeof(a), (uint8_t)i, (uint8_t)i, 1};

		memcpy(to + size, &a, sizeof(a));
		size += sizeof(a);
	}
	memcpy(to + size, &ioapic, sizeof(ioapic));
	size += sizeof(ioapic);
	seal((struct header *)to, "APIC", 5, size);
	return size;
}

static size_t align(size_t offset)
{
	return (offset + 15) & ~(size_t)15;
}

uint64_t acpi_write(uint8_t page[ACPI_SIZE], uint64_t gpa, unsigned cpus)
{
	struct rsdp rsdp = {.signature = "RSD PTR ", .oem_id = "LIBVSM", .revision = 2};
	struct xsdt xsdt;
	size_t dsdt = align(sizeof(rsdp)), fadt, madt, at;

	memset(page, 0, ACPI_SIZE);
	memset(&xsdt, 0, sizeof(xsdt));
	fadt = align(dsdt + write_dsdt(page + dsdt));
	madt = align(fadt + write_fadt(page + fadt, gpa + dsdt));
	at = align(madt + write_madt(page + madt, cpus));
	xsdt.tables[0] = gpa + fadt;
	xsdt.tables[1] = gpa + madt;
	seal(&xsdt.h, "XSDT", 1, sizeof(xsdt));
	memcpy(page + at, &xsdt, sizeof(xsdt));
	rsdp.length = sizeof(rsdp);
	rsdp.xsdt = gpa + at;
	rsdp.checksum = checksum(&rsdp, offsetof(struct rsdp, length));
	rsdp.extended_checksum = checksum(&rsdp, sizeof(rsdp));
	memcpy(page, &rsdp, sizeof(rsdp));
	return gpa;
}
