/* SPDX-License-Identifier: MIT */
/* Makes a machine out of KVM, guest memory and libvsm, runs it, and takes it apart. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include "acpi.h"
#include "file.h"
#include "input.h"
#include "machine.h"
#include "say.h"

#define KICK_SIGNAL  SIGUSR1
#define FIRST_SLOT   0		/* this VMM has no memslots of its own */
#define TSS_ADDRESS  0xfffbd000 /* three pages KVM wants on Intel; above guest memory */
#define MAP_ADDRESS  0xfffbc000
#define ROM_START    (LOAD_HOLE_END - ROM_BYTES)
#define ROM_BYTES    4096
#define RESET_VECTOR 0xffff0 /* f000:fff0 */

static int host_error(const char *doing, int error)
{
	say("%s: %s", doing, strerror(error));
	return STATUS_HOST;
}

int open_kvm(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		return fd;
	if (errno == EACCES)
		say("%s: permission denied; does the user belong to the group kvm?", path);
	else if (errno == ENOENT)
		say("%s does not exist: is this a machine with KVM, its module loaded?", path);
	else
		say("%s: %s", path, strerror(errno));
	return -1;
}

/*
 * A page of ROM at the end of the hole, behind guest memory in the file. A processor that jumps to
 * the reset vector finds there what firmware would do first: it asks for a reset. Linux reboots that
 * way where it has no better one.
 */
static int write_rom(struct machine *m)
{
	static const uint8_t code[] = {0xba,
				       ACPI_RESET & 0xff,
				       ACPI_RESET >> 8, /* mov $, %dx */
				       0xb0,
				       ACPI_RESET_VALUE, /* mov $, %al */
				       0xee,		 /* out %al, %dx */
				       0xfa,
				       0xf4}; /* cli; hlt */
	ssize_t n = pwrite(m->memory_fd, code, sizeof(code),
			   (off_t)(m->options->memory + RESET_VECTOR - ROM_START));

	return n == sizeof(code) ? 0 : host_error("writing the reset vector", n < 0 ? errno : EIO);
}

static int make_memory(struct machine *m)
{
	uint64_t size = m->options->memory;

	m->memory_fd = memfd_create("guest-memory", MFD_CLOEXEC);
	if (m->memory_fd < 0 || ftruncate(m->memory_fd, (off_t)(size + ROM_BYTES)) < 0)
		return host_error("making guest memory", errno);
	m->ram.base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, m->memory_fd, 0);
	if (m->ram.base == MAP_FAILED) {
		m->ram.base = NULL;
		return host_error("mapping guest memory", errno);
	}
	m->ram.size = size;
	return write_rom(m);
}

int machine_open(struct machine *m, const struct options *o)
{
	struct timespec now;

	*m = (struct machine){
		.options = o, .kvm_fd = -1, .vm_fd = -1, .memory_fd = -1, .status = -1};
	m->input.wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->input.wake_fd < 0)
		return host_error("making an eventfd", errno);
	pthread_mutex_init(&m->devices, NULL);
	clock_gettime(CLOCK_MONOTONIC, &now);
	m->start_ns = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
	serial_init(&m->serial, STDIN_FILENO, STDOUT_FILENO);
	irq_setup(m);
	fwcfg_init(&m->fwcfg, o->memory, o->cpus);
	return make_memory(m);
}

/* --- image --- */

static int read_blob(const char *path, uint64_t max, struct blob *blob)
{
	int r = file_read(path, max, blob);

	if (r == -EFBIG)
		say("%s: larger than guest memory", path);
	else if (r)
		say("%s: %s", path, strerror(-r));
	return r ? STATUS_IMAGE : 0;
}

static int load_blobs(struct machine *m, const struct load_request *request)
{
	struct load_error error = {.text = ""};
	int r = load(request, &m->ram, &m->start, &error);

	if (r == -ENOMEM)
		return host_error("loading the image", ENOMEM);
	if (r)
		say("%s: %s", error.file == request->vtl1 ? m->options->vtl1 : m->options->image,
		    error.text);
	return r ? STATUS_IMAGE : 0;
}

/* What the command line names; the loader copies out of it. */
struct files {
	struct blob image, initrd, vtl1, modules[MODULES_MAX];
};

static int read_files(const struct options *o, struct files *f)
{
	int status = read_blob(o->image, o->memory, &f->image);

	if (!status && o->initrd)
		status = read_blob(o->initrd, o->memory, &f->initrd);
	if (!status && o->vtl1)
		status = read_blob(o->vtl1, o->memory, &f->vtl1);
	for (unsigned i = 0; !status && i < o->module_count; i++)
		status = read_blob(o->modules[i], o->memory, &f->modules[i]);
	return status;
}

static void free_files(struct files *f)
{
	for (unsigned i = 0; i < MODULES_MAX; i++)
		free((void *)(uintptr_t)f->modules[i].data);
	free((void *)(uintptr_t)f->vtl1.data);
	free((void *)(uintptr_t)f->initrd.data);
	free((void *)(uintptr_t)f->image.data);
}

int machine_load(struct machine *m)
{
	const struct options *o = m->options;
	struct files files = {0};
	int status = read_files(o, &files);
	const struct load_request request = {.image = files.image,
					     .initrd = o->initrd ? &files.initrd : NULL,
					     .vtl1 = o->vtl1 ? &files.vtl1 : NULL,
					     .cpus = o->cpus,
					     .modules = files.modules,
					     .module_count = o->module_count,
					     .append = o->append};

	if (!status)
		status = load_blobs(m, &request);
	free_files(&files);
	return status;
}

/* --- creation --- */

/*
 * A PC's firmware leaves the 8259s with all inputs masked; KVM's start with none, and would send
 * COM1's interrupt a second time, with a vector nobody has set.
 */
static int mask_pics(int vm_fd)
{
	static const uint32_t chips[] = {KVM_IRQCHIP_PIC_MASTER, KVM_IRQCHIP_PIC_SLAVE};
	struct kvm_irqchip chip;

	for (size_t i = 0; i < sizeof(chips) / sizeof(chips[0]); i++) {
		chip = (struct kvm_irqchip){.chip_id = chips[i]};
		if (ioctl(vm_fd, KVM_GET_IRQCHIP, &chip) < 0)
			return -errno;
		chip.chip.pic.imr = 0xff;
		if (ioctl(vm_fd, KVM_SET_IRQCHIP, &chip) < 0)
			return -errno;
	}
	return 0;
}

static int create_irqchip(struct machine *m)
{
	int r = ioctl(m->vm_fd, KVM_CREATE_IRQCHIP, 0) < 0 ? -errno : mask_pics(m->vm_fd);

	return r ? host_error("making KVM's interrupt controllers", -r) : 0;
}

static int create_vm(struct machine *m)
{
	uint64_t map_address = MAP_ADDRESS;

	m->kvm_fd = open_kvm(m->options->kvm_path);
	if (m->kvm_fd < 0)
		return STATUS_HOST;
	do {
		m->vm_fd = ioctl(m->kvm_fd, KVM_CREATE_VM, 0);
	} while (m->vm_fd < 0 && errno == EINTR);
	if (m->vm_fd < 0)
		return host_error("making a VM", errno);
	/* Only Intel processors need the two; where KVM does not know them, nothing does. */
	ioctl(m->vm_fd, KVM_SET_IDENTITY_MAP_ADDR, &map_address);
	ioctl(m->vm_fd, KVM_SET_TSS_ADDR, TSS_ADDRESS);
	return m->options->kernel_irqchip ? create_irqchip(m) : 0;
}

static int create_partition(struct machine *m)
{
	const struct options *o = m->options;
	struct vsm_partition_options p = {
		.size = sizeof(p),
		.kvm_fd = m->kvm_fd,
		.vm_fd = m->vm_fd,
		.topology = o->topology,
		.enforcement = o->enforcement,
		.exec_policy = o->exec_policy,
		.max_vtl = o->max_vtl,
		.max_vps = o->cpus,
		.max_mappings = o->max_mappings,
		.first_slot = FIRST_SLOT,
		.kick_signal = KICK_SIGNAL,
		.unsupported_intercepts = o->unsupported_intercepts,
		.flags = (o->intercept_gva ? VSM_PARTITION_INTERCEPT_GVA : 0) |
			 (o->no_io_uring ? VSM_PARTITION_NO_IO_URING : 0),
		.quirks = o->quirks,
		.log = report_log,
		.trace = o->trace ? report_trace : NULL,
		.callback_ctx = m,
	};
	int r = vsm_partition_create(&p, &m->partition);

	if (r == -ENOTSUP)
		report_missing(m->kvm_fd);
	return r ? host_error("making the partition", -r) : 0;
}

static int map_rom(struct machine *m)
{
	struct vsm_memory_region region = {.size = sizeof(region),
					   .guest_phys = ROM_START,
					   .bytes = ROM_BYTES,
					   .fd = m->memory_fd,
					   .flags = VSM_MEMORY_READ_ONLY,
					   .fd_offset = m->ram.size};

	return vsm_partition_map_memory(m->partition, &region);
}

static int map_range(struct machine *m, uint64_t start, uint64_t end)
{
	struct vsm_memory_region region = {.size = sizeof(region),
					   .guest_phys = start,
					   .bytes = end - start,
					   .fd = m->memory_fd,
					   .fd_offset = start};

	return vsm_partition_map_memory(m->partition, &region);
}

static int map_memory(struct machine *m)
{
	int r = map_range(m, 0, LOAD_HOLE_START);

	if (!r)
		r = map_range(m, LOAD_HOLE_END, m->ram.size);
	if (!r)
		r = map_rom(m);
	return r ? host_error("giving the guest its memory", -r) : 0;
}

static int create_cpus(struct machine *m)
{
	int r = 0;

	for (unsigned i = 0; !r && i < m->options->cpus; i++) {
		struct vsm_vcpu_options o = {.size = sizeof(o), .index = i, .apic_id = i};

		m->cpus[i] = (struct cpu){.machine = m, .index = i};
		r = vsm_vcpu_create(m->partition, &o, &m->cpus[i].vcpu);
	}
	if (!r)
		r = cpuid_setup(m);
	if (!r)
		r = boot_setup(m);
	return r ? host_error("making the processors", -r) : 0;
}

int machine_create(struct machine *m)
{
	int status = create_vm(m);

	if (!status)
		status = create_partition(m);
	if (!status)
		status = map_memory(m);
	if (!status)
		status = create_cpus(m);
	return status;
}

/* --- running --- */

static void on_kick(int signal)
{
	(void)signal;
}

void machine_end(struct machine *m, int status)
{
	int none = -1;

	atomic_compare_exchange_strong(&m->status, &none, status);
	atomic_store(&m->ended, true);
	input_wake(&m->input);
	for (unsigned i = 0; i < m->options->cpus; i++)
		vsm_vcpu_kick(m->cpus[i].vcpu);
}

void machine_report(struct machine *m, bool last)
{
	if (last)
		atomic_store(&m->last_report, true);
	atomic_fetch_add(&m->reports, 1);
	input_wake(&m->input);
}

static int start_threads(struct machine *m)
{
	int r = 0;

	for (unsigned i = 0; !r && i < m->options->cpus; i++) {
		struct cpu *c = &m->cpus[i];

		r = pthread_create(&c->thread, NULL, cpu_thread, c);
		c->has_thread = r == 0;
	}
	return r;
}

int machine_run(struct machine *m)
{
	struct sigaction kick = {.sa_handler = on_kick};
	int r;

	sigaction(KICK_SIGNAL, &kick, NULL);
	r = -input_start(m);
	if (!r)
		r = start_threads(m);
	if (r)
		machine_end(m, host_error("starting a thread", r));
	for (unsigned i = 0; i < m->options->cpus; i++)
		if (m->cpus[i].has_thread)
			pthread_join(m->cpus[i].thread, NULL);
	input_stop(m);
	return atomic_load(&m->status);
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void machine_close(struct machine *m)
{
	vsm_partition_destroy(m->partition);
	close_fd(m->vm_fd);
	close_fd(m->kvm_fd);
	if (m->ram.base)
		munmap(m->ram.base, m->ram.size);
	close_fd(m->memory_fd);
	close_fd(m->input.wake_fd);
	pthread_mutex_destroy(&m->devices);
}
