// How numbers and times are written.

export function bytes(n) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  let u = 0;
  while (n >= 999.5 && u < units.length - 1) {
    n /= 1000;
    u++;
  }
  return `${u === 0 || n >= 100 ? Math.round(n) : n.toFixed(1)} ${units[u]}`;
}

export const count = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

export function ago(date) {
  const s = Math.max(0, (Date.now() - date) / 1000);
  for (const [size, word] of [[86400, "day"], [3600, "hour"], [60, "minute"]]) {
    if (s >= 2 * size) {
      return `${count(Math.floor(s / size), word)} ago`;
    }
  }
  return s < 3 ? "just now" : `${count(Math.floor(s), "second")} ago`;
}

export const clock = (date) =>
  date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const duration = (ms) => (ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`);
