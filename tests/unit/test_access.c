/* SPDX-License-Identifier: MIT */
/* The checked accessor: rights page by page, overlays, ROM, edges; all before a byte is copied. */
#include "memory_fixture.h"
#include "memory/block.h"
#include <errno.h>
#include <string.h>

/* RAM [0, 64), ROM [64, 72), hole, RAM [80, 96). */
static int setup(void **state)
{
	static struct memory_fixture f;
	struct memory_options o = fixture_options(VSM_ENFORCEMENT_ALIAS, VSM_EXEC_STRICT);

	memory_start(&f, &o, 1);
	assert_int_equal(fixture_region(&f, 0, 64, 0, false), 0);
	assert_int_equal(fixture_region(&f, 64, 72, 64, true), 0);
	assert_int_equal(fixture_region(&f, 80, 96, 80, false), 0);
	assert_int_equal(memory_limit_default(&f.m, 1, PROT_ALL), 0);
	assert_int_equal(memory_limit_default(&f.m, 2, PROT_ALL), 0);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	memory_stop(*state);
	return 0;
}

static gpa_t at(uint64_t page, uint64_t offset)
{
	return gpa_from((page << VSM_PAGE_SHIFT) + offset);
}

static void copies_across_pages_and_regions(void **state)
{
	struct memory_fixture *f = *state;
	uint8_t out[3 * 4096], in[3 * 4096];

	for (size_t i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i * 7);
	assert_int_equal(guest_write(&f->m, 0, at(3, 100), out, sizeof(out), NULL), 0);
	assert_int_equal(guest_read(&f->m, 0, at(3, 100), in, sizeof(in), MEM_READ, false, NULL),
			 0);
	assert_memory_equal(in, out, sizeof(out));
	assert_memory_equal(f->x.mem + (3 << 12) + 100, out, sizeof(out));
	assert_int_equal(guest_read(&f->m, 0, at(63, 4000), in, 200, MEM_READ, false, NULL), 0);
	assert_memory_equal(in, f->x.mem + (63 << 12) + 4000, 200);
}

static void nothing_there_is_efault(void **state)
{
	struct memory_fixture *f = *state;
	struct access_fault fault = {.setter = 9};
	uint64_t v = 0;

	assert_int_equal(guest_read(&f->m, 0, at(75, 8), &v, 8, MEM_READ, false, &fault), -EFAULT);
	assert_int_equal(fault.gpa.addr, at(75, 8).addr);
	assert_int_equal(fault.setter, 0);
	assert_int_equal(fault.access, MEM_READ);
	assert_int_equal(guest_write(&f->m, 0, at(95, 4092), &v, 8, &fault), -EFAULT);
	assert_int_equal(fault.gpa.addr, at(96, 0).addr);
	assert_int_equal(host_read(&f->m, 0, at(71, 4092), &v, 8), -EFAULT);
	assert_int_equal(host_write(&f->m, 0, at(95, 4092), &v, 8), -EFAULT);
}

static void wrapping_is_einval(void **state)
{
	struct memory_fixture *f = *state;
	uint64_t v = 0;
	gpa_t last = gpa_from(UINT64_MAX - 3);

	assert_int_equal(guest_read(&f->m, 0, last, &v, 8, MEM_READ, false, NULL), -EINVAL);
	assert_int_equal(guest_write(&f->m, 0, last, &v, 8, NULL), -EINVAL);
	assert_int_equal(host_read(&f->m, 0, last, &v, 8), -EINVAL);
	assert_int_equal(host_write(&f->m, 0, last, &v, 8), -EINVAL);
	assert_int_equal(guest_read(&f->m, 0, last, &v, 4, MEM_READ, false, NULL), -EFAULT);
	assert_int_equal(guest_read(&f->m, 0, last, &v, 0, MEM_READ, false, NULL), 0);
}

static void rom_is_read_only_to_everybody(void **state)
{
	struct memory_fixture *f = *state;
	struct access_fault fault = {.setter = 9};
	uint64_t v = 1, w = 0;

	assert_int_equal(guest_write(&f->m, 2, at(64, 0), &v, 8, &fault), -EFAULT);
	assert_int_equal(fault.setter, 0);
	assert_int_equal(host_write(&f->m, 2, at(64, 0), &v, 8), -EFAULT);
	assert_int_equal(guest_read(&f->m, 0, at(64, 0), &w, 8, MEM_READ, false, NULL), 0);
	assert_int_equal(w, FIXTURE_TAG | 64);
	assert_int_equal(memory_limit(&f->m, 1, 0, 64, 65, PROT_R), 0);
	assert_int_equal(guest_write(&f->m, 0, at(64, 0), &v, 8, &fault), -EACCES);
	assert_int_equal(fault.setter, 1);
}

static void the_lowest_setter_is_told(void **state)
{
	struct memory_fixture *f = *state;
	struct access_fault fault;
	uint64_t v = 0;

	assert_int_equal(memory_limit(&f->m, 2, 0, 5, 6, 0), 0);
	assert_int_equal(guest_read(&f->m, 0, at(5, 0), &v, 8, MEM_READ, false, &fault), -EACCES);
	assert_int_equal(fault.setter, 2);
	assert_int_equal(memory_limit(&f->m, 1, 0, 5, 6, PROT_R), 0);
	assert_int_equal(guest_read(&f->m, 0, at(5, 0), &v, 8, MEM_READ, false, &fault), -EACCES);
	assert_int_equal(fault.setter, 2);
	assert_int_equal(guest_write(&f->m, 0, at(5, 0), &v, 8, &fault), -EACCES);
	assert_int_equal(fault.setter, 1);
	assert_int_equal(fault.access, MEM_WRITE);
	assert_int_equal(guest_write(&f->m, 1, at(5, 0), &v, 8, NULL), 0);
	assert_int_equal(host_write(&f->m, 0, at(5, 0), &v, 8), 0);
	assert_int_equal(host_read(&f->m, 0, at(5, 0), &v, 8), 0);
}

static void a_late_fault_copies_nothing(void **state)
{
	struct memory_fixture *f = *state;
	struct access_fault fault;
	uint8_t buf[4096 * 2];

	memset(buf, 0xee, sizeof(buf));
	assert_int_equal(memory_limit(&f->m, 1, 0, 11, 12, 0), 0);
	assert_int_equal(guest_write(&f->m, 0, at(10, 8), buf, sizeof(buf), &fault), -EACCES);
	assert_int_equal(fault.gpa.addr, at(11, 0).addr);
	assert_int_equal(*(uint64_t *)(f->x.mem + (10 << 12) + 8), 0);
	memset(buf, 0, sizeof(buf));
	assert_int_equal(guest_read(&f->m, 0, at(10, 0), buf, sizeof(buf), MEM_READ, false, NULL),
			 -EACCES);
	assert_int_equal(*(uint64_t *)buf, 0);
}

static void fetches_ask_for_execute(void **state)
{
	struct memory_fixture *f = *state;
	struct access_fault fault;
	uint8_t code[15];

	assert_int_equal(memory_limit(&f->m, 1, 0, 6, 7, PROT_R | PROT_W), 0);
	assert_int_equal(memory_limit(&f->m, 1, 0, 7, 8, PROT_R | PROT_UX), 0);
	assert_int_equal(guest_read(&f->m, 0, at(6, 0), code, 15, MEM_EXECUTE, false, &fault),
			 -EACCES);
	assert_int_equal(fault.access, MEM_EXECUTE);
	assert_int_equal(guest_read(&f->m, 0, at(6, 0), code, 15, MEM_READ, false, NULL), 0);
	/* Without MBEC, KX governs both modes. */
	assert_int_equal(guest_read(&f->m, 0, at(7, 0), code, 15, MEM_EXECUTE, true, NULL),
			 -EACCES);
	assert_int_equal(memory_set_mbec(&f->m, 0, true), 0);
	assert_int_equal(guest_read(&f->m, 0, at(7, 0), code, 15, MEM_EXECUTE, true, NULL), 0);
	assert_int_equal(guest_read(&f->m, 0, at(7, 0), code, 15, MEM_EXECUTE, false, NULL),
			 -EACCES);
	assert_int_equal(memory_set_mbec(&f->m, 0, false), 0);
	f->m.ux_is_execute = true;
	assert_int_equal(guest_read(&f->m, 0, at(7, 0), code, 15, MEM_EXECUTE, false, NULL), 0);
}

static void overlays_are_seen_with_their_own_rights(void **state)
{
	struct memory_fixture *f = *state;
	struct overlay *o = overlay_create(&f->m, 0, PROT_R);
	struct access_fault fault = {.setter = 9};
	uint64_t v = 0, w = 42;

	*(uint64_t *)o->host = 1234;
	assert_int_equal(overlay_enable(&f->m, o, 8), 0);
	assert_int_equal(memory_limit(&f->m, 1, 0, 8, 9, 0), 0);
	assert_int_equal(guest_read(&f->m, 0, at(8, 0), &v, 8, MEM_READ, false, NULL), 0);
	assert_int_equal(v, 1234);
	assert_int_equal(guest_write(&f->m, 0, at(8, 0), &w, 8, &fault), -EFAULT);
	assert_int_equal(fault.setter, 0);
	assert_int_equal(host_write(&f->m, 0, at(8, 0), &w, 8), 0);
	assert_int_equal(*(uint64_t *)o->host, 42);
	assert_int_equal(guest_read(&f->m, 1, at(8, 0), &v, 8, MEM_READ, false, NULL), 0);
	assert_int_equal(v, FIXTURE_TAG | 8);
}

static void rights_combine_all_setters(void **state)
{
	struct memory_fixture *f = *state;
	struct overlay *o = overlay_create(&f->m, 0, PROT_R | PROT_W);
	struct memory_rights rights;

	assert_int_equal(memory_limit(&f->m, 1, 0, 5, 6, PROT_R | PROT_W), 0);
	assert_int_equal(memory_limit(&f->m, 2, 0, 5, 6, PROT_R | PROT_KX), 0);
	rights = memory_rights(&f->m, 0, 5);
	assert_int_equal(rights.kind, MEMORY_RAM);
	assert_int_equal(rights.prot, PROT_R);
	assert_int_equal(rights.setter, 1);
	rights = memory_rights(&f->m, 1, 5);
	assert_int_equal(rights.prot, PROT_ALL);
	assert_int_equal(rights.setter, 0);
	assert_int_equal(memory_rights(&f->m, 0, 75).kind, MEMORY_NONE);
	assert_int_equal(overlay_enable(&f->m, o, 75), 0);
	rights = memory_rights(&f->m, 0, 75);
	assert_int_equal(rights.kind, MEMORY_OVERLAY);
	assert_int_equal(rights.prot, PROT_R | PROT_W);
	assert_int_equal(rights.setter, 0);
}

/* --- blocks --- */

static void a_block_is_copied_whole_and_alone(void **state)
{
	struct memory_fixture *f = *state;
	struct known_page in = {0}, out = {0};
	uint64_t got[512], page[512], *mem = (uint64_t *)(f->x.mem + (3 << 12));

	for (size_t i = 0; i < 512; i++)
		mem[i] = i * 3 + 1;
	memset(got, 0xee, sizeof(got));
	/* The last word is read whole; nothing past it is touched. */
	assert_int_equal(block_read(&f->m, 0, at(3, 16), got, 20, &in, NULL), 0);
	assert_memory_equal(got, mem + 2, 24);
	assert_int_equal(got[3], UINT64_C(0xeeeeeeeeeeeeeeee));
	assert_int_equal(block_read(&f->m, 0, at(3, 0), got, sizeof(got), &in, NULL), 0);
	assert_memory_equal(got, mem, sizeof(got));

	memcpy(page, mem, sizeof(page));
	memset(got, 0xdd, sizeof(got));
	for (size_t size = 0; size <= 24; size += 4)
		for (size_t offset = 0; offset <= 4096 - size; offset += 1012) {
			assert_int_equal(
				block_write(&f->m, 0, at(3, offset), got, size, &out, NULL), 0);
			memcpy((uint8_t *)page + offset, got, size);
			assert_memory_equal(mem, page, sizeof(page));
		}
	assert_int_equal(block_write(&f->m, 0, at(3, 0), got, sizeof(got), &out, NULL), 0);
	assert_memory_equal(mem, got, sizeof(got));
	assert_int_equal(mem[512], FIXTURE_TAG | 4);
}

static void a_block_needs_the_right(void **state)
{
	struct memory_fixture *f = *state;
	struct known_page in = {0}, out = {0};
	struct access_fault fault;
	uint64_t v = 7;

	assert_int_equal(memory_limit(&f->m, 1, 0, 5, 6, PROT_R), 0);
	assert_int_equal(memory_limit(&f->m, 2, 0, 6, 7, 0), 0);
	assert_int_equal(block_read(&f->m, 0, at(5, 8), &v, 8, &in, &fault), 0);
	assert_int_equal(block_check(&f->m, 0, at(5, 8), MEM_WRITE, &out, &fault), -EACCES);
	assert_int_equal(fault.gpa.addr, at(5, 8).addr);
	assert_int_equal(fault.access, MEM_WRITE);
	assert_int_equal(fault.setter, 1);
	assert_int_equal(block_write(&f->m, 0, at(5, 8), &v, 8, &out, NULL), -EACCES);
	assert_int_equal(block_read(&f->m, 0, at(6, 0), &v, 8, &in, &fault), -EACCES);
	assert_int_equal(fault.access, MEM_READ);
	assert_int_equal(fault.setter, 2);
	assert_int_equal(block_write(&f->m, 0, at(64, 0), &v, 8, &out, &fault), -EFAULT);
	assert_int_equal(fault.setter, 0);
	assert_int_equal(block_read(&f->m, 0, at(75, 0), &v, 8, &in, &fault), -EFAULT);
	assert_int_equal(
		block_read(&f->m, 0, gpa_from(UINT64_MAX & ~VSM_PAGE_MASK), &v, 8, &in, NULL),
		-EFAULT);
}

/* A struct of zeros knows nothing of page 0, and a failure nothing of the page before. */
static void nothing_is_known_that_was_not_found(void **state)
{
	struct memory_fixture *f = *state;
	struct known_page known = {0};
	struct access_fault fault;
	uint64_t v = 0;

	assert_int_equal(memory_limit(&f->m, 1, 0, 0, 1, 0), 0);
	assert_int_equal(block_read(&f->m, 0, at(0, 0), &v, 8, &known, &fault), -EACCES);
	assert_int_equal(block_read(&f->m, 0, at(1, 0), &v, 8, &known, &fault), 0);
	assert_int_equal(v, FIXTURE_TAG | 1);
	assert_int_equal(block_read(&f->m, 0, at(0, 0), &v, 8, &known, &fault), -EACCES);
	assert_null(known.host);
	assert_int_equal(block_read(&f->m, 0, at(0, 0), &v, 8, &known, &fault), -EACCES);
}

/* An empty partition, where nothing has changed yet. */
static void nothing_is_known_of_no_memory(void **state)
{
	struct memory_options o = fixture_options(VSM_ENFORCEMENT_ALIAS, VSM_EXEC_STRICT);
	struct memory_fixture *f = *state;
	struct known_page known = {0};
	struct memory m;
	uint64_t v;

	assert_int_equal(memory_init(&m, f->x.host, &o), 0);
	assert_int_equal(block_read(&m, 0, at(0, 0), &v, 8, &known, NULL), -EFAULT);
	memory_destroy(&m);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(copies_across_pages_and_regions),
		TEST(nothing_there_is_efault),
		TEST(wrapping_is_einval),
		TEST(rom_is_read_only_to_everybody),
		TEST(the_lowest_setter_is_told),
		TEST(a_late_fault_copies_nothing),
		TEST(fetches_ask_for_execute),
		TEST(overlays_are_seen_with_their_own_rights),
		TEST(rights_combine_all_setters),
		TEST(a_block_is_copied_whole_and_alone),
		TEST(a_block_needs_the_right),
		TEST(nothing_is_known_that_was_not_found),
		TEST(nothing_is_known_of_no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
