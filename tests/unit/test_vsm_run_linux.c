/* SPDX-License-Identifier: MIT */
/* vsm-run's loader for Linux: what a kernel finds in memory, and which files are refused. */
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "acpi.h"
#include "load.h"

#define RAM_SIZE   (4u << 20)
#define SETUP	   1024 /* one sector of set-up code, and the first */
#define IMAGE_SIZE (SETUP + 0x1000)
#define AT	   0x100000
#define INIT_SIZE  0x8000
#define PAYLOAD	   0x201010
#define HDR	   0x1f1

struct world {
	uint8_t *image; /* exactly image_size bytes: a read past the end is seen by ASan */
	struct ram ram;
	struct load_request request;
	struct load_result result;
	struct load_error error;
	struct blob initrd, vtl1;
	uint8_t payload[0x1000];
};

static struct world *w;

static struct setup_header *hdr(void)
{
	return (struct setup_header *)(void *)(w->image + HDR);
}

static void make_kernel(void)
{
	memset(w->image, 0, IMAGE_SIZE);
	memset(w->image + SETUP, 0x90, IMAGE_SIZE - SETUP);
	w->image[0x201] = 0x6a;
	*hdr() = (struct setup_header){.setup_sects = 1,
				       .boot_flag = 0xaa55,
				       .jump = 0x6aeb,
				       .header = 0x53726448,
				       .version = 0x20f,
				       .loadflags = LOADED_HIGH,
				       .initrd_addr_max = 0x7fffffff,
				       .xloadflags = XLF_KERNEL_64,
				       .cmdline_size = 2047,
				       .pref_address = AT,
				       .init_size = INIT_SIZE};
}

static void make_payload(void)
{
	Elf64_Ehdr e = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_entry = PAYLOAD + 4,
			.e_phoff = sizeof(Elf64_Ehdr),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1};
	Elf64_Phdr p = {.p_type = PT_LOAD,
			.p_offset = 0x800,
			.p_paddr = PAYLOAD,
			.p_filesz = 16,
			.p_memsz = 0x1000};

	memcpy(w->payload, &e, sizeof(e));
	memcpy(w->payload + sizeof(e), &p, sizeof(p));
	memset(w->payload + 0x800, 0x42, 16);
	w->vtl1 = (struct blob){w->payload, sizeof(w->payload), "payload"};
	w->request.vtl1 = &w->vtl1;
}

static int setup(void **state)
{
	(void)state;
	w = calloc(1, sizeof(*w));
	w->image = calloc(1, IMAGE_SIZE);
	w->ram = (struct ram){malloc(RAM_SIZE), RAM_SIZE};
	memset(w->ram.base, 0xaa, RAM_SIZE);
	w->request = (struct load_request){
		.image = {w->image, IMAGE_SIZE, "bzImage"}, .append = "quiet one", .cpus = 2};
	make_kernel();
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	free(w->image);
	free(w->ram.base);
	free(w);
	return 0;
}

static void cut(size_t size)
{
	w->image = realloc(w->image, size);
	w->request.image.data = w->image;
	w->request.image.size = size;
}

static int run_load(void)
{
	return load(&w->request, &w->ram, &w->result, &w->error);
}

static void expect_bad(const char *part_of_message)
{
	assert_int_equal(run_load(), -ENOEXEC);
	if (!strstr(w->error.text, part_of_message))
		fail_msg("'%s' does not say '%s'", w->error.text, part_of_message);
	assert_ptr_equal(w->error.file, &w->request.image);
}

static void expect_no_room(const char *part_of_message)
{
	assert_int_equal(run_load(), -ENOSPC);
	if (!strstr(w->error.text, part_of_message))
		fail_msg("'%s' does not say '%s'", w->error.text, part_of_message);
}

static struct boot_params params(void)
{
	struct boot_params b;

	assert_int_equal(run_load(), 0);
	assert_true(w->result.boot_params && w->result.boot_params <= RAM_SIZE - sizeof(b));
	memcpy(&b, w->ram.base + w->result.boot_params, sizeof(b));
	return b;
}

/* --- what loads --- */

static void kernel_is_where_it_wants(void **state)
{
	(void)state;
	assert_int_equal(run_load(), 0);
	assert_int_equal(w->result.mode, LOAD_64_BIT);
	assert_int_equal(w->result.entry, AT + 0x200);
	assert_int_equal(w->result.info, 0);
	assert_int_equal(w->ram.base[AT], 0x90);
	assert_int_equal(w->ram.base[AT + IMAGE_SIZE - SETUP - 1], 0x90);
	assert_int_equal(w->ram.base[AT + IMAGE_SIZE - SETUP], 0);
	assert_int_equal(w->ram.base[AT + INIT_SIZE - 1], 0);
	assert_int_equal(w->ram.base[AT + INIT_SIZE], 0xaa);
	assert_true(w->result.page_tables && w->result.gdt && w->result.stack);
}

static void parameters_tell_all(void **state)
{
	const struct blob initrd = {(const uint8_t *)"initramfs", 9, "initrd"};
	struct boot_params b;

	(void)state;
	w->request.initrd = &initrd;
	b = params();
	assert_int_equal(b.hdr.header, 0x53726448);
	assert_int_equal(b.hdr.type_of_loader, 0xff);
	assert_string_equal((char *)w->ram.base + b.hdr.cmd_line_ptr, "quiet one");
	assert_int_equal(b.hdr.ramdisk_size, 9);
	assert_int_equal(b.hdr.ramdisk_image, RAM_SIZE - 4096);
	assert_memory_equal(w->ram.base + b.hdr.ramdisk_image, "initramfs", 9);
	assert_int_equal(b.acpi_rsdp_addr, 0x9f000);
	assert_memory_equal(w->ram.base + 0x9f000, "RSD PTR ", 8);
}

static void initrd_keeps_below_the_kernels_limit(void **state)
{
	const struct blob initrd = {(const uint8_t *)"x", 1, "initrd"};

	(void)state;
	w->request.initrd = &initrd;
	hdr()->initrd_addr_max = 0x2fffff;
	assert_int_equal(params().hdr.ramdisk_image, 0x2ff000);
	hdr()->initrd_addr_max = AT + INIT_SIZE - 1;
	assert_true(params().hdr.ramdisk_image < 0xa0000);
}

/* The fields of a header that ends early are not taken from the code behind it. */
static void short_header_ends_where_it_says(void **state)
{
	struct boot_params b;

	(void)state;
	hdr()->kernel_info_offset = 0x12345678;
	w->image[0x201] = 0x62; /* up to and with init_size */
	b = params();
	assert_int_equal(b.hdr.init_size, INIT_SIZE);
	assert_int_equal(b.hdr.kernel_info_offset, 0);
	w->image[0x201] = 0xff;
	assert_int_equal(params().hdr.kernel_info_offset, 0x12345678);
}

static void expect_range(const struct boot_params *b, unsigned i, uint64_t start, uint64_t end,
			 uint32_t type)
{
	assert_true(i < b->e820_entries);
	assert_int_equal(b->e820_table[i].addr, start);
	assert_int_equal(b->e820_table[i].addr + b->e820_table[i].size, end);
	assert_int_equal(b->e820_table[i].type, type);
}

static void memory_map_has_ram_and_holes(void **state)
{
	struct boot_params b;

	(void)state;
	b = params();
	assert_int_equal(b.e820_entries, 4);
	expect_range(&b, 0, 0, 0x9f000, 1);
	expect_range(&b, 1, 0x9f000, 0xa0000, 3);
	expect_range(&b, 2, 0xa0000, 0x100000, 2);
	expect_range(&b, 3, 0x100000, RAM_SIZE, 1);
}

static void payload_runs_first_in_memory_of_its_own(void **state)
{
	struct boot_params b;

	(void)state;
	make_payload();
	b = params();
	assert_int_equal(w->result.entry, PAYLOAD + 4);
	assert_int_equal(w->result.info, AT + 0x200);
	assert_int_equal(w->ram.base[PAYLOAD], 0x42);
	assert_int_equal(w->ram.base[PAYLOAD + 16], 0);
	assert_int_equal(b.e820_entries, 6);
	expect_range(&b, 3, 0x100000, PAYLOAD & ~0xfffu, 1);
	expect_range(&b, 4, PAYLOAD & ~0xfffu, 0x203000, 2);
	expect_range(&b, 5, 0x203000, RAM_SIZE, 1);
}

/* --- what does not --- */

static void truncated_files_are_refused(void **state)
{
	(void)state;
	cut(SETUP + 0x200);
	expect_bad("before the Linux kernel's entry");
	cut(SETUP);
	expect_bad("before the Linux kernel's entry");
	cut(HDR + sizeof(struct setup_header));
	expect_bad("before the Linux kernel's entry");
	cut(HDR + sizeof(struct setup_header) - 1);
	expect_bad("neither");
}

static void set_up_code_of_no_sectors_means_four(void **state)
{
	(void)state;
	hdr()->setup_sects = 0;
	assert_int_equal(run_load(), 0);
	cut(5 * 512 + 0x200);
	expect_bad("before the Linux kernel's entry");
	hdr()->setup_sects = 0xff;
	expect_bad("before the Linux kernel's entry");
}

static void wrong_headers_are_refused(void **state)
{
	(void)state;
	hdr()->header++;
	expect_bad("neither");
	make_kernel();
	hdr()->boot_flag++;
	expect_bad("neither");
	make_kernel();
	hdr()->version = 0x20b;
	expect_bad("boot protocol 2.11");
	make_kernel();
	hdr()->xloadflags = 0;
	expect_bad("without a 64-bit entry");
	make_kernel();
	hdr()->loadflags = 0;
	expect_bad("zImage");
	make_kernel();
	hdr()->init_size = IMAGE_SIZE - SETUP - 1;
	expect_bad("init_size");
	make_kernel();
	hdr()->pref_address = AT + 1;
	expect_bad("not at a page");
	make_kernel();
	hdr()->pref_address = 0xa0000;
	expect_bad("no memory");
}

static void kernel_outside_memory_is_refused(void **state)
{
	static const uint64_t addresses[] = {RAM_SIZE - INIT_SIZE + 4096, RAM_SIZE,
					     UINT64_MAX - 4095};

	(void)state;
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		make_kernel();
		hdr()->pref_address = addresses[i];
		expect_no_room("the Linux kernel");
	}
	make_kernel();
	hdr()->init_size = UINT32_MAX;
	expect_no_room("the Linux kernel");
}

static void command_line_has_the_kernels_limit(void **state)
{
	(void)state;
	hdr()->cmdline_size = 9;
	assert_int_equal(run_load(), 0);
	hdr()->cmdline_size = 8;
	expect_bad("9 bytes; this kernel takes 8");
}

static void large_initrd_is_refused(void **state)
{
	struct blob initrd = {calloc(1, RAM_SIZE), RAM_SIZE, "initrd"};

	(void)state;
	w->request.initrd = &initrd;
	expect_no_room("the initrd");
	free((void *)(uintptr_t)initrd.data);
}

static void wrong_payloads_are_refused(void **state)
{
	Elf64_Phdr *p = (Elf64_Phdr *)(void *)(w->payload + sizeof(Elf64_Ehdr));

	(void)state;
	make_payload();
	p->p_paddr = AT + INIT_SIZE - 1;
	assert_int_equal(run_load(), -ENOEXEC);
	assert_non_null(strstr(w->error.text, "overlaps"));
	assert_ptr_equal(w->error.file, &w->vtl1);
	p->p_paddr = 0x8000;
	((Elf64_Ehdr *)(void *)w->payload)->e_entry = 0x8000;
	assert_int_equal(run_load(), -ENOEXEC);
	assert_non_null(strstr(w->error.text, "above 1 MiB"));
	w->payload[EI_CLASS] = ELFCLASS32;
	assert_int_equal(run_load(), -ENOEXEC);
	assert_non_null(strstr(w->error.text, "64-bit ELF"));
	w->vtl1.size = 3;
	assert_int_equal(run_load(), -ENOEXEC);
	assert_ptr_equal(w->error.file, &w->vtl1);
}

/* Other images have no use for them, and must not ignore them silently. */
static void other_images_take_neither_initrd_nor_payload(void **state)
{
	const struct blob initrd = {(const uint8_t *)"x", 1, "initrd"};

	(void)state;
	make_payload();
	w->request.image = w->vtl1;
	expect_bad("not a Linux kernel");
	w->request.vtl1 = NULL;
	w->request.initrd = &initrd;
	expect_bad("not a Linux kernel");
}

/* --- ACPI --- */

static uint8_t sum(const uint8_t *bytes, size_t size)
{
	uint8_t total = 0;

	for (size_t i = 0; i < size; i++)
		total = (uint8_t)(total + bytes[i]);
	return total;
}

static uint64_t number(const uint8_t *at, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, at, size);
	return value;
}

static const uint8_t *table(const uint8_t *page, uint64_t gpa, uint64_t at, const char *signature)
{
	const uint8_t *t = page + (at - gpa);
	uint32_t length = (uint32_t)number(t + 4, 4);

	assert_memory_equal(t, signature, 4);
	assert_true(at >= gpa && at - gpa + length <= ACPI_SIZE);
	assert_int_equal(sum(t, length), 0);
	return t;
}

static void acpi_tables_are_sealed_and_linked(void **state)
{
	const uint64_t gpa = 0x9f000;
	uint8_t page[ACPI_SIZE];
	const uint8_t *xsdt, *fadt, *madt;

	(void)state;
	for (unsigned cpus = 1; cpus <= 8; cpus++) {
		assert_int_equal(acpi_write(page, gpa, cpus), gpa);
		assert_int_equal(sum(page, 20), 0);
		assert_int_equal(sum(page, 36), 0);
		xsdt = table(page, gpa, number(page + 24, 8), "XSDT");
		fadt = table(page, gpa, number(xsdt + 36, 8), "FACP");
		madt = table(page, gpa, number(xsdt + 44, 8), "APIC");
		table(page, gpa, number(fadt + 140, 8), "DSDT");
		assert_int_equal(number(fadt + 248, 8), ACPI_SLEEP_CONTROL);
		/* 44 bytes, 8 for each local APIC, 12 for the I/O APIC */
		assert_int_equal(number(madt + 4, 4), 44 + 8 * cpus + 12);
		assert_int_equal(madt[44 + 8 * (cpus - 1) + 3], cpus - 1);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(kernel_is_where_it_wants),
		TEST(parameters_tell_all),
		TEST(initrd_keeps_below_the_kernels_limit),
		TEST(short_header_ends_where_it_says),
		TEST(memory_map_has_ram_and_holes),
		TEST(payload_runs_first_in_memory_of_its_own),
		TEST(truncated_files_are_refused),
		TEST(set_up_code_of_no_sectors_means_four),
		TEST(wrong_headers_are_refused),
		TEST(kernel_outside_memory_is_refused),
		TEST(command_line_has_the_kernels_limit),
		TEST(large_initrd_is_refused),
		TEST(wrong_payloads_are_refused),
		TEST(other_images_take_neither_initrd_nor_payload),
		TEST(acpi_tables_are_sealed_and_linked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
