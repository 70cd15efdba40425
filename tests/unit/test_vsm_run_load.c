/* SPDX-License-Identifier: MIT */
/* vsm-run's loader: good images are where they belong, bad ones are refused with a reason. */
#include <elf.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "load.h"

#define RAM_SIZE   (4u << 20)
#define IMAGE_SIZE 16384
#define AT	   0x100000 /* where the test images go */
#define CODE	   0x3000   /* offset of their bytes in the file */

struct world {
	uint8_t *image; /* exactly image_size bytes: a read past the end is seen by ASan */
	struct ram ram;
	struct load_request request;
	struct load_result result;
	struct load_error error;
};

static struct world *w;

static int setup(void **state)
{
	(void)state;
	w = calloc(1, sizeof(*w));
	w->image = calloc(1, IMAGE_SIZE);
	w->ram = (struct ram){malloc(RAM_SIZE), RAM_SIZE};
	memset(w->ram.base, 0xaa, RAM_SIZE);
	w->request = (struct load_request){.image = {w->image, IMAGE_SIZE, "image.elf"},
					   .append = "one two"};
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

/* The image is cut to `size` bytes, in memory of exactly that size. */
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
}

static uint32_t word(uint64_t gpa)
{
	uint32_t value;

	assert_true(gpa <= RAM_SIZE - 4);
	memcpy(&value, w->ram.base + gpa, 4);
	return value;
}

static Elf64_Ehdr *ehdr64(void)
{
	return (Elf64_Ehdr *)w->image;
}

static Elf64_Phdr *phdr64(unsigned i)
{
	return (Elf64_Phdr *)(w->image + sizeof(Elf64_Ehdr)) + i;
}

static Elf32_Ehdr *ehdr32(void)
{
	return (Elf32_Ehdr *)w->image;
}

static Elf32_Phdr *phdr32(unsigned i)
{
	return (Elf32_Phdr *)(w->image + sizeof(Elf32_Ehdr)) + i;
}

static void make_elf64(void)
{
	*ehdr64() =
		(Elf64_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
			     .e_type = ET_EXEC,
			     .e_machine = EM_X86_64,
			     .e_entry = AT + 4,
			     .e_phoff = sizeof(Elf64_Ehdr),
			     .e_phentsize = sizeof(Elf64_Phdr),
			     .e_phnum = 1};
	*phdr64(0) = (Elf64_Phdr){.p_type = PT_LOAD,
				  .p_offset = CODE,
				  .p_paddr = AT,
				  .p_vaddr = 0xffffffff80000000,
				  .p_filesz = 16,
				  .p_memsz = 64};
	memset(w->image + CODE, 0x90, 16);
}

static void make_elf32(void)
{
	*ehdr32() =
		(Elf32_Ehdr){.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
			     .e_type = ET_EXEC,
			     .e_machine = EM_386,
			     .e_entry = AT,
			     .e_phoff = sizeof(Elf32_Ehdr),
			     .e_phentsize = sizeof(Elf32_Phdr),
			     .e_phnum = 1};
	*phdr32(0) = (Elf32_Phdr){
		.p_type = PT_LOAD, .p_offset = CODE, .p_paddr = AT, .p_filesz = 16, .p_memsz = 16};
	memset(w->image + CODE, 0x90, 16);
}

static void put_multiboot(size_t offset, uint32_t flags)
{
	uint32_t header[3] = {0x1badb002, flags, 0 - (0x1badb002 + flags)};

	memcpy(w->image + offset, header, sizeof(header));
}

static void put_addresses(size_t offset, uint32_t header, uint32_t start, uint32_t end,
			  uint32_t bss_end, uint32_t entry)
{
	uint32_t addresses[5] = {header, start, end, bss_end, entry};

	put_multiboot(offset, 1u << 16);
	memcpy(w->image + offset + 12, addresses, sizeof(addresses));
}

/* --- what loads --- */

static void elf64_is_loaded(void **state)
{
	(void)state;
	make_elf64();
	assert_int_equal(run_load(), 0);
	assert_int_equal(w->result.mode, LOAD_64_BIT);
	assert_int_equal(w->result.entry, AT + 4);
	assert_int_equal(word(AT), 0x90909090);
	assert_int_equal(word(AT + 16), 0);
	assert_int_equal(word(AT + 60), 0);
	assert_int_equal(word(AT + 64), 0xaaaaaaaa);
}

static void elf64_gets_page_tables(void **state)
{
	uint64_t table, entry;

	(void)state;
	make_elf64();
	assert_int_equal(run_load(), 0);
	table = w->result.page_tables;
	for (int level = 0; level < 2; level++) {
		memcpy(&entry, w->ram.base + table, 8);
		assert_int_equal(entry & 0xfff, 3);
		table = entry & ~UINT64_C(0xfff);
	}
	memcpy(&entry, w->ram.base + table + 2047 * 8, 8);
	assert_int_equal(entry, UINT64_C(2047) << 21 | 0x83);
	assert_int_equal(w->result.stack % 16, 0);
	assert_int_equal(word(w->result.gdt + LOAD_GDT_CODE + 4), 0x00af9b00);
}

static void multiboot_elf32_is_loaded(void **state)
{
	(void)state;
	make_elf32();
	put_multiboot(0x1000, 0);
	assert_int_equal(run_load(), 0);
	assert_int_equal(w->result.mode, LOAD_32_BIT);
	assert_int_equal(w->result.entry, AT);
	assert_int_equal(word(AT), 0x90909090);
}

static void multiboot_in_elf64_starts_in_32_bit_mode(void **state)
{
	(void)state;
	make_elf64();
	put_multiboot(0x1000, 0);
	assert_int_equal(run_load(), 0);
	assert_int_equal(w->result.mode, LOAD_32_BIT);
}

static void multiboot_addresses_are_followed(void **state)
{
	(void)state;
	put_addresses(0x200, AT + 0x100, AT, AT + 0x1000, AT + 0x2000, AT + 0x110);
	memset(w->image + 0x100, 0x42, 4);
	assert_int_equal(run_load(), 0);
	assert_int_equal(w->result.entry, AT + 0x110);
	assert_int_equal(word(AT), 0x42424242);
	assert_int_equal(word(AT + 0x1ffc), 0);
	assert_int_equal(word(AT + 0x2000), 0xaaaaaaaa);
}

static void multiboot_without_load_end_takes_the_whole_file(void **state)
{
	(void)state;
	put_addresses(0, AT, AT, 0, 0, AT);
	memset(w->image + IMAGE_SIZE - 4, 0x42, 4);
	assert_int_equal(run_load(), 0);
	assert_int_equal(word(AT + IMAGE_SIZE - 4), 0x42424242);
}

static void information_tells_command_line_and_memory(void **state)
{
	uint32_t info, map;

	(void)state;
	make_elf32();
	put_multiboot(0x1000, 0);
	assert_int_equal(run_load(), 0);
	info = (uint32_t)w->result.info;
	assert_int_equal(word(info), 1 | 4 | 0x40);
	assert_int_equal(word(info + 8), (RAM_SIZE - AT) / 1024);
	assert_string_equal((char *)w->ram.base + word(info + 16), "image.elf one two");
	assert_int_equal(word(info + 44), 3 * 24);
	map = word(info + 48);
	assert_int_equal(word(map + 2 * 24 + 4), AT);
	assert_int_equal(word(map + 2 * 24 + 12), RAM_SIZE - AT);
}

static void modules_are_shown(void **state)
{
	const struct blob modules[] = {{(const uint8_t *)"NR_CPUS=2\n", 10, "first"},
				       {(const uint8_t *)"x", 1, "second"}};
	uint32_t info, table;

	(void)state;
	make_elf32();
	put_multiboot(0x1000, 0);
	w->request.modules = modules;
	w->request.module_count = 2;
	assert_int_equal(run_load(), 0);
	info = (uint32_t)w->result.info;
	assert_int_equal(word(info + 20), 2);
	table = word(info + 24);
	assert_memory_equal(w->ram.base + word(table), "NR_CPUS=2\n", 10);
	assert_int_equal(word(table + 4) - word(table), 10);
	assert_string_equal((char *)w->ram.base + word(table + 8), "first");
	assert_int_equal(word(table) % 4096, 0);
	assert_true(word(table + 16) >= word(table + 4));
	assert_true(word(table) >= AT + 16);
}

static void segments_may_touch(void **state)
{
	(void)state;
	make_elf64();
	ehdr64()->e_phnum = 2;
	*phdr64(1) = *phdr64(0);
	phdr64(1)->p_paddr = AT + 64;
	assert_int_equal(run_load(), 0);
}

/* --- what does not --- */

static void no_image_is_refused(void **state)
{
	(void)state;
	expect_bad("neither");
	cut(1);
	expect_bad("neither");
	w->request.image.size = 0;
	expect_bad("neither");
}

static void elf32_without_multiboot_is_refused(void **state)
{
	(void)state;
	make_elf32();
	expect_bad("without a multiboot header");
}

static void multiboot_header_must_be_early_and_sum_up(void **state)
{
	(void)state;
	make_elf32();
	put_multiboot(8192, 0);
	expect_bad("without a multiboot header");
	put_multiboot(0x1000, 0);
	w->image[0x1008] ^= 1;
	expect_bad("without a multiboot header");
}

static void truncated_files_are_refused(void **state)
{
	(void)state;
	make_elf64();
	cut(CODE + 15);
	expect_bad("inside an ELF segment");
	cut(sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr) - 1);
	expect_bad("inside the ELF program headers");
	cut(sizeof(Elf64_Ehdr) - 1);
	expect_bad("inside the ELF header");
}

static void wrong_elf_headers_are_refused(void **state)
{
	(void)state;
	make_elf64();
	ehdr64()->e_machine = EM_AARCH64;
	expect_bad("not for x86");
	make_elf64();
	w->image[EI_DATA] = ELFDATA2MSB;
	expect_bad("not for x86");
	make_elf64();
	ehdr64()->e_type = ET_DYN;
	expect_bad("not a statically linked");
	make_elf64();
	ehdr64()->e_phentsize = 8;
	expect_bad("wrong size");
	make_elf64();
	ehdr64()->e_phnum = 0;
	expect_bad("segments");
	make_elf64();
	ehdr64()->e_phnum = 65;
	expect_bad("segments");
	make_elf64();
	ehdr64()->e_phoff = UINT64_MAX;
	expect_bad("inside the ELF program headers");
	make_elf64();
	ehdr64()->e_entry = AT + 64;
	expect_bad("in no segment");
	make_elf32();
	put_multiboot(0x1000, 0);
	w->image[EI_CLASS] = 3;
	expect_bad("unknown class");
}

static void wrong_segments_are_refused(void **state)
{
	(void)state;
	make_elf64();
	phdr64(0)->p_type = PT_INTERP;
	expect_bad("dynamically linked");
	make_elf64();
	phdr64(0)->p_filesz = 65;
	expect_bad("larger in the file");
	make_elf64();
	phdr64(0)->p_offset = UINT64_MAX;
	expect_bad("inside an ELF segment");
	make_elf64();
	ehdr64()->e_phnum = 2;
	*phdr64(1) = *phdr64(0);
	phdr64(1)->p_paddr = AT + 63;
	expect_bad("overlaps");
}

static void segments_outside_memory_are_refused(void **state)
{
	static const uint64_t addresses[] = {RAM_SIZE - 63, RAM_SIZE, RAM_SIZE + 1, UINT64_MAX,
					     UINT64_MAX - 62};

	(void)state;
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		make_elf64();
		phdr64(0)->p_paddr = addresses[i];
		assert_int_equal(run_load(), -ENOSPC);
		assert_non_null(strstr(w->error.text, "an ELF segment"));
	}
	make_elf64();
	phdr64(0)->p_memsz = UINT64_MAX;
	assert_int_equal(run_load(), -ENOSPC);
}

static void segments_in_the_hole_are_refused(void **state)
{
	(void)state;
	make_elf64();
	phdr64(0)->p_paddr = LOAD_HOLE_START - 63;
	expect_bad("no memory");
	make_elf64();
	phdr64(0)->p_paddr = LOAD_HOLE_END - 1;
	expect_bad("no memory");
	make_elf64();
	phdr64(0)->p_paddr = LOAD_HOLE_START - 64;
	ehdr64()->e_entry = LOAD_HOLE_START - 64;
	assert_int_equal(run_load(), 0);
}

static void wrong_multiboot_addresses_are_refused(void **state)
{
	(void)state;
	put_multiboot(0, 0);
	expect_bad("without load addresses");
	put_addresses(0, AT - 1, AT, 0, 0, AT);
	expect_bad("contradict");
	put_addresses(0, AT + 4, AT, 0, 0, AT);
	expect_bad("contradict");
	put_addresses(0, AT, AT, AT - 1, 0, AT);
	expect_bad("before its start");
	put_addresses(0, AT, AT, AT + IMAGE_SIZE + 1, 0, AT);
	expect_bad("truncated");
	put_addresses(0, AT, AT, 0, 0, AT - 1);
	expect_bad("entry point");
	put_addresses(0, AT, AT, 0, 0, AT + IMAGE_SIZE);
	expect_bad("entry point");
	put_addresses(0, AT, AT, 0, RAM_SIZE + 1, AT);
	assert_int_equal(run_load(), -ENOSPC);
}

static void modules_without_room_are_refused(void **state)
{
	struct blob module = {calloc(1, RAM_SIZE), RAM_SIZE, "large"};

	(void)state;
	make_elf32();
	put_multiboot(0x1000, 0);
	w->request.modules = &module;
	w->request.module_count = 1;
	assert_int_equal(run_load(), -ENOSPC);
	assert_non_null(strstr(w->error.text, "a module"));
	free((void *)(uintptr_t)module.data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(elf64_is_loaded),
		TEST(elf64_gets_page_tables),
		TEST(multiboot_elf32_is_loaded),
		TEST(multiboot_in_elf64_starts_in_32_bit_mode),
		TEST(multiboot_addresses_are_followed),
		TEST(multiboot_without_load_end_takes_the_whole_file),
		TEST(information_tells_command_line_and_memory),
		TEST(modules_are_shown),
		TEST(segments_may_touch),
		TEST(no_image_is_refused),
		TEST(elf32_without_multiboot_is_refused),
		TEST(multiboot_header_must_be_early_and_sum_up),
		TEST(truncated_files_are_refused),
		TEST(wrong_elf_headers_are_refused),
		TEST(wrong_segments_are_refused),
		TEST(segments_outside_memory_are_refused),
		TEST(segments_in_the_hole_are_refused),
		TEST(wrong_multiboot_addresses_are_refused),
		TEST(modules_without_room_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
