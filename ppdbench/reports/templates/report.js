// What a page does beyond showing: enlarges pictures, sorts tables, opens what a link leads to, and
// prints what is folded. Nothing is fetched, and without it the page still says everything.
"use strict";
(() => {
  const zoom = () => {
    const dialog = document.getElementById("zoom");
    if (!dialog) return;
    const image = dialog.querySelector("img");
    const told = Object.fromEntries(
      [...dialog.querySelectorAll("[data-told]")].map((part) => [part.dataset.told, part]),
    );
    let row = [];
    let at = 0;
    const link = (part, href) => {
      part.hidden = !href;
      if (href) part.setAttribute("href", href);
    };
    const show = (index) => {
      at = (index + row.length) % row.length;
      const shot = row[at];
      const small = shot.querySelector("img");
      image.src = small.src;
      image.alt = small.alt;
      image.className = small.className;
      for (const name of ["caption", "label", "item", "seed", "scores"]) {
        told[name].textContent = shot.dataset[name] ?? "";
        told[name].parentElement.hidden = !shot.dataset[name];
      }
      link(told.file, shot.dataset.file);
      link(told.record, shot.dataset.record);
    };
    document.querySelectorAll(".shot").forEach((shot) => {
      shot.addEventListener("click", () => {
        row = [...shot.closest(".strip").querySelectorAll(".shot")];
        show(row.indexOf(shot));
        dialog.showModal();
      });
    });
    dialog.querySelectorAll(".step").forEach((step) => {
      step.addEventListener("click", () => show(at + Number(step.dataset.step)));
    });
    dialog.addEventListener("keydown", (event) => {
      if (event.key === "ArrowRight") show(at + 1);
      if (event.key === "ArrowLeft") show(at - 1);
    });
    dialog.addEventListener("click", (event) => {
      if (event.target === dialog || event.target === told.record) dialog.close();
    });
  };

  // A link into something folded unfolds it first.
  const unfold = () => {
    document.addEventListener("click", (event) => {
      const link = event.target.closest?.('a[href^="#"]');
      const target = link && document.getElementById(link.getAttribute("href").slice(1));
      for (let at = target; at; at = at.parentElement) {
        if (at.tagName === "DETAILS") at.open = true;
      }
    });
    let folded = [];
    addEventListener("beforeprint", () => {
      folded = [...document.querySelectorAll("details:not([open]):not(.long)")];
      folded.forEach((one) => { one.open = true; });
    });
    addEventListener("afterprint", () => folded.forEach((one) => { one.open = false; }));
  };

  // The value that a cell sorts by: a number where its column is one, and null where it has none.
  const valueOf = (cell, numeric) => {
    const known = cell.querySelector(".num");
    if (!known && cell.querySelector(".why")) return null;
    const text = (cell.dataset.value ?? (known ?? cell).textContent)
      .replaceAll("\u2212", "-").replace(/(\d),(?=\d{3})/g, "$1").trim();
    if (!numeric) return text || null;
    const found = text.match(/[+-]?\d+(\.\d+)?/);
    if (!found) return null;
    return Number(found[0]) - (text.startsWith("<") ? 1e-9 : 0);
  };

  const sortable = (table, status) => {
    const body = table.tBodies[0];
    const heads = [...table.tHead.rows].at(-1).cells;
    const rows = [...body.rows].filter((row) => !row.classList.contains("fixed"));
    const fixed = [...body.rows].filter((row) => row.classList.contains("fixed"));
    const sort = (column, way, numeric) => {
      const values = new Map(rows.map((row) => [row, valueOf(row.cells[column], numeric)]));
      const order = (one, other) => {
        const [a, b] = [values.get(one), values.get(other)];
        if (a === null || b === null) return (a === null) - (b === null);
        const up = numeric ? a - b : a.localeCompare(b, undefined, { numeric: true });
        return way === "ascending" ? up : -up;
      };
      body.append(...(way ? rows.toSorted?.(order) ?? [...rows].sort(order) : rows), ...fixed);
    };
    [...heads].forEach((head, column) => {
      if (!head.textContent.trim()) return;
      const numeric = head.classList.contains("r");
      const ways = numeric ? ["descending", "ascending", null] : ["ascending", "descending", null];
      const name = head.textContent.trim();
      const button = document.createElement("button");
      button.type = "button";
      button.className = "sort";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const way = ways[(ways.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
        for (const other of heads) other.removeAttribute("aria-sort");
        if (way) head.setAttribute("aria-sort", way);
        sort(column, way, numeric);
        status.textContent = way ? `sorted by ${name}, ${way}` : "in the order of the page";
      });
    });
    table.caption?.append(" (buttons in the headers sort it)");
  };

  zoom();
  unfold();
  const status = document.createElement("p");
  status.className = "sr";
  status.setAttribute("role", "status");
  document.body.append(status);
  document.querySelectorAll("table.sortable").forEach((table) => sortable(table, status));
})();
