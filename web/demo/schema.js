// Tables and views, with their columns.

const SQL = `SELECT s.type, s.name, c.name, c.type, c.pk FROM sqlite_schema AS s JOIN pragma_table_xinfo(s.name) AS c
WHERE s.type IN ('table', 'view') AND s.name NOT LIKE 'sqlite_%' ORDER BY s.type, s.name, c.cid`;

let shown = "";

// showSchema draws the schema of a database, if it is another one than is shown. look is called with the name of a table.
export async function showSchema(place, db, look) {
  const { rows } = await db.query(SQL);
  const key = JSON.stringify(rows);
  if (key === shown && place.childElementCount > 0) {
    return;
  }
  shown = key;
  const open = new Set([...place.querySelectorAll("details[open]")].map((d) => d.dataset.name));
  const tables = new Map();
  for (const [type, name, column, declared, pk] of rows) {
    if (!tables.has(name)) {
      tables.set(name, { type, columns: [] });
    }
    tables.get(name).columns.push({ column, declared, pk });
  }
  place.replaceChildren(...[...tables].map(([name, table]) => details(name, table, open.has(name), look)));
}

function details(name, { type, columns }, open, look) {
  const box = document.createElement("details");
  box.dataset.name = name;
  box.open = open;
  const summary = document.createElement("summary");
  const kind = document.createElement("span");
  kind.textContent = type === "view" ? "view" : "";
  summary.append(name, kind);
  const list = document.createElement("ul");
  for (const { column, declared, pk } of columns) {
    const item = document.createElement("li");
    const rest = document.createElement("span");
    rest.textContent = ` ${declared.toLowerCase()}${pk ? " · key" : ""}`;
    item.append(column, rest);
    list.append(item);
  }
  const button = document.createElement("button");
  button.type = "button";
  button.className = "look";
  button.textContent = "Look inside";
  button.setAttribute("aria-label", `Look inside ${name}`);
  button.onclick = () => look(name);
  box.append(summary, list, button);
  return box;
}
