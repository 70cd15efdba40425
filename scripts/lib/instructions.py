#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts the instructions libvsm itself executes for one VTL switch and one hypercall, on the model of KVM.

usage: instructions.py PROGRAM [--json FILE] [--functions]

PROGRAM is vsm-bench-instructions. It runs under callgrind for N and for 2N operations; the difference, divided by N, is one
operation. Counted are the library's functions, and what they call in libc; what the model of KVM executes is not.
"""
import argparse
import collections
import json
import re
import subprocess
import sys
import tempfile

COUNT = 200
OPERATIONS = {  # name: (the program's word for it, library entries and exits it stands for, target)
    'VTL switch': ('switches', 2, 1000),
    'Hypercall, invalid code': ('invalid', 1, 500),
    'Hypercall, NotifyLongSpinWait (simple, fast)': ('simple', 1, 500),
    'Hypercall, GetVpRegisters(VsmVpStatus) (rep)': ('registers', 1, None),
}
NAME = re.compile(r'\((\d+)\)(?: (.*))?')


class Names:
    """callgrind writes a name once and its number from then on."""
    def __init__(self):
        self.known = {}

    def get(self, text):
        match = NAME.match(text)
        if not match:
            return text
        if match.group(2) is not None:
            self.known[match.group(1)] = match.group(2)
        return self.known[match.group(1)]


def is_library(path):
    return '/lib/' in path and not path.startswith('/') or '/libvsm' in path or re.search(r'(^|/)\.\./lib/|/lib/(?:kvm|'
        r'memory|registers|apic|synic|timer|event|msr|cpuid|hypercall|vtl|intercept|vcpu|partition|probe|hv)/', path) is not None


def is_model(path):
    return '/tests/' in path


def count(path):
    """Instructions by function: a library function's own, and what libc functions it calls take in all."""
    costs = collections.Counter()
    files, functions = Names(), Names()
    file = function = home = callee_file = ''
    called = None
    for line in open(path, encoding='utf-8', errors='replace'):
        key, equals, value = line.rstrip('\n').partition('=')
        if equals and key == 'fl':
            file = home = files.get(value)
        elif equals and key in ('fi', 'fe'):
            file = files.get(value)
        elif equals and key == 'fn':
            function, file = functions.get(value), home
        elif equals and key in ('cfi', 'cfl'):
            callee_file = files.get(value)
        elif equals and key == 'cfn':
            called = (functions.get(value), callee_file or file)
            callee_file = ''
        elif equals and key == 'calls':
            callee, source = called
            line = 'call'
        elif re.match(r'[+\-*\d]', line):
            cost = int(line.split()[1])
            if called:
                if is_library(home) and not is_library(called[1]) and not is_model(called[1]):
                    costs[f'{called[0]} for {function}'] += cost
                called = None
            elif is_library(home):
                costs[function] += cost
    return costs


def profile(program, word, n):
    with tempfile.NamedTemporaryFile(prefix='callgrind.') as out:
        subprocess.run(['valgrind', '--tool=callgrind', f'--callgrind-out-file={out.name}', program, word, str(n)],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return count(out.name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('program')
    parser.add_argument('--json')
    parser.add_argument('--functions', action='store_true', help='say which functions they are')
    options = parser.parse_args()
    rows = []
    print('Instructions of the library itself, on the model of KVM')
    for name, (word, parts, target) in OPERATIONS.items():
        some, more = profile(options.program, word, COUNT), profile(options.program, word, 2 * COUNT)
        each = {f: (more[f] - some[f]) / COUNT / parts for f in more if more[f] != some[f]}
        total = sum(each.values())
        rows.append({'name': name, 'instructions': round(total, 1), 'target': target})
        print(f'  {name:<56} {total:8.0f} {"":>17} {target or "":>7}')
        if options.functions:
            for function, cost in sorted(each.items(), key=lambda item: -item[1]):
                print(f'      {cost:8.1f} {function}')
    if options.json:
        with open(options.json, 'w', encoding='utf-8') as out:
            json.dump({'rows': rows}, out, indent=1)
    return 0


if __name__ == '__main__':
    sys.exit(main())
