// The files of a replica, drawn: a lane for each level, a bar for each file from its first transaction to its last.
import { bytes } from "./words.js";

const LANE = 16; // pixels
const LEFT = 34; // of the lanes' names
const SVG = "http://www.w3.org/2000/svg";

export class Timeline {
  #svg;
  #files = [];
  #used = new Set();
  #txid = 1n;
  #last = 1n;

  constructor(svg) {
    this.#svg = svg;
    new ResizeObserver(() => this.#draw()).observe(svg);
  }

  // show draws all files, and the moment that is being looked at with the files it is read from.
  show(files, last, txid, used) {
    this.#files = files;
    this.#last = BigInt("0x" + last);
    this.#txid = BigInt("0x" + txid);
    this.#used = new Set(used.map(name));
    this.#draw();
  }

  #draw() {
    const width = this.#svg.clientWidth;
    const levels = [...new Set(this.#files.map((f) => f.level))].sort((a, b) => b - a);
    const height = levels.length * (LANE + 4);
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#svg.style.height = `${height}px`;
    const unit = (width - LEFT) / Number(this.#last);
    const x = (txid) => LEFT + Number(txid) * unit;
    const parts = levels.map((level, i) => {
      const y = i * (LANE + 4);
      const bars = this.#files.filter((f) => f.level === level).map((f) => this.#bar(f, y, x, unit));
      return [label(level, y), lane(y, width), ...bars];
    });
    const at = x(this.#txid) - unit / 2;
    parts.push(element("line", { class: "cursor", x1: at, x2: at, y1: -4, y2: height + 4 }));
    this.#svg.replaceChildren(...parts.flat());
  }

  #bar(file, y, x, unit) {
    const from = x(BigInt("0x" + file.min) - 1n);
    const gap = Math.min(1, unit / 4);
    const width = Math.max(x(BigInt("0x" + file.max)) - from - gap, 1);
    const bar = element("rect", {
      class: `l${file.level}${this.#used.has(name(file)) ? " used" : ""}`, x: from, y: y + 2, width, height: LANE - 4, rx: Math.min(3, width / 3),
    });
    const title = element("title", {});
    title.textContent = `level ${file.level}, ${short(file.min)} to ${short(file.max)}, ${bytes(file.bytes)}`;
    bar.append(title);
    return bar;
  }
}

const name = (file) => `${file.level}/${file.min}-${file.max}`;

// short is a TXID without the zeros in front.
export const short = (txid) => txid.replace(/^0+(?=.)/, "");

function label(level, y) {
  const text = element("text", { x: 0, y: y + LANE - 4 });
  text.textContent = `L${level}`;
  return text;
}

const lane = (y, width) => element("line", { class: "lane", x1: LEFT, x2: width, y1: y + LANE / 2, y2: y + LANE / 2 });

export function element(tag, attributes) {
  const e = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) {
    e.setAttribute(key, value);
  }
  return e;
}
