// A result, as a table that grows.

export class Grid {
  #place;
  #body;

  constructor(place) {
    this.#place = place;
  }

  start(columns, first) {
    const head = document.createElement("tr");
    columns.forEach((name, i) => {
      const th = document.createElement("th");
      th.scope = "col";
      th.textContent = name;
      th.classList.toggle("number", isNumber(first?.[i]));
      head.append(th);
    });
    const table = document.createElement("table");
    table.createTHead().append(head);
    this.#body = table.createTBody();
    this.#place.replaceChildren(columns.length > 0 ? table : note("Done. The statement returns no rows."));
    this.#place.scrollTop = 0;
  }

  add(rows) {
    const fragment = document.createDocumentFragment();
    for (const row of rows) {
      const tr = document.createElement("tr");
      tr.append(...row.map(cell));
      fragment.append(tr);
    }
    this.#body.append(fragment);
  }

  fail(text) {
    const p = note(text);
    p.className = "error";
    this.#place.replaceChildren(p);
  }
}

function note(text) {
  const p = document.createElement("p");
  p.textContent = text;
  return p;
}

const isNumber = (value) => typeof value === "number" || typeof value === "bigint";

function cell(value) {
  const td = document.createElement("td");
  if (value === null) {
    td.className = "null";
    td.textContent = "null";
  } else if (value instanceof Uint8Array) {
    td.className = "blob";
    td.textContent = `x'${Array.from(value.subarray(0, 24), (b) => b.toString(16).padStart(2, "0")).join("")}${value.length > 24 ? "…" : ""}'`;
    td.title = `${value.length} bytes`;
  } else {
    td.textContent = value;
    td.classList.toggle("number", isNumber(value));
    if (typeof value === "string" && value.length > 50) {
      td.title = value.slice(0, 2000);
    }
  }
  return td;
}
