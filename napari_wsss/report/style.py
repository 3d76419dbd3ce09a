"""The look of the report: light and dark, one column of cards, pictures that open large without a script."""

CSS = """
:root { color-scheme: light dark; --paper: #f6f7f9; --card: #fff; --ink: #1c2128; --soft: #59636e;
  --line: #d9dee4; --accent: #0b66c3; }
@media (prefers-color-scheme: dark) { :root { --paper: #101418; --card: #181d23; --ink: #e6eaef;
  --soft: #9aa5b1; --line: #2c343d; --accent: #6cb2ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
main { max-width: 1500px; margin: 0 auto; padding: 28px 24px 64px; }
h1 { font-size: 26px; line-height: 1.2; margin: 0 0 4px; letter-spacing: -.01em; }
h2 { font-size: 18px; margin: 36px 0 12px; }
h3 { font-size: 15px; margin: 0; overflow-wrap: anywhere; }
.soft { color: var(--soft); }
.small { font-size: 13px; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 16px 18px;
  margin-bottom: 16px; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 18px; margin: 12px 0 0; }
dt { color: var(--soft); } dd { margin: 0; overflow-wrap: anywhere; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 14px 5px 0; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); font-size: 13px; }
th:first-child, td:first-child, td.text { text-align: left; }
tr:last-child td { border-bottom: 0; }
td.best { font-weight: 650; color: var(--accent); }
td.wrap { white-space: normal; overflow-wrap: anywhere; text-align: left; }
.legend { display: flex; flex-wrap: wrap; gap: 6px 18px; }
.chip { display: inline-block; width: 12px; height: 12px; border-radius: 3px; margin-right: 7px; vertical-align: -1px;
  border: 1px solid color-mix(in srgb, var(--ink) 25%, transparent); }
.head { display: flex; flex-wrap: wrap; gap: 4px 16px; align-items: baseline; margin-bottom: 12px; }
.tag { border: 1px solid var(--line); border-radius: 99px; padding: 0 9px; font-size: 12.5px; white-space: nowrap; }
.pictures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(230px, 100%), 1fr)); gap: 14px; }
figure { margin: 0; max-width: 540px; }
figure > a { display: block; cursor: zoom-in; }
figure img { width: 100%; display: block; border-radius: 6px; }
figcaption { font-size: 13px; line-height: 1.35; margin-top: 6px; }
figure .back { display: none; }
figure:target { position: fixed; inset: 0; z-index: 9; max-width: none; display: grid; place-content: center;
  justify-items: center; background: rgba(0, 0, 0, .92); color: #eee; padding: 16px; }
figure:target img { width: auto; height: auto; min-width: min(60vw, 80vh); max-width: 96vw; max-height: 86vh;
  object-fit: contain; border-radius: 0; }
figure:target figcaption { color: #eee; }
figure:target > a { cursor: default; }
figure:target .back { display: block; position: absolute; inset: 0; cursor: zoom-out; }
.bar { display: flex; height: 8px; border-radius: 4px; overflow: hidden; margin-top: 12px; background: var(--line); }
details { margin-top: 10px; font-size: 13px; } summary { cursor: pointer; color: var(--soft); }
details ul { margin: 6px 0 0; padding-left: 20px; overflow-wrap: anywhere; }
footer { margin-top: 40px; }
@media print { body { background: #fff; } .card { break-inside: avoid; } details { display: none; } }
"""
