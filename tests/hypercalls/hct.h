/* SPDX-License-Identifier: MIT */
/*
 * One table of hypercalls and what they must answer, run twice: by
 * tests/unit/test_hypercall_table.c on the fake KVM, and by tests/live/guest_hypercalls.c, a guest,
 * on a real one. Freestanding; it has numbers and layouts of its own, so that an error in the
 * library's is found.
 *
 *   info.c    what there is to know of each call: parameter sizes, and parameters to call it with
 *   rows_*.c  the rows, by family; breach.c  the calling convention's errors, for every call
 *   state.c   how one state a row needs follows from the one before, by hypercalls
 *   run.c     running a row in a form, and what is looked at afterwards
 *
 * An environment is the functions hct_env_*().
 */
#ifndef VSM_TESTS_HYPERCALLS_HCT_H
#define VSM_TESTS_HYPERCALLS_HCT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* --- numbers of the TLFS --- */

enum hct_status {
	ST_SUCCESS = 0x00,
	ST_INVALID_HYPERCALL_CODE = 0x02,
	ST_INVALID_HYPERCALL_INPUT = 0x03,
	ST_INVALID_ALIGNMENT = 0x04,
	ST_INVALID_PARAMETER = 0x05,
	ST_ACCESS_DENIED = 0x06,
	ST_OPERATION_DENIED = 0x08,
	ST_INSUFFICIENT_MEMORY = 0x0b,
	ST_INVALID_PARTITION_ID = 0x0d,
	ST_INVALID_VP_INDEX = 0x0e,
	ST_INVALID_PORT_ID = 0x11,
	ST_INVALID_CONNECTION_ID = 0x12,
	ST_INSUFFICIENT_BUFFERS = 0x13,
	ST_INVALID_VP_STATE = 0x15,
	ST_INVALID_SYNIC_STATE = 0x18,
	ST_INVALID_REGISTER_VALUE = 0x50,
	ST_INVALID_VTL_STATE = 0x51,
	ST_VTL_ALREADY_ENABLED = 0x86,
	ST_UD = 0x10000, /* no status: the call raises #UD */
};

enum hct_code {
	CALL_FLUSH_SPACE = 0x0002,
	CALL_FLUSH_LIST = 0x0003,
	CALL_LONG_SPIN_WAIT = 0x0008,
	CALL_CLUSTER_IPI = 0x000b,
	CALL_PROTECT = 0x000c,
	CALL_ENABLE_PARTITION = 0x000d,
	CALL_DISABLE_PARTITION = 0x000e,
	CALL_ENABLE_VP = 0x000f,
	CALL_DISABLE_VP = 0x0010,
	CALL_VTL_CALL = 0x0011,
	CALL_VTL_RETURN = 0x0012,
	CALL_FLUSH_SPACE_EX = 0x0013,
	CALL_FLUSH_LIST_EX = 0x0014,
	CALL_CLUSTER_IPI_EX = 0x0015,
	CALL_INSTALL_INTERCEPT = 0x004d,
	CALL_GET_REGISTERS = 0x0050,
	CALL_SET_REGISTERS = 0x0051,
	CALL_TRANSLATE = 0x0052,
	CALL_POST_MESSAGE = 0x005c,
	CALL_SIGNAL_EVENT = 0x005d,
	CALL_ASSERT_INTERRUPT = 0x0094,
	CALL_START_VP = 0x0099,
	CALL_VP_INDEX = 0x009a,
	CALL_TRANSLATE_EX = 0x00ac,
	CALL_CHECK_ACCESS = 0x00d4,
	CALL_CAPABILITIES = 0x8001,
};

#define HCT_SELF     UINT64_MAX
#define HCT_VP_SELF  UINT64_C(0xfffffffe)
#define HCT_PAGESIZE UINT64_C(4096)

/* HV_INPUT_VTL naming a VTL; and where it is in a word that starts with a 32-bit VP index. */
#define HCT_VTL(n)	UINT64_C(0x1##n)
#define HCT_VP(vp, vtl) ((uint64_t)(vp) | (uint64_t)(vtl) << 32)
#define HCT_VP_OWN	HCT_VP_SELF /* this VP, VTL not named */

/* --- forms --- */

/* Who calls: 64-bit code, 32-bit code under long mode, 32-bit protected mode without paging. */
enum hct_mode {
	HCT_64,
	HCT_COMPAT,
	HCT_32,
};

enum hct_form {
	HCT_SLOW,
	HCT_FAST, /* in general registers, and in XMM registers when there is more than they hold */
	HCT_SLOW_COMPAT,
	HCT_FAST_COMPAT,
	HCT_SLOW_32,
	HCT_FAST_32,
	HCT_FORMS,
};
#define HCT_FORM(f)	 (1u << (f))
#define HCT_FORM_FAST(f) ((f)&1)
#define HCT_FORM_MODE(f) ((enum hct_mode)((f) >> 1))

/* RDX, R8, XMM0..XMM5: the registers of a fast call. */
#define HCT_BLOCK 112

struct hct_info {
	uint16_t code;
	bool rep, variable;
	bool code_page; /* a VTL switch: no parameters, no status */
	uint16_t header, element, output, output_element;
	/* A call without breaches, of VTL0; what it answers does not matter. */
	uint16_t reps, words;
	const uint64_t *base;
};

extern const struct hct_info hct_infos[];
extern const unsigned hct_info_count;
const struct hct_info *hct_info_of(uint16_t code);

/* Bytes of input and of output, with this many reps and words of variable header. */
unsigned hct_input_size(const struct hct_info *info, unsigned reps, unsigned variable);
unsigned hct_output_size(const struct hct_info *info, unsigned reps);
/* Can it be made in this form? */
bool hct_fits(const struct hct_info *info, unsigned reps, unsigned variable, enum hct_form form);

/* --- one call --- */

enum hct_entry {
	HCT_ENTRY_HYPERCALL,
	HCT_ENTRY_VTL_CALL,
	HCT_ENTRY_VTL_RETURN,
};

struct hct_call {
	uint8_t vtl; /* that calls */
	enum hct_entry entry;
	enum hct_mode mode;
	uint64_t control; /* RCX, or EDX:EAX */
	/* RAX of a 64-bit caller before the call, the VTL switch's input if the code is in RCX. */
	uint64_t switch_input;
	/* RDX and R8 (EBX:ECX and EDI:ESI), XMM0..5; also as they are afterwards. */
	uint64_t block[HCT_BLOCK / 8];

	/* What came of it. */
	uint64_t result; /* RAX, or EDX:EAX */
	bool ud;
	uint8_t reached;     /* by an entry of the code page: which VTL */
	unsigned intercepts; /* that the call had to wait for */
};

/* --- rows --- */

/* Each follows from the one before. In those from HCT_ONLY_TWO on VTL2 is what it was. */
enum hct_state {
	HCT_NONE,	    /* VTL0 alone */
	HCT_ON_PARTITION,   /* the partition has VTL1 */
	HCT_ON_VP,	    /* so has this VP */
	HCT_PROTECTED,	    /* VTL1 has turned protections on */
	HCT_TWO,	    /* the partition has VTL2 */
	HCT_TWO_ON_VP,	    /* so has this VP, and VTL2 has turned protections on */
	HCT_ONLY_TWO_ON_VP, /* VTL1 disabled on this VP */
	HCT_ONLY_TWO,	    /* and for the partition */
	HCT_AGAIN,	    /* VTL1 enabled again, by VTL2, on both */
	HCT_STATES,
};

enum hct_fault {
	HCT_NO_FAULT,
	HCT_FAULT_PROTECT, /* mmap protections cannot be changed */
	HCT_FAULT_MSR_FILTER,
	HCT_FAULT_SET_SREGS,
	HCT_FAULT_OTHER_REGS, /* the other VP's registers cannot be read */
	HCT_FAULT_DEBUGREGS,
	HCT_FAULT_EVENTS,   /* a vCPU's events cannot be set */
	HCT_FAULT_CALLBACK, /* the VMM's port callback fails */
	HCT_FAULT_MSI,	    /* KVM refuses the message */
	HCT_FAULT_BUSY,	    /* it has no room */
};

enum hct_flag {
	HCT_ONCE = 1 << 0,	  /* cannot be undone: a guest makes it in the first form only */
	HCT_RELAXED = 1 << 1,	  /* under the execute policy `relaxed` */
	HCT_KERNEL_APIC = 1 << 3, /* VTL0's local APIC is KVM's */
	HCT_FATAL = 1 << 2,	  /* the partition is dead afterwards */
};

struct hct_row;
typedef void (*hct_hook)(const struct hct_row *row);

struct hct_row {
	const char *name;
	uint16_t code;
	uint8_t state; /* enum hct_state */
	uint8_t caller;
	uint8_t flags; /* enum hct_flag */
	uint8_t fault; /* enum hct_fault: such rows are the fake's only */
	uint8_t entry; /* enum hct_entry */
	uint8_t forms; /* HCT_FORM(); 0: all that fit */
	uint32_t status;
	uint16_t reps, start, done; /* rep calls */
	uint16_t variable;	    /* words */
	uint64_t control;	    /* more bits for the control word */
	uint64_t switch_input;
	/*
	 * Input, of which missing words are zero; output, of which missing words are not compared.
	 */
	uint16_t words, outs;
	const uint64_t *in, *out;
	/* Completes the input; before and after the call. */
	void (*fill)(uint64_t *in);
	hct_hook before, after;
	bool (*check)(const uint64_t *out);
};

#define HCT_COUNT(a) (sizeof(a) / sizeof((a)[0]))
#define HCT_WORDS(...)                                                         \
	HCT_COUNT(((const uint64_t[]){__VA_ARGS__})), .in = (const uint64_t[]) \
	{                                                                      \
		__VA_ARGS__                                                    \
	}
#define IN(...) .words = HCT_WORDS(__VA_ARGS__)
#define OUT(...)                                                                        \
	.outs = HCT_COUNT(((const uint64_t[]){__VA_ARGS__})), .out = (const uint64_t[]) \
	{                                                                               \
		__VA_ARGS__                                                             \
	}
/* Two 32-bit elements in a word. */
#define PAIR(a, b) ((uint64_t)(a) | (uint64_t)(b) << 32)

/* Words of input and output that depend on the environment. */
#define HCT_TOKEN      UINT64_C(0x5a5a000000000000)
#define HCT_TOKEN_MASK UINT64_C(0xffff000000000000)
#define HCT_GFN(n)     (HCT_TOKEN | (n)) /* page number of page n, enum hct_page */
#define HCT_APIC(n)    (HCT_TOKEN | UINT64_C(1) << 32 | (n)) /* local APIC id of VP n */

/* What VTL1 has in LSTAR, and VTL0 does not have of page HCT_RANGE, when VTL1 is disabled. */
#define HCT_LEFT_BEHIND UINT64_C(0x123000)

struct hct_family {
	const char *file;
	const struct hct_row *rows;
	const unsigned *count;
};
extern const struct hct_family hct_families[];
extern const unsigned hct_family_count;

/* A mistake in the calling convention, applied to each call's base. */
struct hct_breach {
	const char *name;
	uint32_t status;
	bool (*applies)(const struct hct_info *info, enum hct_form form);
	void (*apply)(const struct hct_info *info, struct hct_call *call);
};
extern const struct hct_breach hct_breaches[];
extern const unsigned hct_breach_count;

/* --- running --- */

/* Can this row be run in this form? */
bool hct_row_fits(const struct hct_row *row, enum hct_form form);

/* Runs it in the state it needs. Differences go to hct_env_report(); false if there were some. */
bool hct_run_row(const struct hct_row *row, enum hct_form form);

/*
 * All rows of a state, one after the other in a partition that goes on living; of those that cannot
 * be undone the first form only, and none whose fault this host cannot have. `relaxed`: the
 * partition's execute policy.
 */
bool hct_run_state(enum hct_state state, bool relaxed);

/*
 * In any state: every breach of every call from VTL0 in every form; closed pages when `protected`.
 */
bool hct_run_breaches(const struct hct_info *info);
bool hct_run_closed(const struct hct_info *info);

/* Codes that no call has. */
bool hct_run_unknown_codes(void);

/*
 * From one state to the next; false, and reported, if a call on the way does not do what it must.
 */
bool hct_advance(enum hct_state to);

/* A slow call of 64-bit code, input in a page of its own; for what must be so before or after. */
uint64_t hct_simple(unsigned vtl, uint16_t code, unsigned reps, const uint64_t *words,
		    unsigned count);
uint64_t hct_set_register(unsigned vtl, uint32_t name, uint64_t value);
#define HCT_SIMPLE(vtl, code, reps, ...)                             \
	hct_simple(vtl, code, reps, (const uint64_t[]){__VA_ARGS__}, \
		   HCT_COUNT(((const uint64_t[]){__VA_ARGS__})))

/* VTL1 gives VTL0 what it may do with a page. */
uint64_t hct_limit_page(unsigned page, unsigned mask);

/* HvCallEnableVpVtl with a context the VTL can run with. */
uint64_t hct_enable_vp(unsigned by, uint64_t vp, unsigned vtl);

/* --- what an environment provides --- */

/* Pages for the table's use; those from HCT_RANGE on are consecutive. */
enum hct_page {
	HCT_INPUT,
	HCT_AFTER_INPUT, /* the page behind it */
	HCT_OUTPUT,
	HCT_AFTER_OUTPUT,
	HCT_HELPER_INPUT,
	HCT_HELPER_OUTPUT,
	HCT_MESSAGES,
	HCT_EVENT_FLAGS,
	HCT_RANGE,
	HCT_RANGE_PAGES = 100,
	HCT_PAGES = HCT_RANGE + HCT_RANGE_PAGES,
};
void *hct_env_page(unsigned page);

/* Bytes of an output page that are looked at, at most all: fewer where time is short. */
extern const unsigned hct_env_watched;
uint64_t hct_env_gpa(unsigned page);
uint32_t hct_env_apic_id(unsigned vp);

/* The page as VTL0 sees it: an overlay, where there is one. */
const void *hct_env_shown(unsigned page);

/* Makes the call. A page that VTL1 closed is opened by it when it gets the intercept. */
void hct_env_call(struct hct_call *call);

/* An initial context (224 bytes) that the VTL can run with. */
void hct_env_context(unsigned vtl, void *context);

/* Bits that the processors' physical addresses have. */
unsigned hct_env_physical_bits(void);

/* The VTL was enabled on this VP. */
void hct_env_enabled(unsigned vtl);

/* A connection to a SINT of VTL0's; messages, or events. */
void hct_env_connect(bool events, uint8_t id, uint8_t sint);
void hct_env_disconnect(uint8_t id);

/* From now on the host fails so; until HCT_NO_FAULT. */
void hct_env_fault(enum hct_fault fault);

/* A difference. */
void hct_env_report(const char *name, enum hct_form form, const char *what, uint64_t got,
		    uint64_t wanted);

#endif
