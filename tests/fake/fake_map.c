// SPDX-License-Identifier: MIT
/*
 * The fake KVM: mappings of this process. They are real, with their real protections, so that an
 * access the library must not make faults; the table is what the model decides by.
 */
#include <sys/mman.h>
#include <unistd.h>
#include "fake.h"

static int map_native_prot(enum kvm_map_prot prot)
{
	return (prot & KVM_MAP_READ ? PROT_READ : 0) |
	       (prot == KVM_MAP_READ_WRITE ? PROT_WRITE : 0);
}

/* Index of the first run that ends after address. */
static size_t map_index(const struct fake_kvm *f, uintptr_t address)
{
	size_t low = 0, high = f->map_count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (f->maps[mid].end <= address)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static const struct map *map_at(const struct fake_kvm *f, uintptr_t address)
{
	size_t i = map_index(f, address);

	return i < f->map_count && f->maps[i].start <= address ? &f->maps[i] : NULL;
}

int map_prot(struct fake_kvm *f, uintptr_t address)
{
	const struct map *m = map_at(f, address);

	return m ? (int)m->prot : -1;
}

bool map_copy(struct fake_kvm *f, uintptr_t address, void *buf, size_t len, bool write)
{
	const struct map *m = map_at(f, address);
	off_t offset;
	ssize_t done;

	if (!m)
		return false;
	offset = (off_t)(m->offset + (address - m->start));
	done = write ? pwrite(m->file->fd, buf, len, offset) : pread(m->file->fd, buf, len, offset);
	return done == (ssize_t)len;
}

/* --- the table --- */

static void map_insert(struct fake_kvm *f, size_t i, struct map m)
{
	f->maps = fake_grow(f->maps, f->map_count + 1, sizeof(*f->maps));
	memmove(&f->maps[i + 1], &f->maps[i], (f->map_count - i) * sizeof(*f->maps));
	f->maps[i] = m;
	f->map_count++;
}

static void map_remove(struct fake_kvm *f, size_t i)
{
	f->map_count--;
	memmove(&f->maps[i], &f->maps[i + 1], (f->map_count - i) * sizeof(*f->maps));
}

/* Makes a run boundary at address. */
static void map_split(struct fake_kvm *f, uintptr_t address)
{
	size_t i = map_index(f, address);
	struct map tail;

	if (i == f->map_count || f->maps[i].start >= address)
		return;
	tail = f->maps[i];
	tail.offset += address - tail.start;
	tail.start = address;
	tail.file->refs++;
	f->maps[i].end = address;
	map_insert(f, i + 1, tail);
}

static bool map_joins(const struct map *a, const struct map *b)
{
	return a->end == b->start && a->prot == b->prot && a->file == b->file &&
	       a->offset + (a->end - a->start) == b->offset;
}

/* Joins runs around [start, end) as the kernel does. */
static void map_join(struct fake_kvm *f, uintptr_t start, uintptr_t end)
{
	size_t i = map_index(f, start ? start - 1 : 0);

	while (i + 1 < f->map_count && f->maps[i].start <= end) {
		if (map_joins(&f->maps[i], &f->maps[i + 1])) {
			f->maps[i].end = f->maps[i + 1].end;
			file_put(f->maps[i + 1].file);
			map_remove(f, i + 1);
		} else {
			i++;
		}
	}
}

static void map_drop(struct fake_kvm *f, uintptr_t start, uintptr_t end)
{
	size_t i;

	map_split(f, start);
	map_split(f, end);
	i = map_index(f, start);
	while (i < f->map_count && f->maps[i].start < end) {
		file_put(f->maps[i].file);
		map_remove(f, i);
	}
}

static bool map_covers(const struct fake_kvm *f, uintptr_t start, uintptr_t end)
{
	for (size_t i = map_index(f, start); start < end; i++) {
		if (i == f->map_count || f->maps[i].start > start)
			return false;
		start = f->maps[i].end;
	}
	return true;
}

/* How many runs there would be if [start, end) became one of these, or went away (prot < 0). */
static size_t map_count_after(const struct fake_kvm *f, uintptr_t start, uintptr_t end)
{
	size_t count = f->map_count, first = map_index(f, start);

	for (size_t i = first; i < f->map_count && f->maps[i].start < end; i++) {
		count += f->maps[i].start < start;
		count += f->maps[i].end > end;
		count -= 1;
	}
	return count;
}

/* --- changing --- */

/* The kernel rounds sizes up; the library is not to rely on that. */
static int map_check(struct fake_kvm *f, uintptr_t start, size_t size)
{
	if (start % PAGE || start + size < start)
		return -EINVAL;
	if (size % PAGE == 0)
		return 0;
	fake_error(f, "%zu bytes of a mapping: not whole pages", size);
	return -EINVAL;
}

int map_add(struct fake_kvm *f, struct file *file, uint64_t offset, size_t size,
	    enum kvm_map_prot prot, void *at, void **addr)
{
	uintptr_t start = (uintptr_t)at;
	int ret = map_check(f, start, size);
	void *map;

	if (ret || offset % PAGE || !size)
		return -EINVAL;
	if (offset > file->size || size > file->size - offset)
		fake_error(f, "a mapping of %zu bytes reaches beyond its file", size);
	if (map_count_after(f, start, at ? start + size : start) >= f->limits[FAKE_LIMIT_VMAS])
		return -ENOMEM;
	if (at && !map_covers(f, start, start + size))
		fake_error(f, "a fixed mapping replaces what the library did not map");
	map = mmap(at, size, map_native_prot(prot), MAP_SHARED | (at ? MAP_FIXED : 0), file->fd,
		   (off_t)offset);
	if (map == MAP_FAILED)
		return -errno;
	*addr = map;
	start = (uintptr_t)map;
	map_drop(f, start, start + size);
	file->refs++;
	map_insert(f, map_index(f, start), (struct map){start, start + size, prot, file, offset});
	map_join(f, start, start + size);
	return 0;
}

/* One run's part of mprotect(2): splits that would exceed the limit fail. */
static int map_protect_run(struct fake_kvm *f, uintptr_t start, uintptr_t end,
			   enum kvm_map_prot prot)
{
	size_t before = f->map_count;

	if (map_at(f, start)->prot == prot)
		return 0;
	map_split(f, start);
	map_split(f, end);
	f->maps[map_index(f, start)].prot = prot;
	map_join(f, start, end);
	if (f->map_count <= f->limits[FAKE_LIMIT_VMAS] || f->map_count <= before)
		return mprotect((void *)start, end - start, map_native_prot(prot)) ? -errno : 0;
	return -ENOMEM;
}

/* As mprotect(2), a failure leaves the runs before the failing one changed. */
static int map_protect(struct fake_kvm *f, uintptr_t start, uintptr_t end, enum kvm_map_prot prot)
{
	while (start < end) {
		const struct map *m = map_at(f, start);
		uintptr_t stop;
		enum kvm_map_prot old;
		int ret;

		if (!m)
			return -ENOMEM;
		stop = m->end < end ? m->end : end;
		old = m->prot;
		ret = map_protect_run(f, start, stop, prot);
		if (ret == -ENOMEM && map_at(f, start)->prot != old) {
			map_split(f, start);
			map_split(f, stop);
			f->maps[map_index(f, start)].prot = old;
			map_join(f, start, stop);
		}
		if (ret)
			return ret;
		start = stop;
	}
	return 0;
}

void map_leaks(struct fake_kvm *f)
{
	while (f->map_count) {
		struct map m = f->maps[0];

		fake_error(f, "%#zx bytes at %p were not unmapped", (size_t)(m.end - m.start),
			   (void *)m.start);
		munmap((void *)m.start, m.end - m.start);
		map_drop(f, m.start, m.end);
	}
}

/* --- ops and questions --- */

int op_map_memory(const struct kvm_host *h, int fd, uint64_t offset, size_t size,
		  enum kvm_map_prot prot, void *at, void **addr)
{
	struct fake_kvm *f;
	void *file;
	int ret = fake_enter(h, FAKE_OP_map_memory, &f);

	if (!ret)
		ret = fd_get(f, fd, FD_FILE, &file);
	if (ret == -ENOTTY)
		ret = -ENODEV;
	if (!ret)
		ret = map_add(f, file, offset, size, prot, at, addr);
	return fake_leave(f, ret);
}

int op_protect_memory(const struct kvm_host *h, void *addr, size_t size, enum kvm_map_prot prot)
{
	struct fake_kvm *f;
	uintptr_t start = (uintptr_t)addr;
	int ret = fake_enter(h, FAKE_OP_protect_memory, &f);

	if (!ret)
		ret = map_check(f, start, size);
	if (!ret)
		ret = map_protect(f, start, start + size, prot);
	return fake_leave(f, ret);
}

int op_unmap_memory(const struct kvm_host *h, void *addr, size_t size)
{
	struct fake_kvm *f;
	uintptr_t start = (uintptr_t)addr;
	int ret = fake_enter(h, FAKE_OP_unmap_memory, &f);

	if (!ret)
		ret = size ? map_check(f, start, size) : -EINVAL;
	if (ret)
		return fake_leave(f, ret);
	if (!map_covers(f, start, start + size)) {
		fake_error(f, "unmapping %#zx bytes at %p: not all mapped", size, addr);
		return fake_leave(f, -EINVAL);
	}
	if (map_count_after(f, start, start + size) > f->limits[FAKE_LIMIT_VMAS])
		return fake_leave(f, -ENOMEM);
	munmap(addr, size);
	map_drop(f, start, start + size);
	return fake_leave(f, 0);
}

int fake_kvm_host_prot(struct fake_kvm *f, const void *address)
{
	int prot;

	pthread_mutex_lock(&f->lock);
	prot = map_prot(f, (uintptr_t)address);
	pthread_mutex_unlock(&f->lock);
	return prot;
}

size_t fake_kvm_vma_count(struct fake_kvm *f)
{
	size_t count;

	pthread_mutex_lock(&f->lock);
	count = f->map_count;
	pthread_mutex_unlock(&f->lock);
	return count;
}
