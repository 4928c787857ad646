// Tables that sort, folded tables that print, and a hint where something scrolls sideways.
"use strict";

// 1,234 (5.6%) and -0.120 +- 0.3 sort by their first number; a dash, or nothing, comes last.
function sortKey(text) {
  const found = text.replaceAll(",", "").replace("\u2212", "-").match(/^\s*-?\d+(\.\d+)?(e[+-]?\d+)?/i);
  return found ? Number(found[0]) : null;
}

for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  const rows = [...body.rows];
  if (rows.length < 3) continue;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const words = head.classList.contains("word");
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      // Numbers from the largest, words from A; then the other way round; then as the page had them.
      const [first, second] = words ? ["ascending", "descending"] : ["descending", "ascending"];
      const now = was === null ? first : was === first ? second : null;
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (now === null) { body.append(...rows); return; }
      head.setAttribute("aria-sort", now);
      const sign = now === "ascending" ? 1 : -1;
      const text = (row) => row.cells[column].textContent;
      const compare = words
        ? (a, b) => sign * text(a).localeCompare(text(b), "en", { numeric: true })
        : (a, b) => {
            const [x, y] = [sortKey(text(a)), sortKey(text(b))];
            return x === null || y === null ? (x === null) - (y === null) : sign * (x - y);
          };
      body.append(...[...rows].sort(compare));
    });
  });
}

// Paper unfolds nothing by itself.
addEventListener("beforeprint", () => {
  for (const fold of document.querySelectorAll("details:not([open])")) { fold.open = true; fold.dataset.printed = ""; }
});
addEventListener("afterprint", () => {
  for (const fold of document.querySelectorAll("details[data-printed]")) { fold.open = false; delete fold.dataset.printed; }
});

const watcher = new ResizeObserver((entries) => {
  for (const { target } of entries) target.parentElement.classList.toggle("overflows", target.scrollWidth > target.clientWidth + 1);
});
for (const box of document.querySelectorAll(".scroll")) watcher.observe(box);
