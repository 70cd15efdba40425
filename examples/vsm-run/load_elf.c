/* SPDX-License-Identifier: MIT */
/* PT_LOAD segments of a static ELF file of either class, at their physical addresses. */
#include <elf.h>
#include <string.h>
#include "load_private.h"

#define SEGMENTS_MAX 64

/* What both classes say, in the wider type. */
struct elf {
	bool wide;
	uint16_t type, machine, segment_size, segment_count;
	uint64_t entry, segments;
};

struct segment {
	uint32_t type;
	uint64_t offset, address, file_size, memory_size;
};

bool elf_detect(const struct loader *l)
{
	return load_in_image(l, 0, EI_NIDENT) && memcmp(l->image->data, ELFMAG, SELFMAG) == 0;
}

bool elf_is_64_bit(const struct loader *l)
{
	return l->image->data[EI_CLASS] == ELFCLASS64;
}

static int read_header(struct loader *l, struct elf *e)
{
	const uint8_t *data = l->image->data;
	Elf32_Ehdr h32;
	Elf64_Ehdr h64;

	e->wide = elf_is_64_bit(l);
	if (!load_in_image(l, 0, e->wide ? sizeof(h64) : sizeof(h32)))
		return load_bad(l, "truncated: the file ends inside the ELF header");
	if (e->wide) {
		memcpy(&h64, data, sizeof(h64));
		*e = (struct elf){true,	       h64.e_type,  h64.e_machine, h64.e_phentsize,
				  h64.e_phnum, h64.e_entry, h64.e_phoff};
	} else {
		memcpy(&h32, data, sizeof(h32));
		*e = (struct elf){false,       h32.e_type,  h32.e_machine, h32.e_phentsize,
				  h32.e_phnum, h32.e_entry, h32.e_phoff};
	}
	return 0;
}

static int check_header(struct loader *l, const struct elf *e)
{
	const uint8_t *ident = l->image->data;
	size_t size = e->wide ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

	if (ident[EI_CLASS] != ELFCLASS32 && ident[EI_CLASS] != ELFCLASS64)
		return load_bad(l, "an ELF file of unknown class %u", ident[EI_CLASS]);
	if (ident[EI_DATA] != ELFDATA2LSB || (e->machine != EM_386 && e->machine != EM_X86_64))
		return load_bad(l, "an ELF file, but not for x86");
	if (e->type != ET_EXEC)
		return load_bad(l, "an ELF file, but not a statically linked executable");
	if (e->segment_size != size)
		return load_bad(l, "ELF program headers have a wrong size");
	if (e->segment_count == 0 || e->segment_count > SEGMENTS_MAX)
		return load_bad(l, "%u ELF segments; 1 to %d can be loaded", e->segment_count,
				SEGMENTS_MAX);
	if (!load_in_image(l, e->segments, (uint64_t)e->segment_count * size))
		return load_bad(l, "truncated: the file ends inside the ELF program headers");
	return 0;
}

static struct segment read_segment(const struct loader *l, const struct elf *e, unsigned index)
{
	const uint8_t *at = l->image->data + e->segments + index * e->segment_size;
	Elf32_Phdr p32;
	Elf64_Phdr p64;

	if (e->wide) {
		memcpy(&p64, at, sizeof(p64));
		return (struct segment){p64.p_type, p64.p_offset, p64.p_paddr, p64.p_filesz,
					p64.p_memsz};
	}
	memcpy(&p32, at, sizeof(p32));
	return (struct segment){p32.p_type, p32.p_offset, p32.p_paddr, p32.p_filesz, p32.p_memsz};
}

static int load_segment(struct loader *l, const struct segment *s)
{
	int r;

	if (s->type == PT_INTERP || s->type == PT_DYNAMIC)
		return load_bad(l, "a dynamically linked ELF file");
	if (s->type != PT_LOAD)
		return 0;
	if (s->file_size > s->memory_size)
		return load_bad(l, "an ELF segment is larger in the file than in memory");
	if (!load_in_image(l, s->offset, s->file_size))
		return load_bad(l, "truncated: the file ends inside an ELF segment");
	r = load_claim(l, s->address, s->memory_size, "an ELF segment");
	if (r)
		return r;
	load_copy(l, s->offset, s->file_size, s->address, s->memory_size);
	return 0;
}

static bool in_a_place(const struct loader *l, uint64_t address)
{
	for (const struct place *p = l->places; p < l->places + l->place_count; p++)
		if (address >= p->start && address < p->end)
			return true;
	return false;
}

int elf_load(struct loader *l, uint64_t *entry)
{
	struct elf e = {0};
	struct segment s;
	int r = read_header(l, &e);

	if (!r)
		r = check_header(l, &e);
	for (unsigned i = 0; !r && i < e.segment_count; i++) {
		s = read_segment(l, &e, i);
		r = load_segment(l, &s);
	}
	if (r)
		return r;
	if (!in_a_place(l, e.entry))
		return load_bad(l, "the ELF entry point %#llx is in no segment",
				(unsigned long long)e.entry);
	*entry = e.entry;
	return 0;
}
