"""The style sheet of the report: system fonts, light and dark, on screen and on paper."""

from __future__ import annotations

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fbfcfd; --card: #ffffff; --ink: #1d2731; --soft: #5d6b79; --line: #dfe5ea;
  --accent: #2158b8; --wash: #eef3fa;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #0f1418; --card: #161d23; --ink: #dfe6ec; --soft: #93a1ae; --line: #2a343d;
    --accent: #86b2ff; --wash: #1b2632;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "Noto Sans", sans-serif;
}
header, main { max-width: 1120px; margin: 0 auto; padding: 0 28px; }
header { padding-top: 44px; }
.kicker { margin: 0; color: var(--soft); font-size: 13px; letter-spacing: .08em; text-transform: uppercase; }
h1 { margin: 2px 0 22px; font-size: 40px; line-height: 1.15; letter-spacing: -.015em; overflow-wrap: anywhere; }
h2 { margin: 0 0 18px; font-size: 24px; letter-spacing: -.01em; }
h3 { margin: 0; font-size: 18px; overflow-wrap: anywhere; }
section { padding: 36px 0 8px; scroll-margin-top: 8px; }
a { color: var(--accent); text-decoration: none; }
a:hover { text-decoration: underline; }
nav { display: flex; flex-wrap: wrap; gap: 6px 22px; margin-top: 24px; padding: 12px 0; font-size: 15px;
  border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); }
.facts { display: flex; flex-wrap: wrap; gap: 14px 44px; margin: 0; }
.facts dt { color: var(--soft); font-size: 14px; }
.facts dd { margin: 0; font-size: 25px; line-height: 1.25; font-weight: 600; font-variant-numeric: tabular-nums; }
.facts div { display: flex; flex-direction: column-reverse; }
.layer { margin: 0 0 22px; padding: 20px 22px 16px; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
.slash { color: var(--soft); padding: 0 .15em; font-weight: 400; }
.chips { margin: 8px 0 6px; }
.chip { display: inline-block; margin: 0 6px 4px 0; padding: 1px 9px; border-radius: 99px; background: var(--wash);
  font-size: 13px; }
.source { margin: 0 0 10px; color: var(--soft); font-size: 14px; overflow-wrap: anywhere; }
code, pre { font: 13.5px/1.5 ui-monospace, "SF Mono", "Cascadia Mono", Consolas, "DejaVu Sans Mono", monospace; }
.command { padding: 3px 9px; border-radius: 6px; background: var(--wash); user-select: all; overflow-wrap: anywhere; }
pre { margin: 0; padding: 16px 20px; overflow: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: 14.5px; font-variant-numeric: tabular-nums; }
th { color: var(--soft); font-weight: 500; font-size: 13px; }
th, td { padding: 6px 18px 6px 0; text-align: left; white-space: nowrap; border-bottom: 1px solid var(--line); }
th:last-child, td:last-child { padding-right: 2px; }
tbody tr:last-child td { border-bottom: 0; }
.n { text-align: right; }
.total td { border-top: 1.5px solid var(--soft); font-weight: 600; }
.note, figcaption { color: var(--soft); font-size: 14px; }
.scroll + h3, .note + h3 { margin-top: 26px; }
figure { margin: 0 0 34px; }
.note + figure { margin-top: 26px; }
figure img { display: block; width: 100%; height: auto; border-radius: 10px; }
.chart { padding: 16px 18px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
.chart svg { display: block; width: 100%; height: auto; }
figcaption { margin-top: 9px; max-width: 76ch; }
figcaption strong { color: var(--ink); font-weight: 600; }
ul { margin: 0; padding-left: 20px; }
li { margin-bottom: 5px; }
.versions { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 2px 34px; margin: 0;
  font-size: 14.5px; }
.versions div { display: flex; justify-content: space-between; border-bottom: 1px solid var(--line); padding: 4px 0; }
.versions dd { margin: 0; font-variant-numeric: tabular-nums; }
.versions dt { color: var(--soft); }
main { padding-bottom: 70px; }
@media (max-width: 640px) {
  header, main { padding-left: 16px; padding-right: 16px; }
  h1 { font-size: 30px; }
  .facts { gap: 12px 28px; }
  .facts dd { font-size: 20px; }
  .layer { padding: 16px 14px 12px; }
  .chart { padding: 10px; overflow-x: auto; }
  .chart svg { min-width: 560px; }
}
@media print { nav { display: none; } figure, .layer { break-inside: avoid; } section { padding-top: 20px; } }
"""
