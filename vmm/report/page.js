/* SPDX-License-Identifier: MIT */
/* Tables that sort. Without this script the page is complete, in the order of the files. */
"use strict";
(() => {
  const key = cell => {
    if (!cell) return [2, ""];
    if (cell.dataset.value !== undefined) return [0, Number(cell.dataset.value)];
    const text = cell.textContent.trim();
    return cell.colSpan > 1 || text === "" || text === "-" ? [2, ""] : [1, text];
  };
  const compare = (a, b, sign) => {
    if (a[0] !== b[0]) return a[0] - b[0];
    if (a[0] === 0) return sign * (a[1] - b[1]);
    return sign * String(a[1]).localeCompare(String(b[1]), "en", { numeric: true });
  };
  const sort = (table, column, descending) => {
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, row => [key(row.cells[column]), row]);
    rows.sort((a, b) => compare(a[0], b[0], descending ? -1 : 1));
    body.append(...rows.map(entry => entry[1]));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const headings = Array.from(table.tHead.rows[0].cells);
    headings.forEach((heading, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", () => {
        const descending = heading.getAttribute("aria-sort") === "ascending";
        headings.forEach(other => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", descending ? "descending" : "ascending");
        sort(table, column, descending);
      });
    });
  }
})();
