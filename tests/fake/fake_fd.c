// SPDX-License-Identifier: MIT
/* The fake KVM: file descriptors. */
#include <sys/mman.h>
#include <unistd.h>
#include "fake.h"

struct file *file_new(const char *name, uint64_t size)
{
	struct file *file = fake_grow(NULL, 1, sizeof(*file));
	int fd = memfd_create(name, MFD_CLOEXEC);

	if (fd < 0 || ftruncate(fd, (off_t)size))
		abort();
	*file = (struct file){.refs = 1, .fd = fd, .size = size};
	return file;
}

void file_put(struct file *file)
{
	if (--file->refs)
		return;
	close(file->fd);
	free(file);
}

/* A VM goes with its last fd or its vCPUs' last fd, and the vCPUs with it: not with their fds. */
static void vm_put(struct fake_kvm *f, struct vm *vm)
{
	struct vm **link = &f->vms;
	struct vcpu *next;

	if (--vm->refs)
		return;
	for (struct vcpu *v = f->vcpus; v; v = next) {
		next = v->next;
		if (v->vm == vm)
			vcpu_free(v);
	}
	while (*link != vm)
		link = &(*link)->next;
	*link = vm->next;
	free(vm->slots);
	free(vm);
}

void object_put(struct fake_kvm *f, enum fd_kind kind, void *object)
{
	if (kind == FD_VM)
		vm_put(f, object);
	else if (kind == FD_VCPU)
		vm_put(f, ((struct vcpu *)object)->vm);
	else if (kind == FD_FILE)
		file_put(object);
	else if (kind == FD_WAKE)
		wake_put(object);
}

static void object_get(enum fd_kind kind, void *object)
{
	if (kind == FD_VM)
		((struct vm *)object)->refs++;
	else if (kind == FD_VCPU)
		((struct vcpu *)object)->vm->refs++;
	else if (kind == FD_FILE)
		((struct file *)object)->refs++;
	else if (kind == FD_WAKE)
		((struct wake *)object)->refs++;
}

static struct fd_entry *fd_entry(struct fake_kvm *f, int fd)
{
	size_t i = (size_t)(fd - FAKE_FIRST_FD);

	if (fd < FAKE_FIRST_FD || i >= f->fd_count || f->fds[i].kind == FD_NONE)
		return NULL;
	return &f->fds[i];
}

/* Takes over one reference to the object. Numbers are not used again, so that a stale one shows. */
int fd_new(struct fake_kvm *f, enum fd_kind kind, void *object)
{
	if (fd_open_count(f) >= f->limits[FAKE_LIMIT_FDS])
		return -EMFILE;
	f->fds = fake_grow(f->fds, f->fd_count + 1, sizeof(*f->fds));
	f->fds[f->fd_count] = (struct fd_entry){.kind = kind, .object = object};
	return FAKE_FIRST_FD + (int)f->fd_count++;
}

int fd_get(struct fake_kvm *f, int fd, enum fd_kind kind, void **object)
{
	const struct fd_entry *e = fd_entry(f, fd);

	if (!e)
		return -EBADF;
	if (e->kind != kind)
		return -ENOTTY;
	if (object)
		*object = e->object;
	return 0;
}

int fd_of(struct fake_kvm *f, enum fd_kind kind, const void *object)
{
	for (size_t i = 0; i < f->fd_count; i++)
		if (f->fds[i].kind == kind && f->fds[i].object == object)
			return FAKE_FIRST_FD + (int)i;
	return -EBADF;
}

size_t fd_open_count(struct fake_kvm *f)
{
	size_t open = 0;

	for (size_t i = 0; i < f->fd_count; i++)
		open += f->fds[i].kind != FD_NONE;
	return open;
}

size_t fake_kvm_fd_count(struct fake_kvm *f)
{
	size_t open;

	pthread_mutex_lock(&f->lock);
	open = fd_open_count(f);
	pthread_mutex_unlock(&f->lock);
	return open;
}

/* Reports what is open, and closes it. */
void fd_leaks(struct fake_kvm *f)
{
	static const char *const kinds[] = {"", "device", "VM", "vCPU", "file", "event"};

	for (size_t i = 0; i < f->fd_count; i++) {
		struct fd_entry *e = &f->fds[i];

		if (e->kind == FD_NONE)
			continue;
		fake_error(f, "%s fd %#zx was not closed", kinds[e->kind], FAKE_FIRST_FD + i);
		object_put(f, e->kind, e->object);
		e->kind = FD_NONE;
	}
}

/* --- ops --- */

int op_open_device(const struct kvm_host *h, const char *path)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_open_device, &f);

	if (!ret && strcmp(path, "/dev/kvm") != 0)
		ret = -ENOENT;
	return fake_leave(f, ret ? ret : fd_new(f, FD_DEVICE, NULL));
}

int op_create_memfd(const struct kvm_host *h, const char *name, uint64_t size)
{
	struct fake_kvm *f;
	struct file *file;
	int ret = fake_enter(h, FAKE_OP_create_memfd, &f);

	if (!ret && size > INT64_MAX)
		ret = -EINVAL;
	if (ret)
		return fake_leave(f, ret);
	file = file_new(name, size);
	ret = fd_new(f, FD_FILE, file);
	if (ret < 0)
		file_put(file);
	return fake_leave(f, ret);
}

int op_file_size(const struct kvm_host *h, int fd, uint64_t *size)
{
	struct fake_kvm *f;
	void *file;
	int ret = fake_enter(h, FAKE_OP_file_size, &f);

	if (!ret)
		ret = fd_get(f, fd, FD_FILE, &file);
	if (ret == -ENOTTY) { /* fstat(2) of /dev/kvm or an anonymous inode */
		*size = 0;
		ret = 0;
	} else if (!ret) {
		*size = ((struct file *)file)->size;
	}
	return fake_leave(f, ret);
}

/* Linux' default; there is no such limit here but by fake_kvm_fail(). */
int op_max_mappings(const struct kvm_host *h)
{
	struct fake_kvm *f;
	int ret = fake_enter(h, FAKE_OP_max_mappings, &f);

	return fake_leave(f, ret ? ret : 65530);
}

int op_duplicate_fd(const struct kvm_host *h, int fd)
{
	struct fake_kvm *f;
	const struct fd_entry *e;
	struct fd_entry copy;
	int ret = fake_enter(h, FAKE_OP_duplicate_fd, &f);

	if (ret)
		return fake_leave(f, ret);
	e = fd_entry(f, fd);
	if (!e)
		return fake_leave(f, -EBADF);
	copy = *e;
	ret = fd_new(f, copy.kind, copy.object);
	if (ret >= 0)
		object_get(copy.kind, copy.object);
	return fake_leave(f, ret);
}

int op_close_fd(const struct kvm_host *h, int fd)
{
	struct fake_kvm *f;
	struct fd_entry *e, old;
	int ret = fake_enter(h, FAKE_OP_close_fd, &f);

	if (ret)
		return fake_leave(f, ret);
	e = fd_entry(f, fd);
	if (!e) {
		fake_error(f, "close of %d, which is not open", fd);
		return fake_leave(f, -EBADF);
	}
	old = *e;
	e->kind = FD_NONE;
	object_put(f, old.kind, old.object);
	return fake_leave(f, 0);
}
