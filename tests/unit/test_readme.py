#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What README.md and docs/ promise is so: capabilities are the probe's, code compiles, links lead somewhere.

usage: test_readme.py SOURCE_ROOT BUILD_ROOT COMPILER...
"""
import pathlib
import re
import subprocess
import sys
import tempfile

LINE_MAX = 110
ENTRY = re.compile(r'\{CAP\((KVM_CAP_\w+)\)(.*?)\},\n', re.S)
MEMBER = r'\.{} =\s*((?:"[^"]*"\s*)+)'
LINK = re.compile(r'\]\(([^)#:]+)(?:#[^)]*)?\)')
CODE = re.compile(r'^```c\n(.*?)^```', re.S | re.M)
ROW = re.compile(r'^\| `KVM_CAP_.*', re.M)
ENOUGH = re.compile(r'Linux (\S+) has everything')


def member(body, name):
    match = re.search(MEMBER.format(name), body)
    return ''.join(re.findall(r'"([^"]*)"', match[1])) if match else ''


def capabilities(source):
    """(name, since, needed, loss) of every row in lib/probe/capability.c"""
    return [(name, member(body, 'since'), '.needed = true' in body, member(body, 'loss'))
            for name, body in ENTRY.findall(source)]


def version(text):
    return tuple(int(part) for part in text.split('.'))


def table_problems(readme, source):
    expected = [f'| `{name}` | {since} | {"needed" if needed else "optional"} | {loss} |'
                for name, since, needed, loss in capabilities(source)]
    rows = ROW.findall(readme)
    if not expected or len(expected) != source.count('{CAP('):
        yield 'lib/probe/capability.c is not written as this test reads it'
    for row in expected:
        if row not in rows:
            yield f'the table lacks {row}'
    for row in rows:
        if row not in expected:
            yield f'the table has, the probe has not: {row}'
    needed = max((since for _, since, need, _ in capabilities(source) if need), key=version, default='')
    said = ENOUGH.search(readme)
    if not said or said[1] != needed:
        yield f'all that is needed is there from Linux {needed} on; README.md must say so'


def width_problems(path, text):
    for number, line in enumerate(text.split('\n'), 1):
        if len(line) > LINE_MAX:
            yield f'{path.name}:{number}: {len(line)} columns'


def link_problems(path, text):
    for target in LINK.findall(text):
        if not (path.parent / target).exists():
            yield f'{path.name}: no {target}'


def code_problems(path, text, compiler):
    for number, code in enumerate(CODE.findall(text), 1):
        with tempfile.NamedTemporaryFile('w', suffix='.c') as file:
            file.write(code)
            file.flush()
            done = subprocess.run([*compiler, '-fsyntax-only', '-Wall', '-Wextra', '-Werror', file.name],
                                  capture_output=True, text=True, check=False)
        if done.returncode:
            yield f'{path.name}: C example {number} does not compile:\n{done.stderr}'


def self_test(compiler):
    """Every check must fire on what it is for."""
    source = '{CAP(KVM_CAP_X), .needed = true, .since = "5.1",\n .purpose = "p", .loss = "a "\n "b"},\n'
    good = '| `KVM_CAP_X` | 5.1 | needed | a b |\nLinux 5.1 has everything\n'
    readme = pathlib.Path(__file__).with_name('README.md')
    assert not list(table_problems(good, source))
    for old, new in [('5.1', '5.2'), ('needed', 'optional'), ('a b', 'a'), ('KVM_CAP_X', 'KVM_CAP_Y')]:
        assert list(table_problems(good.replace(old, new, 1), source)), new
    assert list(table_problems(good, source.replace('5.1', '5.10')))
    assert list(width_problems(readme, 'x' * (LINE_MAX + 1)))
    assert list(link_problems(readme, '[a](no/such/file)'))
    assert list(code_problems(readme, '```c\nint f(void) { return g(); }\n```\n', compiler))
    assert not list(code_problems(readme, '```c\nint f(void);\n```\n', compiler))


def main():
    root, build, compiler = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3:]
    compiler += ['-std=gnu11', '-D_GNU_SOURCE', f'-I{root / "include"}', f'-I{build / "include"}']
    self_test(compiler)
    readme = root / 'README.md'
    problems = list(table_problems(readme.read_text(), (root / 'lib/probe/capability.c').read_text()))
    problems += width_problems(readme, readme.read_text())
    if not CODE.search(readme.read_text()):
        problems.append('README.md shows no C')
    for path in [readme, *sorted((root / 'docs').glob('*.md'))]:
        text = path.read_text()
        problems += [*link_problems(path, text), *code_problems(path, text, compiler)]
    print('\n'.join(problems))
    sys.exit(1 if problems else 0)


main()
