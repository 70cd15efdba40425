#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Draws the figures of vsm-bench as a chart.

usage: bench_chart.py OUT.svg NAME.json...

A bar per row and file: the ratio to bare KVM, where they differ much on a logarithmic scale, the quartiles as a line, the target
as a mark. Of instructions.json, the instructions.
"""
import html
import json
import math
import os
import sys

WIDTH, LEFT, RIGHT, TOP = 1120, 430, 90, 74
BAR, GAP, GROUP = 13, 7, 34
COLOURS = ['#2f6f9f', '#d98032', '#5a9a5a', '#8a6bb0', '#b08a3c']
TARGET = '#b3202c'
STYLE = 'text{font-family:sans-serif;font-size:12px;fill:#222}.h{font-size:18px;font-weight:bold}' \
    '.g{font-weight:bold}.s{fill:#666;font-size:11px;paint-order:stroke;stroke:white;stroke-width:3px}'


class Chart:
    def __init__(self):
        self.parts, self.y = [], TOP

    def text(self, x, y, words, kind='', anchor='start'):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{html.escape(words)}</text>')

    def line(self, x1, y1, x2, y2, colour, width=1.0, dash=''):
        extra = f' stroke-dasharray="{dash}"' if dash else ''
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}" '
                          f'stroke-width="{width}"{extra}/>')

    def bar(self, x, y, width, colour):
        self.parts.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{BAR}" fill="{colour}"/>')

    def write(self, path):
        height = self.y + 20
        with open(path, 'w', encoding='utf-8') as out:
            out.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
                      f'viewBox="0 0 {WIDTH} {height}"><style>{STYLE}</style>'
                      f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n')
            out.write('\n'.join(self.parts))
            out.write('\n</svg>\n')


class Scale:
    """Of one group: linear if it all fits into a few times its smallest, else logarithmic; from `base` on."""
    def __init__(self, values, base):
        top = max(values) * 1.08
        self.base, self.log = base, top > 12 * max(base, 1) and base > 0
        self.top = top

    def place(self, value):
        room = WIDTH - LEFT - RIGHT
        if self.log:
            part = math.log(max(value, self.base) / self.base) / math.log(self.top / self.base)
        else:
            part = value / self.top
        return LEFT + room * min(max(part, 0), 1)

    def ticks(self):
        if self.log:
            return [10 ** n for n in range(0, 7) if self.base <= 10 ** n <= self.top]
        step = 10 ** math.floor(math.log10(self.top))
        step = step / 4 if self.top / step < 2 else step / 2 if self.top / step < 4 else step
        return [n * step for n in range(int(self.top / step) + 1)]


def number(value):
    return f'{value:.2f}' if value < 100 else f'{value:,.0f}'


def draw_group(chart, title, names, series, base=0.5):
    """series: list of (colour, {name: (value, low, high, target)})"""
    values = [v for _, rows in series for row in rows.values() for v in row if v]
    scale = Scale(values, base)
    top = chart.y + 18
    chart.text(10, chart.y + 4, title + (' (logarithmic)' if scale.log else ''), 'g')
    chart.y = top
    body = []
    for name in names:
        there = [(colour, rows[name]) for colour, rows in series if name in rows]
        body.append((name, chart.y, there))
        chart.y += len(there) * (BAR + 1) + GAP
    for tick in scale.ticks():
        chart.line(scale.place(tick), top - 4, scale.place(tick), chart.y - 2, '#ddd')
        chart.text(scale.place(tick), chart.y + 10, f'{tick:g}', 's', 'middle')
    for name, y, there in body:
        chart.text(LEFT - 8, y + len(there) * (BAR + 1) / 2 + 4, name, '', 'end')
        for i, (colour, (value, low, high, target)) in enumerate(there):
            at = y + i * (BAR + 1)
            chart.bar(LEFT, at, scale.place(value) - LEFT, colour)
            if low:
                chart.line(scale.place(low), at + BAR / 2, scale.place(high), at + BAR / 2, '#111', 1.2)
            chart.text(max(scale.place(value), scale.place(high or value)) + 5, at + BAR - 2, number(value), 's')
            if target:
                chart.line(scale.place(target), at - 1, scale.place(target), at + BAR + 1, TARGET, 2)
    chart.y += GROUP


def load(paths):
    timed, counted = [], None
    for path in paths:
        with open(path, encoding='utf-8') as f:
            data = json.load(f)
        if data['rows'] and 'instructions' in data['rows'][0]:
            counted = data
        else:
            timed.append((os.path.splitext(os.path.basename(path))[0], data))
    return timed, counted


def draw_timed(chart, timed):
    groups = {}
    for _, data in timed:
        for row in data['rows']:
            scale = f'in {row["unit"]}' if 'unit' in row else f'1 = {row["floor"]}'
            names = groups.setdefault((row['group'], scale), [])
            if row['name'] not in names:
                names.append(row['name'])
    for (group, scale), names in groups.items():
        series = [(COLOURS[i % len(COLOURS)],
                   {r['name']: (r['ratio'], r['low'], r['high'], r['target']) for r in data['rows'] if r['group'] == group})
                  for i, (_, data) in enumerate(timed)]
        draw_group(chart, f'{group}: {scale}', names, series, 0 if scale.startswith('in ') else 0.5)


def main():
    if len(sys.argv) < 3:
        sys.stderr.write(__doc__)
        return 2
    timed, counted = load(sys.argv[2:])
    chart = Chart()
    chart.text(10, 26, 'What libvsm costs: ratios to bare KVM', 'h')
    y = 38
    for i, (place, data) in enumerate(timed):
        chart.bar(10, y, 13, COLOURS[i % len(COLOURS)])
        chart.text(28, y + 11, f'{place}: {data.get("kernel", "")}, {data.get("cpu", "")}, {data.get("date", "")[:10]}', 's')
        y += BAR + 4
    chart.line(16, y, 16, y + BAR, TARGET, 2)
    chart.text(28, y + 11, 'target (less is better)', 's')
    chart.y = y + TOP - 38
    draw_timed(chart, timed)
    if counted:
        rows = {r['name']: (r['instructions'], 0, 0, r['target'] or 0) for r in counted['rows']}
        draw_group(chart, 'Instructions of the library itself, on the model of KVM', list(rows), [(COLOURS[3], rows)], 0)
    chart.write(sys.argv[1])
    return 0


if __name__ == '__main__':
    sys.exit(main())
