#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What is public is the same in three places: headers, version script, and what the libraries really export.

usage: test_symbols.py SOURCE_ROOT SHARED_LIBRARY STATIC_LIBRARY
"""
import pathlib
import re
import subprocess
import sys


def declared(headers):
    """Names of functions declared with VSM_API."""
    names = set()
    for text in headers:
        for match in re.finditer(r'^VSM_API\b([^;{]*)\(', text, re.M):
            names.update(re.findall(r'(vsm_\w+)\s*$', match.group(1).split('(')[0]))
    return names


def in_map(text):
    return set(re.findall(r'^\s+(vsm_\w+);', text, re.M))


def symbols(args, library):
    out = subprocess.run(['nm', *args, library], check=True, capture_output=True, text=True).stdout
    return {line.split()[2].split('@')[0] for line in out.splitlines()
            if len(line.split()) == 3 and line.split()[1] in 'TDBRVW'}


def differences(named):
    """One line for each name that is not everywhere."""
    everything = set().union(*named.values())
    return [f'{name}: not in {place}' for name in sorted(everything)
            for place, names in named.items() if name not in names]


def prove():
    header = 'VSM_API int vsm_a(int x);\nVSM_API const char *vsm_b(void);\nint hidden(void);\n'
    assert declared([header]) == {'vsm_a', 'vsm_b'}
    assert in_map('global:\n\tvsm_a;\nlocal:\n\t*;\n') == {'vsm_a'}
    assert differences({'one': {'vsm_a'}, 'two': {'vsm_a', 'vsm_b'}}) == ['vsm_b: not in one']
    assert not differences({'one': {'vsm_a'}, 'two': {'vsm_a'}})


def main():
    prove()
    root = pathlib.Path(sys.argv[1])
    headers = [path.read_text() for path in sorted((root / 'include/vsm').glob('*.h'))]
    found = differences({
        'the headers': declared(headers),
        'lib/libvsm.map': in_map((root / 'lib/libvsm.map').read_text()),
        'the shared library': {n for n in symbols(['-D', '--defined-only'], sys.argv[2]) if n != 'LIBVSM_0'},
        'the static library': symbols(['-g', '--defined-only'], sys.argv[3]),
    })
    print('\n'.join(found))
    return 1 if found else 0


sys.exit(main())
