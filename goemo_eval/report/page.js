"use strict";
// Tables sort by a click, or Enter, on a column's head: numbers by their first number, dashes last.
const value = (row, column) => {
  const text = row.cells[column].textContent.trim();
  const number = Number.parseFloat(text.replaceAll(",", "").replace("\u2212", "-"));
  return { text, number, missing: text === "" || text === "\u2014" };
};
const compare = (a, b, way) => {
  if (a.missing || b.missing) return a.missing - b.missing;
  const numbers = !Number.isNaN(a.number) && !Number.isNaN(b.number);
  return way * (numbers && a.number !== b.number ? a.number - b.number : a.text.localeCompare(b.text));
};
for (const table of document.querySelectorAll("table")) {
  const body = table.tBodies[0];
  if (!body || body.rows.length < 2) continue;
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const rising = head.getAttribute("aria-sort") !== "ascending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", rising ? "ascending" : "descending");
      const rows = [...body.rows].map((row) => [row, value(row, column)]);
      rows.sort((a, b) => compare(a[1], b[1], rising ? 1 : -1));
      body.append(...rows.map(([row]) => row));
    });
  });
}
