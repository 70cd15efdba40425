#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Only lib/kvm/ talks to the kernel, and nothing in lib/ prints or ends the process.

usage: test_kernel_boundary.py SOURCE_ROOT

First it proves on made-up sources that it fires, then it reads SOURCE_ROOT/lib.
"""
import pathlib
import re
import sys
import tempfile

# System calls by names nothing else has: any mention counts.
KERNEL_WORDS = [
    'ioctl', 'openat', 'mmap', 'munmap', 'mremap', 'mprotect', 'madvise', 'mlock', 'eventfd',
    'memfd_create', 'fcntl', 'ftruncate', 'fstat', 'pthread_kill', 'tgkill', 'sigaction', 'gettid',
    'clock_gettime', r'io_uring_\w+', r'epoll_\w+', r'timerfd_\w+',
]
# The same by names a variable or member may have: only calls count.
KERNEL_CALLS = ['open', 'close', 'dup', 'dup2', 'dup3', 'read', 'write', 'pread', 'pwrite', 'poll',
                'syscall', 'kill', 'raise', 'signal']
# Output and endings, everywhere in lib/.
PROCESS_CALLS = ['printf', 'fprintf', 'dprintf', 'vprintf', 'vfprintf', 'puts', 'fputs', 'putchar',
                 'perror', 'exit', '_exit', '_Exit', 'quick_exit', 'abort', 'assert', 'err', 'errx',
                 'warn', 'warnx', '__builtin_trap']

NOT_CODE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)


def pattern(words, calls):
    # A member (ops->close, x.open) is not libc's.
    parts = [rf'\b(?:{"|".join(words)})\b'] if words else []
    parts.append(rf'(?<!->)(?<!\.)\b(?:{"|".join(calls)})\s*\(')
    return re.compile('|'.join(parts))


KERNEL = pattern(KERNEL_WORDS, KERNEL_CALLS)
PROCESS = pattern([], PROCESS_CALLS)


def code_of(text):
    """The text without comments and literals, line numbers kept."""
    return NOT_CODE.sub(lambda m: '\n' * m.group().count('\n') or ' ', text)


def findings(root):
    lib = root / 'lib'
    for path in sorted([*lib.rglob('*.c'), *lib.rglob('*.h')]):
        rules = [(PROCESS, 'prints or ends the process')]
        if path.parent != lib / 'kvm':
            rules.append((KERNEL, 'talks to the kernel outside lib/kvm/'))
        for number, line in enumerate(code_of(path.read_text()).split('\n'), 1):
            for rule, what in rules:
                for match in rule.finditer(line):
                    yield f'{path.relative_to(root)}:{number}: {what}: {match.group()}'


def findings_in(folder, text):
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        (root / 'lib' / folder).mkdir(parents=True)
        (root / 'lib' / folder / 'a.c').write_text(text)
        return list(findings(root))


INNOCENT = '''
/* close(2) of it, or
 * abort() */
// ioctl(fd)
static const char *s = "mmap(it) and \\"exit(1)\\"", c = '"'; _Static_assert(1, "assert(0)");
int open; void f(void) { snprintf(b, n, s); vsnprintf(b, n, s, a); h->ops->close_fd(h, open); }
int g(struct x *x) { return x->close(x) + x->ops.read(x) + partition_exit(x) + vcpu_signal(x); }
'''


def self_test():
    def check(condition, what):
        if not condition:
            sys.exit(f'self-test: {what}')

    names = [w.replace(r'\w+', 'create') for w in KERNEL_WORDS] + KERNEL_CALLS
    for name in names:
        seeded = f'int f(void)\n{{\n\treturn {name}(0);\n}}\n'
        found = findings_in('memory', seeded)
        check(len(found) == 1 and ':3:' in found[0], f'{name} outside lib/kvm/ gives {found}')
        check(not findings_in('kvm', seeded), f'{name} in lib/kvm/ is found')
    for name in PROCESS_CALLS:
        for folder in ['memory', 'kvm']:
            found = findings_in(folder, f'void f(void)\n{{\n\t{name} ("x");\n}}\n')
            check(len(found) == 1 and ':3:' in found[0], f'{name} in {folder} gives {found}')
    found = findings_in('memory', 'static void *(*map)() = mmap;\n')
    check(len(found) == 1, f'the address of mmap gives {found}')
    check(not findings_in('memory', INNOCENT), f'{findings_in("memory", INNOCENT)} are innocent')


def main():
    self_test()
    root = pathlib.Path(sys.argv[1])
    if not (root / 'lib' / 'kvm').is_dir():
        sys.exit(f'{root} has no lib/kvm')
    found = list(findings(root))
    print('\n'.join(found))
    sys.exit(1 if found else 0)


main()
