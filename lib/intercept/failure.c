/* SPDX-License-Identifier: MIT */
/*
 * What KVM was about when it failed to emulate an instruction: perhaps the delivery of an event,
 * which AMD's kvm_amd gives up for the instruction at RIP when it meets no memory or a read-only
 * slot (Linux before 6.14, x86_emulate_instruction()).
 */
#include <string.h>

#include "intercept/failure.h"
#include "registers/vtl_cpu.h"

/*
 * The processor's exit as KVM shows it behind the fields that are ABI, from Linux 5.16 on
 * (prepare_emulation_failure_exit(), svm_get_exit_info(), vmx_get_exit_info()). Its form is not
 * promised: what is made of it has to be found true otherwise.
 */
enum exit_word {
	WORD_REASON,
	WORD_INFO_1,
	WORD_INFO_2,
	WORD_EVENT,
	WORD_ERROR_CODE,
	WORDS,
};

#define SVM_EXIT_NPF	  0x400	    /* APM vol. 2, appendix C */
#define NPF_WRITE	  (1u << 1) /* of its error code (APM vol. 2, 15.25.6) */
#define NPF_FETCH	  (1u << 4)
#define VMX_EPT_VIOLATION 48 /* SDM vol. 3, appendix C */
#define VMX_EPT_MISCONFIG 49

/* EXITINTINFO and IDT-vectoring information (APM vol. 2, 15.7.2; SDM vol. 3, 25.9.3). */
#define EVENT_VECTOR	 0xffu
#define EVENT_TYPE(info) ((info) >> 8 & 7)
#define EVENT_ERROR_CODE (1u << 11)
#define EVENT_VALID	 (1u << 31)
#define TYPE_INTERRUPT	 0
#define TYPE_NMI	 2
#define TYPE_EXCEPTION	 3

#define VECTOR_LAST	 31 /* of exceptions */

/* Where the words are: behind the flags, and the instruction's bytes if there are any. */
static const __u64 *exit_words(const struct kvm_run *run)
{
	const bool bytes =
		run->emulation_failure.flags & KVM_INTERNAL_ERROR_EMULATION_FLAG_INSTRUCTION_BYTES;
	unsigned first = bytes ? 3 : 1;

	return run->internal.ndata >= first + WORDS ? run->internal.data + first : NULL;
}

/* What KVM would not take back is none (kernel: kvm_vcpu_ioctl_x86_set_vcpu_events()). */
static bool event_possible(uint32_t info)
{
	uint32_t type = EVENT_TYPE(info), vector = info & EVENT_VECTOR;

	if (!(info & EVENT_VALID))
		return false;
	if (type == TYPE_EXCEPTION)
		return vector <= VECTOR_LAST && vector != VECTOR_NMI;
	return type == TYPE_INTERRUPT || type == TYPE_NMI;
}

bool failure_event(const struct kvm_run *run, struct failure_event *event)
{
	const __u64 *words = exit_words(run);
	uint32_t info;
	bool amd;

	if (!words)
		return false;
	amd = (uint32_t)words[WORD_REASON] == SVM_EXIT_NPF;
	if (!amd && words[WORD_REASON] != VMX_EPT_VIOLATION &&
	    words[WORD_REASON] != VMX_EPT_MISCONFIG)
		return false;
	info = (uint32_t)words[amd ? WORD_EVENT : WORD_INFO_2];
	if (!event_possible(info))
		return false;
	*event = (struct failure_event){.vector = (uint8_t)(info & EVENT_VECTOR),
					.exception = EVENT_TYPE(info) == TYPE_EXCEPTION,
					.has_error_code = info & EVENT_ERROR_CODE};
	/* Intel's KVM shows another exit's error code. */
	event->known = event->exception && (amd || !event->has_error_code);
	if (event->has_error_code && amd)
		event->error_code = (uint32_t)words[WORD_ERROR_CODE];
	return true;
}

bool failure_access(const struct kvm_run *run, gpa_t *gpa, enum mem_access *access)
{
	const __u64 *words = exit_words(run);

	if (!words || (uint32_t)words[WORD_REASON] != SVM_EXIT_NPF)
		return false;
	*gpa = gpa_from(words[WORD_INFO_2]);
	*access = words[WORD_INFO_1] & NPF_WRITE   ? MEM_WRITE
		  : words[WORD_INFO_1] & NPF_FETCH ? MEM_EXECUTE
						   : MEM_READ;
	return true;
}
