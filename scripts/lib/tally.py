#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Counts what meson's testlog.json files say, down to the single cases of TAP and cmocka programs.

usage: tally.py LABEL LOG OUT    appends a line "pass|fail|skip <tab> name <tab> reason" per case to OUT and shows
                                 the whole output of each program that failed
       tally.py --sum OUT        shows why things were skipped and the line "N passed, N failed, N skipped"
"""
import collections
import json
import re
import sys

TAP_PLAN = re.compile(r'^1\.\.(\d+)(?:\s*#\s*skip\S*\s*(.*))?', re.I | re.M)
TAP_CASE = re.compile(r'^(not )?ok\b\s*\d*\s*-?\s*([^#\n]*?)\s*(?:#\s*(skip|todo)\S*\s*(.*))?$', re.I | re.M)
CMOCKA_END = re.compile(r'^\[(  PASSED  |  FAILED  |  SKIPPED )\] (\d+) test', re.M)
CMOCKA_NAME = re.compile(r'^\[(  FAILED  |  SKIPPED )\] (?!\d+ test)(\S.*)', re.M)
CMOCKA_SKIPPED = re.compile(r'^\[ RUN      \] (\S+)\n(.*?)^\[  SKIPPED \] \1$', re.M | re.S)
CMOCKA_SUM = re.compile(r'^ *\d+ (?:FAILED|SKIPPED) TEST\(S\)$', re.M)
CMOCKA_WORDS = {'PASSED': 'pass', 'FAILED': 'fail', 'SKIPPED': 'skip'}
NO_REASON = 'no reason given'


def skip_reason(text):
    """The last line that speaks of skipping, else the last line at all."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    speaking = [line for line in lines if re.search(r'\bskip', line, re.I)]
    line = (speaking or lines or [NO_REASON])[-1]
    return re.sub(r'^(\S+:\s*)?skip\w*\s*[:\-]?\s*', '', line, flags=re.I) or NO_REASON


def tap_cases(name, text):
    plan = TAP_PLAN.search(text)
    if not plan:
        return None
    cases = []
    for bad, case, directive, words in TAP_CASE.findall(text):
        kind = 'skip' if directive.lower() == 'skip' else 'fail' if bad and not directive else 'pass'
        cases.append((kind, f'{name}: {case}', words or (NO_REASON if kind == 'skip' else '')))
    if not cases and plan.group(1) == '0':
        return [('skip', name, plan.group(2) or NO_REASON)]
    return cases + [('fail', f'{name}: a case that was planned', 'it did not report')
                    for _ in range(int(plan.group(1)) - len(cases))]


def cmocka_cases(name, text):
    """cmocka has no place for a skip's reason: it is what the test printed."""
    counts, names = collections.Counter(), collections.defaultdict(dict)
    for word, number in CMOCKA_END.findall(text):
        counts[CMOCKA_WORDS[word.strip()]] += int(number)
    for word, case in CMOCKA_NAME.findall(text):
        names[CMOCKA_WORDS[word.strip()]][f'{name}: {case}'] = True  # they are named twice
    own = {f'{name}: {case}': skip_reason(printed) for case, printed in CMOCKA_SKIPPED.findall(text)}
    printed = '\n'.join(line for line in CMOCKA_SUM.sub('', text).splitlines() if not line.startswith('['))
    return [(kind, case, own.get(case, skip_reason(printed)) if kind == 'skip' else '')
            for kind, number in counts.items()
            for case in ([*names[kind]] + [name] * number)[:number]]


def cases_of(test):
    """All cases of one program; a program that failed has at least one failed case."""
    name, result = test['name'].rpartition(' / ')[2], test['result']
    output = test.get('stdout') or ''
    everything = output + '\n' + (test.get('stderr') or '')
    if result == 'SKIP' and not TAP_PLAN.search(output):
        return [('skip', name, skip_reason(everything))]
    cases = tap_cases(name, output) or cmocka_cases(name, everything)
    good = result in ('OK', 'EXPECTEDFAIL', 'SKIP')
    if not cases and good:
        return [('pass', name, '')]
    if not good and not any(kind == 'fail' for kind, _, _ in cases):
        cases.append(('fail', name, result.lower()))
    return cases


def interesting(text):
    """Of TAP, the cases that failed and what stands before them; else all of it."""
    if not TAP_PLAN.search(text):
        return text
    parts, start = [], 0
    for case in TAP_CASE.finditer(text):
        if case[1] and not case[3]:
            parts.append(text[start:case.end()])
        start = case.end() + 1
    return '\n'.join([*parts, text[start:]])


def show_failure(label, test):
    status = f'{test["result"]}, status {test["returncode"]}, {test["duration"]:.1f} s'
    print(f'--- {label}: {test["name"]}: {status}', interesting(test.get('stdout') or ''),
          test.get('stderr') or '', f'--- end of {test["name"]}', sep='\n')


def count(label, log, out):
    with open(log, encoding='utf-8', errors='replace') as lines:
        tests = [json.loads(line) for line in lines if line.strip()]
    if not tests:
        out.write(f'fail\t{label}\tit has no tests\n')
    for test in tests:
        cases = cases_of(test)
        if any(kind == 'fail' for kind, _, _ in cases):
            show_failure(label, test)
        for kind, name, reason in cases:
            out.write(f'{kind}\t{label}: {name}\t{" ".join(reason.split())}\n')


def report(path):
    counts = collections.Counter()
    with open(path, encoding='utf-8') as lines:
        for line in lines:
            kind, name, reason = line.rstrip('\n').split('\t')
            counts[kind] += 1
            if kind == 'skip':
                print(f'skipped: {name}: {reason}')
            elif kind == 'fail':
                print(f'failed: {name}' + (f': {reason}' if reason else ''))
    print(f'{counts["pass"]} passed, {counts["fail"]} failed, {counts["skip"]} skipped')
    return 1 if counts['fail'] or not counts['pass'] else 0


def main(arguments):
    if len(arguments) == 2 and arguments[0] == '--sum':
        return report(arguments[1])
    if len(arguments) != 3:
        sys.exit(__doc__)
    with open(arguments[2], 'a', encoding='utf-8') as out:
        count(arguments[0], arguments[1], out)
    return 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
