#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Layers point one way (docs/design.md): no file of lib/ includes a header of a layer above its own.

usage: test_layers.py SOURCE_ROOT

First it proves on made-up sources that it fires, then it reads SOURCE_ROOT/lib.
"""
import fnmatch
import pathlib
import re
import sys
import tempfile

# From below. Within a layer folders may use each other.
LAYERS = [
    ['hv', 'kvm'],
    ['memory'],
    ['registers'],
    ['apic', 'cpuid', 'event', 'hypercall', 'intercept', 'msr', 'synic', 'timer', 'vtl'],
    ['vcpu'],
    ['partition', 'probe'],
]
RANK = {folder: rank for rank, folders in enumerate(LAYERS) for folder in folders}
MIDDLE = RANK['apic']

# Files that belong elsewhere than their folder says.
MOVED = {
    # What the guest calls registers: each row leads to whoever keeps the value.
    'registers/place_*': MIDDLE,
    'registers/table.c': MIDDLE,
    # Services on all VPs, which those that act on VPs use.
    'partition/hold.*': MIDDLE,
    'partition/tlb.*': MIDDLE,
    'partition/options.*': MIDDLE,
    # A VP is held where steps of others end, which it must not see.
    'vcpu/step.h': MIDDLE,
}
# The structures everything is about: any file may know them, and they contain parts of all layers.
STRUCTURES = ['vcpu/vcpu.h', 'partition/partition.h']

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)


def rank(path):
    for glob, moved in MOVED.items():
        if fnmatch.fnmatch(path, glob):
            return moved
    return RANK[path.split('/')[0]]


def findings(root):
    lib = root / 'lib'
    for path in sorted([*lib.rglob('*.c'), *lib.rglob('*.h')]):
        name = str(path.relative_to(lib))
        if name in STRUCTURES:
            continue
        for header in INCLUDE.findall(path.read_text()):
            # include/vsm/ is the public interface; a header with no folder is the file's own.
            if '/' not in header or header.startswith('vsm/') or header in STRUCTURES:
                continue
            if rank(header) > rank(name):
                yield f'lib/{name} includes {header}, of a layer above its own'


def findings_in(name, header):
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / 'lib' / name
        path.parent.mkdir(parents=True)
        path.write_text(f'#include <string.h>\n#  include "{header}"\n')
        return list(findings(pathlib.Path(folder)))


def self_test():
    cases = [
        ('kvm/a.c', 'memory/a.h', 1), ('memory/a.c', 'registers/a.h', 1),
        ('msr/a.c', 'vcpu/interrupt.h', 1), ('synic/a.h', 'vcpu/run.h', 1),
        ('registers/vtl_cpu.c', 'msr/a.h', 1), ('registers/place_vsm.c', 'msr/a.h', 0),
        ('registers/place_vsm.c', 'vcpu/a.h', 1), ('partition/tlb.c', 'vcpu/a.h', 1),
        ('memory/a.c', 'partition/hold.h', 1), ('vcpu/a.c', 'msr/a.h', 0),
        ('msr/a.c', 'vcpu/vcpu.h', 0), ('msr/a.c', 'vsm/vcpu.h', 0), ('msr/a.c', 'apic/a.h', 0),
    ]
    for name, header, count in cases:
        found = findings_in(name, header)
        if len(found) != count:
            sys.exit(f'self-test: {name} with {header} gives {found}')


def main():
    self_test()
    root = pathlib.Path(sys.argv[1])
    missing = [f.name for f in (root / 'lib').iterdir() if f.is_dir() and f.name not in RANK]
    if missing:
        sys.exit(f'folders of lib/ in no layer: {missing}')
    found = list(findings(root))
    print('\n'.join(found))
    sys.exit(1 if found else 0)


main()
