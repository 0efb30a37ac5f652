// What the address of the page says after #: the replica, and what is looked at in it. Such a link can be handed on.
//
//   #s3%3A%2F%2Fbucket%2Fapp                        a replica, followed
//   #s3%3A%2F%2Fbucket%2Fapp&txid=2a&sql=SELECT…    one moment of it, and a statement

// parseLink reads it. What is malformed, or unknown, is left out.
export function parseLink(hash) {
  const [url, ...rest] = hash.replace(/^#/, "").split("&");
  const link = { url: decoded(url) };
  for (const part of rest) {
    const [name, value = ""] = part.split(/=(.*)/s);
    if (name === "txid" || name === "sql") {
      link[name] = decoded(value);
    }
  }
  return link;
}

// formatLink writes it. What is empty is left out.
export function formatLink({ url, txid, sql }) {
  const parts = [encodeURIComponent(url)];
  if (txid) parts.push(`txid=${txid}`);
  if (sql) parts.push(`sql=${encodeURIComponent(sql)}`);
  return "#" + parts.join("&");
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return ""; // a % that belongs to nothing
  }
}
