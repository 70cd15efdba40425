#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""scripts/lib/tally.py counts right, and never takes trouble for success.

usage: test_tally.py SOURCE_ROOT
"""
import json
import pathlib
import subprocess
import sys
import tempfile

# (meson's result, the program's output, the expected sum, words the report must have)
CASES = [
    ('OK', '', '1 passed, 0 failed, 0 skipped', []),
    ('EXPECTEDFAIL', '', '1 passed, 0 failed, 0 skipped', []),
    ('FAIL', 'what happened', '0 passed, 1 failed, 0 skipped', ['what happened', 'failed: s: t: fail']),
    ('TIMEOUT', '', '0 passed, 1 failed, 0 skipped', ['failed: s: t: timeout']),
    ('UNEXPECTEDPASS', '', '0 passed, 1 failed, 0 skipped', []),
    ('INTERRUPT', '', '0 passed, 1 failed, 0 skipped', []),
    ('SKIP', 'first\nskipped: no KVM\n', '0 passed, 0 failed, 1 skipped', ['skipped: s: t: no KVM']),
    ('SKIP', 'vsm-run: no device\n', '0 passed, 0 failed, 1 skipped', ['skipped: s: t: vsm-run: no device']),
    ('SKIP', '', '0 passed, 0 failed, 1 skipped', ['no reason given']),
    # TAP
    ('OK', '1..2\nok 1 - a\nok 2 - b\n', '2 passed, 0 failed, 0 skipped', []),
    ('FAIL', '1..3\n# fine\nok 1 - a\n# bad\nnot ok 2 - b\nok 3 - c # SKIP no c\n', '1 passed, 1 failed, 1 skipped',
     ['# bad', 'failed: s: t: b', 'skipped: s: t: c: no c']),
    ('ERROR', '1..3\nok 1 - a\n', '1 passed, 2 failed, 0 skipped', ['it did not report']),
    ('ERROR', '1..1\nok 1 - a\n', '1 passed, 1 failed, 0 skipped', ['failed: s: t: error']),
    ('ERROR', 'Bail out! it broke\n', '0 passed, 1 failed, 0 skipped', ['it broke']),
    ('SKIP', '1..0 # SKIP no QEMU\n', '0 passed, 0 failed, 1 skipped', ['skipped: s: t: no QEMU']),
    # cmocka
    ('OK', '[==========] 3 test(s) run.\n[  PASSED  ] 3 test(s).\n', '3 passed, 0 failed, 0 skipped', []),
    ('OK', '[  PASSED  ] 3 test(s).\n[  PASSED  ] 2 test(s).\n', '5 passed, 0 failed, 0 skipped', []),
    ('FAIL', '[  FAILED  ] x\n[  PASSED  ] 1 test(s).\n[  FAILED  ] 1 test(s), listed below:\n[  FAILED  ] x\n',
     '1 passed, 1 failed, 0 skipped', ['failed: s: t: x']),
    ('FAIL', '[  PASSED  ] 3 test(s).\n', '3 passed, 1 failed, 0 skipped', ['failed: s: t: fail']),
    ('OK', 'skipped: no AVX\n[  SKIPPED ] y\n[  PASSED  ] 1 test(s).\n[  SKIPPED ] 1 test(s), listed below:\n'
     '[  SKIPPED ] y\n', '1 passed, 0 failed, 1 skipped', ['skipped: s: t: y: no AVX']),
    ('OK', '[ RUN      ] x\n[       OK ] x\n[ RUN      ] y\nskipped: no AVX\n[  SKIPPED ] y\n[ RUN      ] z\n'
     'skipped: no PAE\n[  SKIPPED ] z\n[ RUN      ] q\n[  SKIPPED ] q\n[  PASSED  ] 1 test(s).\n'
     '[  SKIPPED ] 3 test(s), listed below:\n[  SKIPPED ] y\n[  SKIPPED ] z\n[  SKIPPED ] q\n\n 3 SKIPPED TEST(S)\n',
     '1 passed, 0 failed, 3 skipped',
     ['skipped: s: t: y: no AVX', 'skipped: s: t: z: no PAE', 'skipped: s: t: q: no reason given']),
]


def run(tally, folder, lines):
    """The report on a log, and whether the sum is a success."""
    log, out = folder / 'log.json', folder / 'out'
    log.write_text(lines)
    out.write_text('')
    shown = subprocess.run([sys.executable, tally, 's', log, out], capture_output=True, text=True, check=True)
    summed = subprocess.run([sys.executable, tally, '--sum', out], capture_output=True, text=True, check=False)
    return shown.stdout + summed.stdout, summed.returncode


def problems(tally, folder):
    for result, output, expected, words in CASES:
        test = {'name': 'libvsm:s / t', 'result': result, 'returncode': 0, 'duration': 1.0, 'stdout': output}
        report, status = run(tally, folder, json.dumps(test) + '\n')
        good = ' 0 failed' in expected and not expected.startswith('0 passed')
        if report.rstrip('\n').rpartition('\n')[2] != expected:
            yield f'{result} {output!r}: the last line is not {expected!r}:\n{report}'
        if (status == 0) != good:
            yield f'{result} {output!r}: status {status}'
        for word in words:
            if word not in report:
                yield f'{result} {output!r}: {word!r} is not in\n{report}'
    report, status = run(tally, folder, '')
    if status == 0 or 'it has no tests' not in report:
        yield f'a suite without tests is a success:\n{report}'


def main():
    tally = pathlib.Path(sys.argv[1]) / 'scripts/lib/tally.py'
    with tempfile.TemporaryDirectory() as folder:
        found = list(problems(tally, pathlib.Path(folder)))
    print('\n'.join(found))
    sys.exit(1 if found else 0)


main()
