// A result, as a table that grows.

const LONGEST = 300; // characters of a value that are shown until somebody clicks on it

export class Grid {
  #place;
  #table;
  #columns = [];
  #rows = [];

  constructor(place) {
    this.#place = place;
    place.onclick = ({ target }) => this.#unfold(target.closest("td.long"));
  }

  // rows is how many are shown.
  get rows() {
    return this.#rows.length;
  }

  // studied is whether somebody looks at a value closely, or selects text: then nothing may be put in its place unasked.
  get studied() {
    return Boolean(this.#place.querySelector("td.whole")) || (Boolean(getSelection().toString()) && this.#place.contains(getSelection().anchorNode));
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
    this.#columns = columns;
    this.#rows = [];
    this.#table = document.createElement("table");
    this.#table.createTHead().append(head);
    this.#table.createTBody();
    this.#place.replaceChildren(...(columns.length === 0 ? [note("Done. The statement returns no rows.")] : [this.#table]));
    if (columns.length > 0 && !first) {
      this.#place.append(note("No rows."));
    }
    this.#place.scrollTop = 0;
  }

  add(rows) {
    const fragment = document.createDocumentFragment();
    for (const row of rows) {
      const tr = document.createElement("tr");
      tr.append(...row.map(cell));
      fragment.append(tr);
    }
    this.#rows.push(...rows);
    this.#table.tBodies[0].append(fragment);
  }

  // fail says why there is nothing to show.
  fail(text) {
    this.#rows = [];
    this.#place.replaceChildren();
    this.end(text);
  }

  // end says why there is no more. What is there stays.
  end(text) {
    const p = note(text);
    p.className = "error";
    this.#place.append(p);
  }

  // csv is what is shown, as ltxctl writes it: NULL is nothing, an empty text "", a blob x'…'.
  csv() {
    return this.#lines(",", (value) => {
      const text = plain(value);
      return value !== null && (text === "" || /[",\r\n]/.test(text)) ? `"${text.replaceAll('"', '""')}"` : text;
    });
  }

  // tabs is what is shown, for the clipboard and from there for a spreadsheet.
  tabs() {
    return this.#lines("\t", (value) => plain(value).replace(/[\t\r\n]+/g, " "));
  }

  #lines(between, write) {
    return [this.#columns, ...this.#rows].map((row) => row.map(write).join(between) + "\n").join("");
  }

  // unfold shows all of a value that was cut, or cuts it again.
  #unfold(td) {
    if (!td || getSelection().toString()) {
      return; // text is being selected
    }
    const value = this.#rows[td.parentElement.sectionRowIndex][td.cellIndex];
    td.textContent = td.classList.toggle("whole") ? plain(value) : cut(plain(value));
  }
}

function note(text) {
  const p = document.createElement("p");
  p.textContent = text;
  return p;
}

const isNumber = (value) => typeof value === "number" || typeof value === "bigint";

const hex = (blob) => Array.from(blob, (b) => b.toString(16).padStart(2, "0")).join("");

// plain is a value as text.
function plain(value) {
  return value === null ? "" : value instanceof Uint8Array ? `x'${hex(value)}'` : String(value);
}

const cut = (text) => (text.length > LONGEST ? text.slice(0, LONGEST) + "…" : text);

function cell(value) {
  const td = document.createElement("td");
  if (value === null) {
    td.className = "null";
    td.textContent = "null";
    return td;
  }
  const blob = value instanceof Uint8Array;
  const text = blob ? (value.length > 24 ? `x'${hex(value.subarray(0, 24))}…` : plain(value)) : String(value);
  td.textContent = cut(text);
  td.classList.toggle("blob", blob);
  td.classList.toggle("number", isNumber(value));
  if (text.length > 50) {
    td.classList.add("long");
    td.title = blob ? `${value.length.toLocaleString("en")} bytes; click to see all` : `${text.length.toLocaleString("en")} characters; click to see all`;
  }
  return td;
}
