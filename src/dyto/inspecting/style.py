"""The look of the page: light and dark, from a phone to a wide screen."""

from __future__ import annotations

STYLE = """
:root { color-scheme: light dark; --page: #f6f6f4; --card: #ffffff; --ink: #1c1c20; --soft: #5d5d66; --line: #dcdcd8;
  --mark: #c8321e; --second: #1f6fb5; --bar: #3c6e9f; --fill: #e9e9e5; }
@media (prefers-color-scheme: dark) { :root { --page: #141417; --card: #1e1e22; --ink: #ececee; --soft: #a5a5ae;
  --line: #36363c; --mark: #ff7a5c; --second: #6db5f2; --bar: #6f9fcd; --fill: #2d2d33; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, "Segoe UI", Roboto,
  "Helvetica Neue", Arial, sans-serif; overflow-wrap: anywhere; }
main { max-width: 1240px; margin: 0 auto; padding: 28px 20px 60px; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 4px; }
h2 { font-size: 1.15rem; margin: 0 0 4px; }
h3 { font-size: 1rem; margin: 18px 0 6px; }
p { margin: 4px 0 10px; }
.soft { color: var(--soft); font-size: .9rem; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px;
  margin: 18px 0; }
.facts { display: grid; grid-template-columns: repeat(auto-fit, minmax(150px, 1fr)); gap: 10px 22px; margin: 14px 0 0; }
.facts dt { color: var(--soft); font-size: .8rem; }
.facts dd { margin: 0; }
.note { border-left: 3px solid var(--mark); padding: 2px 0 2px 12px; margin: 12px 0 0; font-size: .92rem; }
.sides { display: grid; gap: 18px; grid-template-columns: repeat(var(--sides), minmax(0, 1fr)); }
.sides > section { margin: 0; }
.question { font-size: 1.08rem; font-weight: 600; }
.answer { font-size: 1.35rem; line-height: 1.35; font-weight: 600; margin: 2px 0 8px; white-space: pre-wrap; }
.name { color: var(--mark); font-weight: 600; }
.name.b { color: var(--second); }
.slices { display: block; width: 100%; height: 64px; border-radius: 4px; object-fit: fill; }
.band { display: block; width: 100%; height: 26px; margin: 2px 0 0; }
.level { border-left: 4px solid transparent; padding-left: 8px; margin: 0 0 6px -12px; }
.level.used { border-color: var(--ink); }
.words { display: flex; justify-content: space-between; gap: 12px; font-size: .82rem; color: var(--soft); }
.words span:last-child { white-space: nowrap; }
.level b { color: var(--ink); font-weight: 600; }
.ticks { display: flex; justify-content: space-between; font-size: .78rem; color: var(--soft); margin: 2px 0 10px; }
.marks { display: block; width: 100%; height: 14px; margin: 3px 0; }
.times { display: flex; flex-wrap: wrap; gap: 4px 6px; margin: 6px 0 4px; padding: 0; list-style: none;
  font-size: .82rem; }
.times li { border: 1px solid var(--line); border-radius: 999px; padding: 0 8px; white-space: nowrap; }
summary { cursor: pointer; font-size: .85rem; color: var(--soft); margin: 4px 0; }
.times b { color: var(--mark); }
.times.b b { color: var(--second); }
.film { display: grid; grid-template-columns: repeat(auto-fill, minmax(84px, 1fr)); gap: 8px 6px; margin-top: 12px; }
.film figure { margin: 0; font-size: .74rem; color: var(--soft); text-align: center; }
.film .shot { position: relative; border-radius: 4px; overflow: hidden; background: var(--fill); }
.film img { display: block; width: 100%; }
.film .stripes i { display: block; height: 4px; margin-top: 1px; }
.film .key .shot { outline: 3px solid var(--mark); }
.film .key.b .shot { outline: 3px solid var(--second); }
.film .key.a.b .shot { outline: 3px solid var(--mark); box-shadow: 0 0 0 6px var(--second); border-radius: 4px; }
.film figcaption { margin-top: 4px; white-space: nowrap; }
.film figcaption b { color: var(--mark); }
.film figcaption b.b { color: var(--second); }
.rows { display: grid; grid-template-columns: minmax(92px, max-content) minmax(40px, 1fr) max-content; gap: 5px 12px;
  align-items: center; font-size: .9rem; margin: 8px 0; }
.rows .bar { background: var(--fill); border-radius: 3px; height: 14px; overflow: hidden; }
.rows .bar i { display: block; height: 100%; background: var(--bar); min-width: 1px; }
.rows .n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
.spend { display: flex; gap: 1px; height: 22px; background: var(--fill); border-radius: 4px; overflow: hidden;
  margin: 8px 0 4px; }
.spend i { background: var(--bar); min-width: 0; }
.spend i:nth-child(even) { opacity: .72; }
.moments { list-style: none; margin: 8px 0; padding: 0; display: grid; gap: 8px; }
.moments li { display: grid; grid-template-columns: 92px minmax(0, 1fr); gap: 12px; align-items: center; }
.moments img { display: block; width: 92px; border-radius: 4px; }
.moments .bar { display: block; max-width: 320px;
  background: var(--fill); border-radius: 3px; height: 10px; overflow: hidden; margin: 4px 0; }
.moments .bar i { display: block; height: 100%; background: var(--mark); min-width: 1px; }
.part + .part .moments .bar i { background: var(--second); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(250px, 1fr)); gap: 16px; margin-top: 14px; }
.cards figure { margin: 0; }
.cards figcaption { font-size: .86rem; margin-top: 5px; display: flex; justify-content: space-between; gap: 0 10px;
  flex-wrap: wrap; }
.map { position: relative; overflow: hidden; border-radius: 4px; background: var(--fill); }
.map > * { position: absolute; inset: 0; width: 100%; height: 100%; display: block; }
.map .mean { image-rendering: pixelated; display: none; }
.map path { fill: none; vector-effect: non-scaling-stroke; }
.map .dark { stroke: rgba(0,0,0,.62); stroke-width: 2.6px; }
.map .light { stroke: #fff; stroke-width: 1.1px; }
.map .veil { fill: rgba(12,12,14,.72); stroke: none; }
input[name=mode] { position: absolute; opacity: 0; pointer-events: none; }
.modes { display: inline-flex; border: 1px solid var(--line); border-radius: 8px; overflow: hidden; font-size: .88rem;
  margin-bottom: 12px; }
.modes label { padding: 5px 14px; cursor: pointer; border-left: 1px solid var(--line); }
.modes label:first-child { border-left: 0; }
#m0:checked ~ .modes label[for=m0], #m1:checked ~ .modes label[for=m1], #m2:checked ~ .modes label[for=m2] {
  background: var(--ink); color: var(--card); }
#m0:focus-visible ~ .modes, #m1:focus-visible ~ .modes, #m2:focus-visible ~ .modes { outline: 2px solid var(--second); }
#m0:checked ~ .sides svg { display: none; }
#m2:checked ~ .sides .mean { display: block; }
.sides .part { min-width: 0; }
footer { color: var(--soft); font-size: .82rem; margin-top: 26px; }
@media (max-width: 760px) { main { padding: 16px 12px 40px; } section { padding: 14px; } .sides { grid-template-columns:
  minmax(0, 1fr); } .film { grid-template-columns: repeat(auto-fill, minmax(66px, 1fr)); } .slices { height: 46px; }
  h1 { font-size: 1.3rem; } .map .dark { stroke-width: 1.7px; } .map .light { stroke-width: .7px; }
  .cards { grid-template-columns: repeat(auto-fill, minmax(140px, 1fr)); } }
@media print { section { break-inside: avoid; } .modes { display: none; } }
"""
"""The whole style sheet; nothing is fetched."""
